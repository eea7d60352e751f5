"""Progress counts of campaigns, with a cache for campaigns that are slow to count."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from fastapi import Depends, Request

from outdial.clock import Clock
from outdial.db.queries import reports
from outdial.db.session import Connection
from outdial.domain.campaign import CAMPAIGN, CampaignStatus
from outdial.domain.contact import OPEN
from outdial.domain.policies.number_pool import BY_PERSON
from outdial.log import log
from outdial.studio.campaigns.results import CampaignResults, read_results
from outdial.studio.reports.service import CampaignCharts, campaign_charts
from outdial.studio.web.context import studio_state
from outdial.studio.web.errors import ResourceNotFound

MIN_COST_TO_CACHE: Final = timedelta(milliseconds=20)
_MAX_ENTRIES: Final = 10_000
_SWEEP_EVERY: Final = timedelta(minutes=1)
# A count is reused for this many times as long as it took, so that a page left open all day costs a bounded share of
# database time. Counts below MIN_COST_TO_CACHE are not cached. Finished campaigns change only by late events. A request
# in the second half of that time still gets the count, and a task counts again: while a page is open, no request waits.
_REUSE_FACTOR_RUNNING: Final = 5
_REUSE_FACTOR_FINISHED: Final = 500
_COUNTS: Final = "counts"
_CHARTS: Final = "charts"
_RESULTS: Final = "results"
MOST_RECOUNTS: Final = 2
"""Recounts that run at once, so that they leave connections to requests; the others wait for the next request."""

OpenTransaction = Callable[[], AbstractAsyncContextManager[Connection]]
Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class CampaignCounts:
    """Contacts by status; ended calls by outcome, with their cost in cents and talk time in ms."""

    contacts: Mapping[str, int] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    ended_calls: int = 0
    cost_cents: Decimal = Decimal()
    talk_ms: int = 0
    counted_at: datetime | None = field(default=None, compare=False)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _CacheEntry:
    status: str
    recount_at: datetime
    until: datetime
    value: Any


class CampaignCounter:
    """Counts campaigns and caches slow counts; one per application.

    Callers must have checked that the caller may see the campaigns: the cache does not.
    """

    def __init__(self, clock: Clock, transaction: OpenTransaction | None = None) -> None:
        """`transaction` acts as a role which sees all campaigns; without it, only requests count."""
        self._clock = clock
        self._transaction = transaction
        self._cache: dict[tuple[str, UUID], _CacheEntry] = {}
        self._sweep_at = clock.now()
        self._recounts: dict[tuple[str, UUID], asyncio.Task[None]] = {}

    async def count(self, connection: Connection, statuses: Mapping[UUID, str]) -> dict[UUID, CampaignCounts]:
        """Return the counts of campaigns, given as a mapping of id to current status."""
        cached = {id: entry.value for id, status in statuses.items() if (entry := self._find(_COUNTS, id, status))}
        missing = [id for id in statuses if id not in cached]
        if due := self._due(_COUNTS, cached):
            self._recount(_COUNTS, due, lambda background: self._count_now(background, due))
        return cached | await self._count_now(connection, {id: statuses[id] for id in missing}) if missing else cached

    async def charts(self, connection: Connection, campaign_id: UUID, status: str, zone: ZoneInfo) -> CampaignCharts:
        """Return the charts of a campaign whose current status is `status`; `zone` decides where days begin."""
        return await self.kept(
            connection,
            f"{_CHARTS} {zone.key}",
            campaign_id,
            status,
            lambda opened: campaign_charts(opened, campaign_id, zone),
        )

    async def results(self, connection: Connection, campaign_id: UUID, status: str) -> CampaignResults:
        """Return what a campaign whose current status is `status` came to."""
        return await self.kept(
            connection, _RESULTS, campaign_id, status, lambda opened: read_results(opened, campaign_id)
        )

    async def kept(
        self,
        connection: Connection,
        kind: str,
        id: UUID,
        status: str,
        load: Callable[[Connection], Awaitable[Loaded]],
    ) -> Loaded:
        """Return what `load` returns, or what it returned while that is kept: the longer, the slower it was.

        `load` must name the organization or the campaign in its statements: a recount sees those of all.
        """

        async def load_and_store(opened: Connection) -> Loaded:
            started_at = self._clock.now()
            loaded = await load(opened)
            self._store(kind, id, status, loaded, started_at)
            return loaded

        entry = self._find(kind, id, status)
        if entry is None:
            return await load_and_store(connection)
        if due := self._due(kind, [id]):
            self._recount(kind, due, load_and_store)
        kept: Loaded = entry.value
        return kept

    async def recounted(self) -> None:
        """Wait for the recounts that are running."""
        await asyncio.gather(*set(self._recounts.values()))

    def _due(self, kind: str, ids: Collection[UUID]) -> dict[UUID, str]:
        """Return those of the cached campaigns that are to be counted again, with their statuses."""
        now = self._clock.now()
        entries = {id: self._cache[kind, id] for id in ids if (kind, id) not in self._recounts}
        return {id: entry.status for id, entry in entries.items() if entry.recount_at <= now}

    def _recount(self, kind: str, due: Mapping[UUID, str], work: Callable[[Connection], Awaitable[object]]) -> None:
        transaction = self._transaction
        if transaction is None or len(set(self._recounts.values())) >= MOST_RECOUNTS:
            return

        async def run() -> None:
            try:
                async with transaction() as connection:
                    await work(connection)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ResourceNotFound) as error:
                # The count stays until its time is over; then a request counts, and reports what is wrong.
                log("studio.recount_failed", level="warning", reason=type(error).__name__)
            finally:
                for id in due:
                    del self._recounts[kind, id]

        task = asyncio.create_task(run(), name="recount")
        self._recounts |= {(kind, id): task for id in due}

    async def _count_now(self, connection: Connection, statuses: Mapping[UUID, str]) -> dict[UUID, CampaignCounts]:
        started_at = self._clock.now()
        counted = await _count(connection, list(statuses))
        found = {id: replace(counts, counted_at=started_at) for id, counts in counted.items()}
        for id, counts in found.items():
            self._store(_COUNTS, id, statuses[id], counts, started_at)
        return found

    def _find(self, kind: str, id: UUID, status: str) -> _CacheEntry | None:
        entry = self._cache.get((kind, id))
        return entry if entry is not None and entry.status == status and entry.until > self._clock.now() else None

    def _store(self, kind: str, id: UUID, status: str, value: Any, started_at: datetime) -> None:
        now = self._clock.now()
        self._cache.pop((kind, id), None)
        if now - started_at < MIN_COST_TO_CACHE:
            return
        if now >= self._sweep_at:
            # Reports are many: one for each period and zone that was ever requested.
            self._cache = {key: entry for key, entry in self._cache.items() if entry.until > now}
            self._sweep_at = now + _SWEEP_EVERY
        times = _REUSE_FACTOR_FINISHED if CampaignStatus(status) in CAMPAIGN.final else _REUSE_FACTOR_RUNNING
        reuse = times * (now - started_at)
        self._cache[kind, id] = _CacheEntry(status=status, recount_at=now + reuse / 2, until=now + reuse, value=value)
        while len(self._cache) > _MAX_ENTRIES:
            del self._cache[next(iter(self._cache))]


def shared_counter(request: Request) -> CampaignCounter:
    """Return the counter shared by all requests."""
    studio = studio_state(request)
    return studio.share(CampaignCounter, lambda: CampaignCounter(studio.clock, studio.database.as_service))


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
