"""How far campaigns are: counted from their rows, and for very large ones counted no more often than it pays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Request

from outdial.clock import Clock
from outdial.db.queries import reports
from outdial.db.session import Connection
from outdial.domain.campaign import CAMPAIGN, CampaignStatus
from outdial.domain.contact import OPEN
from outdial.studio.reports.service import CampaignCharts, campaign_charts
from outdial.studio.web.context import studio_state

WORTH_KEEPING: Final = timedelta(milliseconds=20)
_MOST_KEPT: Final = 10_000
# A count is used again for this many times as long as it took: a page that is looked at all day costs a bounded part of
# the database's time, and small campaigns are counted at each look. What is at rest changes by late evidence alone.
_REUSE_RUNNING: Final = 5
_REUSE_AT_REST: Final = 500
_COUNTS: Final = "counts"
_CHARTS: Final = "charts"


@dataclass(frozen=True, slots=True)
class CampaignCounts:
    """Contacts by status, and the calls that have ended by outcome, with what they cost and how long they were."""

    contacts: Mapping[str, int] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    ended_calls: int = 0
    cost_cents: Decimal = Decimal()
    talk_ms: int = 0

    @property
    def total(self) -> int:
        """All contacts."""
        return sum(self.contacts.values())

    @property
    def open(self) -> int:
        """Contacts without a final status."""
        return sum(self.contacts.get(status, 0) for status in OPEN)

    @property
    def finished(self) -> int:
        """Contacts with a final status."""
        return self.total - self.open


@dataclass(frozen=True, slots=True)
class _CacheEntry:
    status: str
    until: datetime
    value: Any


class CampaignCounter:
    """Counts campaigns, and knows for a while what it has counted; one for each application.

    It is asked only about campaigns that a query has shown to the caller.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, UUID], _CacheEntry] = {}

    async def count(self, connection: Connection, statuses: Mapping[UUID, str]) -> dict[UUID, CampaignCounts]:
        """Return the counts of the campaigns, which are given with the status that they are in."""
        known = {id: kept.value for id, status in statuses.items() if (kept := self._find(_COUNTS, id, status))}
        unknown = [id for id in statuses if id not in known]
        if not unknown:
            return known
        begun = self._clock.now()
        counted = await _count(connection, unknown)
        for id, counts in counted.items():
            self._keep(_COUNTS, id, statuses[id], counts, begun)
        return known | counted

    async def charts(self, connection: Connection, campaign_id: UUID, status: str) -> CampaignCharts:
        """Return the charts of a campaign that is in `status`."""
        kept = self._find(_CHARTS, campaign_id, status)
        if kept is not None:
            charts: CampaignCharts = kept.value
            return charts
        begun = self._clock.now()
        charts = await campaign_charts(connection, campaign_id, begun)
        self._keep(_CHARTS, campaign_id, status, charts, begun)
        return charts

    def _find(self, kind: str, id: UUID, status: str) -> _CacheEntry | None:
        kept = self._kept.get((kind, id))
        return kept if kept is not None and kept.status == status and kept.until > self._clock.now() else None

    def _keep(self, kind: str, id: UUID, status: str, value: Any, begun: datetime) -> None:
        now = self._clock.now()
        if now - begun < WORTH_KEEPING:
            return
        times = _REUSE_AT_REST if CampaignStatus(status) in CAMPAIGN.final else _REUSE_RUNNING
        self._kept.pop((kind, id), None)
        self._kept[kind, id] = _CacheEntry(status, now + times * (now - begun), value)
        while len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]


def counter_of(request: Request) -> CampaignCounter:
    """Return the counter that all requests share."""
    state = request.app.state
    if not hasattr(state, "campaign_counter"):
        state.campaign_counter = CampaignCounter(studio_state(request).clock)
    counter: CampaignCounter = state.campaign_counter
    return counter


Counter = Annotated[CampaignCounter, Depends(counter_of)]
"""The parameter of a route that shows how far campaigns are."""


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
