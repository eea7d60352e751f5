"""Progress counts of campaigns, with a cache for campaigns that are slow to count."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, Request

from outdial.clock import Clock
from outdial.db.queries import reports
from outdial.db.session import Connection
from outdial.domain.campaign import CAMPAIGN, CampaignStatus
from outdial.domain.contact import OPEN
from outdial.domain.policies.number_pool import BY_PERSON
from outdial.studio.campaigns.results import CampaignResults, read_results
from outdial.studio.reports.service import CampaignCharts, campaign_charts
from outdial.studio.web.context import studio_state

MIN_COST_TO_CACHE: Final = timedelta(milliseconds=20)
_MAX_ENTRIES: Final = 10_000
# A count is reused for this many times as long as it took, so that a page left open all day costs a bounded share of
# database time. Counts below MIN_COST_TO_CACHE are not cached. Finished campaigns change only by late events.
_REUSE_FACTOR_RUNNING: Final = 5
_REUSE_FACTOR_FINISHED: Final = 500
_COUNTS: Final = "counts"
_CHARTS: Final = "charts"
_RESULTS: Final = "results"

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class CampaignCounts:
    """Contacts by status; ended calls by outcome, with their cost in cents and talk time in ms."""

    contacts: Mapping[str, int] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    ended_calls: int = 0
    cost_cents: Decimal = Decimal()
    talk_ms: int = 0

    @property
    def total(self) -> int:
        return sum(self.contacts.values())

    @property
    def open(self) -> int:
        return sum(self.contacts.get(status, 0) for status in OPEN)

    @property
    def finished(self) -> int:
        return self.total - self.open

    @property
    def reached(self) -> int:
        """Ended calls that reached a person."""
        return sum(self.outcomes.get(outcome, 0) for outcome in BY_PERSON)


@dataclass(frozen=True, slots=True)
class _CacheEntry:
    status: str
    until: datetime
    value: Any


class CampaignCounter:
    """Counts campaigns and caches slow counts; one per application.

    Callers must have checked that the caller may see the campaigns: the cache does not.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cache: dict[tuple[str, UUID], _CacheEntry] = {}

    async def count(self, connection: Connection, statuses: Mapping[UUID, str]) -> dict[UUID, CampaignCounts]:
        """Return the counts of campaigns, given as a mapping of id to current status."""
        cached = {id: entry.value for id, status in statuses.items() if (entry := self._find(_COUNTS, id, status))}
        missing = [id for id in statuses if id not in cached]
        if not missing:
            return cached
        started_at = self._clock.now()
        counted = await _count(connection, missing)
        for id, counts in counted.items():
            self._store(_COUNTS, id, statuses[id], counts, started_at)
        return cached | counted

    async def charts(self, connection: Connection, campaign_id: UUID, status: str, zone: ZoneInfo) -> CampaignCharts:
        """Return the charts of a campaign whose current status is `status`; `zone` decides where days begin."""
        return await self.kept(
            f"{_CHARTS} {zone.key}", campaign_id, status, lambda: campaign_charts(connection, campaign_id, zone)
        )

    async def kept(self, kind: str, id: UUID, status: str, load: Callable[[], Awaitable[Loaded]]) -> Loaded:
        """Return what `load` returns, or what it returned while that is kept: the longer, the slower it was."""
        entry = self._find(kind, id, status)
        if entry is not None:
            kept: Loaded = entry.value
            return kept
        started_at = self._clock.now()
        loaded = await load()
        self._store(kind, id, status, loaded, started_at)
        return loaded

    async def results(self, connection: Connection, campaign_id: UUID, status: str) -> CampaignResults:
        """Return what a campaign whose current status is `status` came to."""
        entry = self._find(_RESULTS, campaign_id, status)
        if entry is not None:
            results: CampaignResults = entry.value
            return results
        started_at = self._clock.now()
        results = await read_results(connection, campaign_id)
        self._store(_RESULTS, campaign_id, status, results, started_at)
        return results

    def _find(self, kind: str, id: UUID, status: str) -> _CacheEntry | None:
        entry = self._cache.get((kind, id))
        return entry if entry is not None and entry.status == status and entry.until > self._clock.now() else None

    def _store(self, kind: str, id: UUID, status: str, value: Any, started_at: datetime) -> None:
        now = self._clock.now()
        if now - started_at < MIN_COST_TO_CACHE:
            return
        times = _REUSE_FACTOR_FINISHED if CampaignStatus(status) in CAMPAIGN.final else _REUSE_FACTOR_RUNNING
        self._cache.pop((kind, id), None)
        self._cache[kind, id] = _CacheEntry(status, now + times * (now - started_at), value)
        while len(self._cache) > _MAX_ENTRIES:
            del self._cache[next(iter(self._cache))]


def shared_counter(request: Request) -> CampaignCounter:
    """Return the counter shared by all requests."""
    state = request.app.state
    if not hasattr(state, "campaign_counter"):
        state.campaign_counter = CampaignCounter(studio_state(request).clock)
    counter: CampaignCounter = state.campaign_counter
    return counter


Counter = Annotated[CampaignCounter, Depends(shared_counter)]
"""Parameter of routes that show campaign progress."""


async def _count(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, CampaignCounts]:
    contacts: dict[UUID, dict[str, int]] = {id: {} for id in ids}
    for counted in await reports.count_contacts_by_status(connection, campaign_ids=list(ids)):
        contacts[counted.campaign_id][counted.status] = counted.contacts
    calls: dict[UUID, list[reports.OutcomeCount]] = {id: [] for id in ids}
    for row in await reports.count_ended_calls(connection, campaign_ids=list(ids)):
        calls[row.campaign_id].append(row)
    return {
        id: CampaignCounts(
            contacts=contacts[id],
            outcomes={row.outcome: row.calls for row in calls[id] if row.outcome is not None},
            ended_calls=sum(row.calls for row in calls[id]),
            cost_cents=sum((row.cost_cents for row in calls[id]), Decimal()),
            talk_ms=sum(row.duration_ms for row in calls[id]),
        )
        for id in ids
    }
