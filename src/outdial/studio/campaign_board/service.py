"""The list of campaigns as a control room: sections by what a campaign needs, and the figures of the strip above."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from outdial.campaigns.selection import name_patterns
from outdial.db.queries.dialing import campaign_board as queries
from outdial.db.queries.dialing.campaign_board import BoardCampaign, BoardDay, BoardLines
from outdial.db.session import Connection
from outdial.dialer.budgets.limits import read_budgets
from outdial.dialer.doctor import Diagnosis, examine
from outdial.domain.campaign import CampaignStatus
from outdial.studio.budgets.service import BudgetState, shared_budgets
from outdial.studio.campaign_board.alerts import is_held_up
from outdial.studio.campaigns.counts import CampaignCounter, CampaignCounts
from outdial.studio.campaigns.service import CampaignProgress, progress_of
from outdial.studio.view.decisions import REACHED
from outdial.studio.web.context import OrganizationContext

MOST: Final = 1000
"""Campaigns in the list: those at work, scheduled or with contacts in review, then the newest. A search finds more."""
PAGE: Final = 20
"""Rows of a page that shows one section."""


class BoardSection(StrEnum):
    """A section of the list, in the order of the page."""

    ATTENTION = "attention"
    RUNNING = "running"
    SCHEDULED = "scheduled"
    DRAFTS = "drafts"
    FINISHED = "finished"


class BoardSort(StrEnum):
    """The order of the rows in each section."""

    NEWEST = "newest"
    NAME = "name"
    PROGRESS = "progress"
    COST = "cost"


_TITLES: Final[Mapping[BoardSection, str]] = {
    BoardSection.ATTENTION: "Needs attention",
    BoardSection.RUNNING: "Running",
    BoardSection.SCHEDULED: "Scheduled",
    BoardSection.DRAFTS: "Drafts",
    BoardSection.FINISHED: "Finished",
}
_SHOWN: Final[Mapping[BoardSection, int]] = {
    BoardSection.ATTENTION: 10,
    BoardSection.RUNNING: 10,
    BoardSection.SCHEDULED: 5,
    BoardSection.DRAFTS: 4,
    BoardSection.FINISHED: 8,
}
"""Rows of each section where the page shows all of them."""
_S = CampaignStatus
_AT_WORK: Final = (_S.ACTIVE, _S.PAUSING, _S.PAUSED, _S.CANCELLING)
_SECTIONS: Final[Mapping[CampaignStatus, BoardSection]] = {
    **dict.fromkeys(_AT_WORK, BoardSection.RUNNING),
    _S.SCHEDULED: BoardSection.SCHEDULED,
    _S.DRAFT: BoardSection.DRAFTS,
    _S.COMPLETED: BoardSection.FINISHED,
    _S.CANCELLED: BoardSection.FINISHED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardQuery:
    """What the list is asked for. `page` counts from 1, in the one section that `section` names."""

    name: str = ""
    sort: BoardSort = BoardSort.NEWEST
    section: BoardSection | None = None
    page: int = 1
    is_archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """A campaign of the list. `progress` is None where a live update did not ask for it."""

    campaign: BoardCampaign
    section: BoardSection
    is_held_up: bool
    progress: CampaignProgress | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardPart:
    """A section: the rows on this page, of `total` ones."""

    section: BoardSection
    rows: Sequence[BoardRow]
    total: int
    has_next: bool

    @property
    def title(self) -> str:
        return _TITLES[self.section]


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignBoard:
    """The list, and whether older campaigns are left out; alerts and shared budgets are the same in every search."""

    parts: Sequence[BoardPart]
    budgets: Sequence[BudgetState]
    alerts: int
    is_cut: bool

    @property
    def layout(self) -> str:
        """The sections with their counts and ids: a live update replaces single rows while this stays the same."""
        words: list[object] = []
        for part in self.parts:
            words += [part.section, part.total, *(row.campaign.id for row in part.rows)]
        return " ".join(map(str, words))


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFigures:
    """The strip above the list: lines now, and the calls of the viewer's day."""

    lines: BoardLines
    day: BoardDay


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What is known of the campaigns while the list is put together."""

    campaigns: Sequence[BoardCampaign]
    diagnoses: Mapping[UUID, Diagnosis | None]
    counts: Mapping[UUID, CampaignCounts] = field(default_factory=dict)

    def is_held_up(self, campaign: BoardCampaign) -> bool:
        return campaign.archived_at is None and is_held_up(campaign, self.diagnoses.get(campaign.id))

    def section_of(self, campaign: BoardCampaign) -> BoardSection:
        needs_review = campaign.has_review and campaign.archived_at is None
        if needs_review or self.is_held_up(campaign):
            return BoardSection.ATTENTION
        return _SECTIONS[CampaignStatus(campaign.status)]


async def read_board(
    connection: Connection,
    context: OrganizationContext,
    counter: CampaignCounter,
    query: BoardQuery,
    *,
    changed: frozenset[UUID] | None = None,
) -> CampaignBoard:
    """Return the list in a fixed number of statements; of the rows, only the `changed` ones have their progress."""
    now, rules = context.studio.clock.now(), context.studio.rules
    found = await _find_campaigns(connection, context, query.is_archived, query.name or None)
    campaigns = found[:MOST]
    every = (await _find_campaigns(connection, context, query.is_archived))[:MOST] if query.name else campaigns
    at_work = list({each.id: None for each in (*campaigns, *every) if each.status in _AT_WORK})
    budgets = await read_budgets(connection, at_work, now)
    reading = _Reading(
        campaigns=campaigns, diagnoses=await examine(connection, at_work, now, rules, budgets) if at_work else {}
    )
    if query.sort in (BoardSort.PROGRESS, BoardSort.COST):
        reading.counts = await counter.count(connection, {each.id: each.status for each in campaigns})
    sections = _sections(reading, query)
    shown = [each for section, part in sections.items() for each in _on_page(section, part, query)]
    progress = await progress_of(
        connection,
        counter,
        [each for each in shown if changed is None or each.id in changed],
        budgets=budgets,
        rules=rules,
        now=now,
        diagnoses=reading.diagnoses,
    )
    parts = [
        BoardPart(
            section=section,
            rows=[
                BoardRow(
                    campaign=each,
                    section=section,
                    is_held_up=reading.is_held_up(each),
                    progress=progress.get(each.id),
                )
                for each in _on_page(section, part, query)
            ],
            total=len(part),
            has_next=query.section is not None and len(part) > query.page * PAGE,
        )
        for section, part in sections.items()
        if part
    ]
    alerts = sum(reading.section_of(each) is BoardSection.ATTENTION for each in every)
    return CampaignBoard(parts=parts, budgets=shared_budgets(budgets.values()), alerts=alerts, is_cut=len(found) > MOST)


async def _find_campaigns(
    connection: Connection, context: OrganizationContext, is_archived: bool, name: str | None = None
) -> Sequence[BoardCampaign]:
    return await queries.campaigns_of_board(
        connection,
        organization_id=context.organization_id,
        is_archived=is_archived,
        words=name_patterns(name),
        limit=MOST + 1,
    )


async def read_figures(
    connection: Connection, context: OrganizationContext, counter: CampaignCounter, day_begins: datetime
) -> BoardFigures:
    """Return the strip above the list; `day_begins` is midnight in the viewer's zone."""
    organization_id = context.organization_id

    async def count_day(opened: Connection) -> BoardDay:
        return await queries.board_day(opened, organization_id=organization_id, since=day_begins, reached=REACHED)

    return BoardFigures(
        lines=await queries.board_lines(connection, organization_id=organization_id),
        day=await counter.kept(
            connection, f"day {day_begins.isoformat()}", organization_id, CampaignStatus.ACTIVE, count_day
        ),
    )


