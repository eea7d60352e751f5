"""The ledger of webhook events: what came in, what became of it, and sending it through apply once more."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from outdial.db.queries import events, inbox
from outdial.db.session import Connection
from outdial.studio.view.payloads import readable_body
from outdial.studio.web.audit import record
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.dates import moment_of
from outdial.studio.web.errors import ResourceNotFound
from outdial.studio.web.paging import Page, PageRequest, paginate

EventStatus = Literal["pending", "applied", "unmatched", "quarantined"]
EventSource = Literal["webhook", "reconciler"]
LONGEST_BODY: Final = 64 * 1024
MOST_REPLAYED: Final = 10_000
_LAST_ID: Final = 2**63 - 1
Text = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


class LedgerEvent(BaseModel):
    """One delivery of Retell, or one answer that was got by asking (`source` reconciler)."""

    id: int
    event: str
    status: str
    source: str
    retell_call_id: str
    call_id: UUID | None
    received_at: datetime
    applied_at: datetime | None
    tries: int
    repeats: int
    error: str | None
    bytes: int


class LedgerEventDetail(LedgerEvent):
    """An event with its body as it came, up to 64 KiB; what is not UTF-8 in it is replaced."""

    body: str
    is_cut: bool


class EventsToReview(BaseModel):
    """How many events wait for a person, and when the last one came in."""

    unmatched: int
    quarantined: int
    last_event_at: datetime | None


class ReplayRequest(BaseModel):
    """Which events to send through apply once more: a range of ids, or those in `ids`, narrowed by what they are."""

    model_config = ConfigDict(extra="forbid")
    first_id: Annotated[int, Field(ge=0, le=_LAST_ID)] = 0
    last_id: Annotated[int, Field(ge=0, le=_LAST_ID)] = _LAST_ID
    status: EventStatus | None = None
    event: Annotated[str | None, Field(max_length=200, pattern=r"^[^\x00]*$")] = None
    ids: Annotated[list[Annotated[int, Field(ge=0, le=_LAST_ID)]] | None, Field(min_length=1, max_length=200)] = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.ids is not None and (self.first_id, self.last_id) != (0, _LAST_ID):
            raise ValueError("give a range or ids, not both")
        return self

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The ranges of ids that are meant, from the lowest."""
        return [(self.first_id, self.last_id)] if self.ids is None else [(id, id) for id in sorted(set(self.ids))]


class ReplayResult(BaseModel):
    """How many events were sent through apply; at most 10,000 at once, the oldest first."""

    replayed: int


@dataclass(frozen=True, slots=True)
class EventFilters:
    """What a list of events is narrowed to; the times are those of receiving, `until` is excluded."""

    status: EventStatus | None = None
    event: str | None = None
    retell_call_id: str | None = None
    source: EventSource | None = None
    call_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


def event_filters(
    status: EventStatus | None = None,
    event: Text = None,
    retell_call_id: Text = None,
    source: EventSource | None = None,
    call_id: UUID | None = None,
    since: Annotated[AwareDatetime | None, Query(description="Events from this moment on")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Events before this moment")] = None,
) -> EventFilters:
    """Read what a request narrows the list to."""
    times = moment_of("since", since), moment_of("until", until)
    return EventFilters(status, event or None, retell_call_id or None, source, call_id, *times)


EventQuery = Annotated[EventFilters, Depends(event_filters)]


async def list_events(
    connection: Connection, organization_id: UUID, page: PageRequest, filters: EventFilters
) -> Page[LedgerEvent]:
    """List events, the newest first."""
    key = page.key(tuple[int])
    rows = await inbox.list_organization_events(
        connection,
        organization_id=organization_id,
        before_id=None if key is None else key[0],
        status=filters.status,
        event=filters.event,
        retell_call_id=filters.retell_call_id,
        source=filters.source,
        call_id=filters.call_id,
        since=filters.since,
        until=filters.until,
        limit=page.limit + 1,
    )
    kept, following = paginate(rows, page.limit, lambda row: (row.id,))
    return Page(items=[LedgerEvent.model_validate(row, from_attributes=True) for row in kept], next=following)


async def show_event(connection: Connection, organization_id: UUID, event_id: int) -> LedgerEventDetail:
    """Return one event with its body; raises NotFound."""
    row = await inbox.show_organization_event(
        connection, id=event_id, organization_id=organization_id, most=LONGEST_BODY
    )
    if row is None:
        raise ResourceNotFound("There is no such event, or it is not yours")
    seen = {name: getattr(row, name) for name in LedgerEvent.model_fields if name != "bytes"}
    return LedgerEventDetail(**seen, bytes=row.size, body=readable_body(row.body), is_cut=row.size > len(row.body))


async def count_events_to_review(connection: Connection, organization_id: UUID) -> EventsToReview:
    """Count the events that wait for a person."""
    row = await inbox.count_odd_events(connection, organization_id=organization_id)
    return EventsToReview(unmatched=row.unmatched, quarantined=row.quarantined, last_event_at=row.last_at)


async def replay(connection: Connection, context: OrganizationContext, asked: ReplayRequest) -> ReplayResult:
    """Mark events as pending, so that the applier takes them; raises Forbidden below operator."""
    context.require("operator")
    done = 0
    for first_id, last_id in asked.ranges:
        rows = await events.replay_organization_events(
            connection,
            organization_id=context.organization_id,
            first_id=first_id,
            last_id=last_id,
            status=asked.status,
            event=asked.event,
            limit=MOST_REPLAYED,
            now=context.studio.clock.now(),
        )
        done += len(rows)
    details = asked.model_dump(exclude_defaults=True) | {"replayed": done}
    await record(connection, context, "replay_events", "webhook_events", asked.ranges[0][0], details)
    return ReplayResult(replayed=done)
