"""Webhook events: list, detail and replay."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, model_validator

from outdial.db.queries import events, inbox
from outdial.db.session import Connection
from outdial.studio.view.payloads import readable_body
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import ResourceNotFound
from outdial.studio.web.filters import SinceQuery, TextQuery, UntilQuery
from outdial.studio.web.paging import Page, PageRequest, paginate

EventStatus = Literal["pending", "applied", "unmatched", "quarantined"]
EventSource = Literal["webhook", "reconciler"]
MAX_BODY_BYTES: Final = 64 * 1024
MAX_REPLAYED: Final = 10_000
_LAST_ID: Final = 2**63 - 1


class LedgerEvent(BaseModel):
    """A webhook delivery from Retell (source "webhook") or a polled call state (source "reconciler")."""

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
    """An event with its body, truncated to 64 KiB; bytes that are not UTF-8 are replaced.

    Since `body_removed_at`, the body is empty, because of the age of the event or an erasure.
    """

    body: str
    is_cut: bool
    body_removed_at: datetime | None


class EventsToReview(BaseModel):
    """Number of events that need review, and the time of the last event."""

    unmatched: int
    quarantined: int
    last_event_at: datetime | None


class ReplayRequest(BaseModel):
    """Events to replay: a range of ids or a list of `ids`, optionally filtered by status and event type."""

    model_config = ConfigDict(extra="forbid")
    first_id: Annotated[int, Field(ge=0, le=_LAST_ID)] = 0
    last_id: Annotated[int, Field(ge=0, le=_LAST_ID)] = _LAST_ID
    status: EventStatus | None = None
    event: Annotated[str | None, Field(max_length=200, pattern=r"^[^\x00]*$")] = None
    ids: Annotated[list[Annotated[int, Field(ge=0, le=_LAST_ID)]] | None, Field(min_length=1, max_length=200)] = None

    @model_validator(mode="after")
    def _range_or_ids(self) -> Self:
        if self.ids is not None and (self.first_id, self.last_id) != (0, _LAST_ID):
            raise ValueError("use a range or ids, not both")
        return self

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The id ranges to replay, lowest first."""
        return [(self.first_id, self.last_id)] if self.ids is None else [(id, id) for id in sorted(set(self.ids))]


class ReplayResult(BaseModel):
    """Number of events replayed. A request replays at most 10,000 events, oldest first.

    `without_body` counts events that cannot be replayed, because their body was removed by age or by an erasure.
    """

    replayed: int
    without_body: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilters:
    """Filters and query parameters of the event list. Times are those of receipt; `until` is exclusive."""

    status: EventStatus | None = None
    event: TextQuery = None
    retell_call_id: TextQuery = None
    source: EventSource | None = None
    call_id: UUID | None = None
    since: SinceQuery = None
    until: UntilQuery = None


EventQuery = Annotated[EventFilters, Depends()]


async def list_events(
    connection: Connection, organization_id: UUID, page: PageRequest, filters: EventFilters
) -> Page[LedgerEvent]:
    """Return a page of events, newest first."""
    rows = await inbox.list_organization_events(
        connection,
        organization_id=organization_id,
        before_id=page.before_id,
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
    """Return an event with its body; raises ResourceNotFound."""
    row = await inbox.show_organization_event(
        connection, id=event_id, organization_id=organization_id, most=MAX_BODY_BYTES
    )
    if row is None:
        raise ResourceNotFound("Event not found")
    fields = {name: getattr(row, name) for name in LedgerEvent.model_fields if name != "bytes"}
    return LedgerEventDetail(
        **fields,
        bytes=row.size,
        body=readable_body(row.body),
        is_cut=row.size > len(row.body),
        body_removed_at=row.body_removed_at,
    )


async def count_events_to_review(connection: Connection, organization_id: UUID) -> EventsToReview:
    """Count the events that need review."""
    row = await inbox.count_odd_events(connection, organization_id=organization_id)
    return EventsToReview(unmatched=row.unmatched, quarantined=row.quarantined, last_event_at=row.last_at)


async def replay_events(connection: Connection, context: OrganizationContext, request: ReplayRequest) -> ReplayResult:
    """Set events back to pending for the applier; raises PermissionDenied below operator."""
    context.require("operator")
    replayed = without_body = 0
    for first_id, last_id in request.ranges:
        rows = await events.replay_organization_events(
            connection,
            organization_id=context.organization_id,
            first_id=first_id,
            last_id=last_id,
            status=request.status,
            event=request.event,
            limit=MAX_REPLAYED,
            now=context.studio.clock.now(),
        )
        replayed += len(rows)
        without_body += await events.count_bodiless_events(
            connection,
            organization_id=context.organization_id,
            first_id=first_id,
            last_id=last_id,
            status=request.status,
            event=request.event,
            most=MAX_REPLAYED,
        )
    details = request.model_dump(exclude_defaults=True) | {"replayed": replayed}
    await record_audit(
        connection,
        context=context,
        action="replay_events",
        subject_type="webhook_events",
        subject_id=request.ranges[0][0],
        details=details,
    )
    return ReplayResult(replayed=replayed, without_body=without_body)