def _sections(reading: _Reading, query: BoardQuery) -> dict[BoardSection, list[BoardCampaign]]:
    """Return the campaigns of each section that the page shows, in their order."""
    sections: dict[BoardSection, list[BoardCampaign]] = {section: [] for section in BoardSection}
    for campaign in _sorted(reading, query.sort):
        sections[reading.section_of(campaign)].append(campaign)
    return sections if query.section is None else {query.section: sections[query.section]}


def _sorted(reading: _Reading, sort: BoardSort) -> Sequence[BoardCampaign]:
    """Sort campaigns; equal ones are sorted newest first."""
    counts = reading.counts
    newest = sorted(reading.campaigns, key=lambda each: (each.created_at, each.id), reverse=True)
    match sort:
        case BoardSort.NEWEST:
            return newest
        case BoardSort.NAME:
            return sorted(newest, key=lambda each: each.name.casefold())
        case BoardSort.PROGRESS:
            return sorted(newest, key=lambda each: -counts[each.id].finished / (counts[each.id].total or 1))
        case BoardSort.COST:
            return sorted(newest, key=lambda each: -counts[each.id].cost_cents)


def _on_page(section: BoardSection, part: Sequence[BoardCampaign], query: BoardQuery) -> Sequence[BoardCampaign]:
    if query.section is None:
        return part[: _SHOWN[section]]
    first = min(query.page - 1, max(len(part) - 1, 0) // PAGE) * PAGE
    return part[first : first + PAGE]
