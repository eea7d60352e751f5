"""Open callbacks as a queue: which are late or at risk, which come when, and what members decide about them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, assert_never
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.callbacks import (
    CallbackDropped,
    CallbackEnd,
    CallbackSet,
    InvalidCallbackTime,
    Moved,
    NoOpenCallback,
    drop_callback,
    move_callback,
    set_callback,
)
from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.db.queries.dialing import callbacks
from outdial.db.session import Connection
from outdial.dialer.callbacks.outlook import (
    CALLS_SINCE,
    AssessedCallback,
    CallbackGroup,
    assess_callbacks,
    days_of,
    never_allowed,
)
from outdial.dialer.doctor import FormatMoment, read_rules
from outdial.domain.calling_hours import local_times
from outdial.domain.policies.callback_requests import ASKED_IN
from outdial.studio.stop.service import ActionReason
from outdial.studio.view.format import iso, sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied, ResourceConflict, ResourceNotFound
from outdial.studio.web.paging import Page, PageRequest, paginate

MOST_CHECKED: Final = 300
"""Callbacks until the end of tomorrow whose outlook is computed for the queue."""
MOST_COUNTED: Final = 1_000
MOST_TRIES: Final = 2
"""A callback that does not reach the contact is repeated once."""


class QueueGroup(StrEnum):
    """The groups of the queue, in its order: callbacks by their outlook, and requests that a member has to decide."""

    ATTENTION = "attention"
    UNREADABLE = "unreadable"
    TODAY = "today"
    TOMORROW = "tomorrow"
    LATER = "later"


class Callback(BaseModel):
    """A contact that waits to be called back.

    `local_times` has `callback_at` in each time zone in which the contact may be. `number` counts the callbacks that
    the contact asked for, and `tries_left` the calls of this one. `words` are those of the contact, and `summary` that
    of the call in which it was asked for; `late_because` is why it has not been made in time. `group` is where it is in
    the queue. `obstacle` says why it is late or at risk, as a code and a sentence, and `earliest_at` when the call may
    start; both are null when nothing is known.
    """

    campaign_contact_id: UUID
    campaign_id: UUID
    campaign_name: str
    phone: str
    name: str | None
    callback_at: datetime
    local_times: dict[str, str]
    number: int
    is_repetition: bool
    tries_left: int
    is_calling: bool
    asked_in_call: UUID | None
    words: str | None
    summary: str | None
    late_because: str | None
    group: CallbackGroup
    is_overdue: bool
    obstacle: str | None
    obstacle_code: str | None
    earliest_at: datetime | None


class UndecidedCallback(BaseModel):
    """A contact in review that asked for a callback: a member decides when, because the time could not be used.

    `reason` has the contact's words, and `summary` is that of the call. `since` is when it came to review.
    """

    model_config = ConfigDict(from_attributes=True)
    campaign_contact_id: Annotated[UUID, Field(validation_alias="id")]
    campaign_id: UUID
    campaign_name: str
    phone: str
    name: str | None
    zone_key: str
    attempts: int
    max_attempts: int
    reason: str
    since: datetime
    asked_in_call: UUID | None
    summary: str | None


class CallbackCount(BaseModel):
    """How many callbacks a group has. `is_more`: at least so many, because no more were counted."""

    group: QueueGroup
    count: int
    is_more: bool = False


class CallbackTime(BaseModel):
    """The new time of a callback."""

    model_config = ConfigDict(extra="forbid")
    time: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            description="ISO 8601, in the contact's time where it has no offset, or a text such as `tomorrow at 3pm`",
            examples=["2026-12-01T15:00"],
        ),
    ]


class NewCallback(CallbackTime):
    """A callback for a contact of a campaign. The time may also be `now`: as soon as hours and law allow."""

    reason: ActionReason = None


class EndedCallback(BaseModel):
    """The contact is not called back at the time asked for."""

    act_id: Annotated[UUID | None, Field(description="What can be undone for an hour")]


class MovedCallback(BaseModel):
    """The time at which the contact is called back now."""

    callback_at: datetime


class CallbackQueue(BaseModel):
    """The groups of the queue, and the callbacks until the end of tomorrow, the next one first.

    `is_cut`: there are more until then. Callbacks that are later and requests are only counted.
    """

    counts: list[CallbackCount]
    soon: list[Callback]
    is_cut: bool


async def list_callbacks(
    connection: Connection,
    context: OrganizationContext,
    page: PageRequest,
    campaign_id: UUID | None = None,
    *,
    zone: ZoneInfo,
    format_moment: FormatMoment = iso,
    from_at: datetime | None = None,
) -> Page[Callback]:
    """List open callbacks, the next one first. Days are those of `zone`."""
    after_at, after_id = page.key(tuple[datetime, UUID]) or (None, None)
    rows = await callbacks.list_callbacks(
        connection,
        organization_id=context.organization_id,
        campaign_id=campaign_id,
        from_at=from_at,
        until_at=None,
        after_at=after_at,
        after_id=after_id,
        asked_in=ASKED_IN,
        calls_since=context.studio.clock.now() - CALLS_SINCE,
        limit=page.limit + 1,
    )
    shown, cursor = paginate(rows, page.limit, lambda row: (row.callback_at, row.id))
    return Page(items=await _assessed(connection, context, shown, zone, format_moment), next=cursor)


async def read_queue(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID | None = None,
    *,
    zone: ZoneInfo,
    format_moment: FormatMoment = iso,
) -> CallbackQueue:
    """Return the queue of an organization or a campaign. Days are those of `zone`."""
    now = context.studio.clock.now()
    later_at = days_of(now, zone).later_at
    rows = await callbacks.list_callbacks(
        connection,
        organization_id=context.organization_id,
        campaign_id=campaign_id,
        from_at=None,
        until_at=later_at,
        after_at=None,
        after_id=None,
        asked_in=ASKED_IN,
        calls_since=now - CALLS_SINCE,
        limit=MOST_CHECKED + 1,
    )
    is_cut = len(rows) > MOST_CHECKED
    soon = await _assessed(connection, context, rows[:MOST_CHECKED], zone, format_moment)
    counted = await callbacks.count_callbacks(
        connection,
        organization_id=context.organization_id,
        campaign_id=campaign_id,
        from_at=later_at,
        most=MOST_COUNTED,
    )
    counts = {QueueGroup.UNREADABLE: counted.unreadable, QueueGroup.LATER: counted.later}
    for group in (QueueGroup.ATTENTION, QueueGroup.TODAY, QueueGroup.TOMORROW):
        counts[group] = sum(each.group == CallbackGroup(group) for each in soon)
    return CallbackQueue(
        counts=[
            CallbackCount(
                group=group,
                count=counts[group],
                is_more=counts[group] >= MOST_COUNTED or (is_cut and group in (QueueGroup.TODAY, QueueGroup.TOMORROW)),
            )
            for group in QueueGroup
        ],
        soon=soon,
        is_cut=is_cut,
    )


async def list_requests(
    connection: Connection, organization_id: UUID, page: PageRequest, campaign_id: UUID | None = None
) -> Page[UndecidedCallback]:
    """List the contacts in review that asked for a callback, in the order in which they were added."""
    after = page.key(tuple[UUID])
    rows = await callbacks.list_callback_requests(
        connection,
        organization_id=organization_id,
        campaign_id=campaign_id,
        after_id=None if after is None else after[0],
        limit=page.limit + 1,
    )
    shown, cursor = paginate(rows, page.limit, lambda row: (row.id,))
    return Page(items=[UndecidedCallback.model_validate(row) for row in shown], next=cursor)


async def _assessed(
    connection: Connection,
    context: OrganizationContext,
    rows: Sequence[callbacks.CallbackRow],
    zone: ZoneInfo,
    format_moment: FormatMoment,
) -> list[Callback]:
    assessed = await assess_callbacks(
        connection,
        rows,
        organization_id=context.organization_id,
        zone=zone,
        rules=context.studio.rules,
        now=context.studio.clock.now(),
        format_moment=format_moment,
    )
    return [_callback(each) for each in assessed]


def _callback(assessed: AssessedCallback) -> Callback:
    row, obstacle = assessed.row, assessed.obstacle
    return Callback(
        campaign_contact_id=row.id,
        campaign_id=row.campaign_id,
        campaign_name=row.campaign_name,
        phone=row.phone,
        name=row.name,
        callback_at=row.callback_at,
        local_times=local_times(row.zone_key, row.callback_at),
        number=row.callbacks,
        is_repetition=row.callback_tries > 0,
        tries_left=max(0, MOST_TRIES - row.callback_tries - row.is_calling),
        is_calling=row.is_calling,
        asked_in_call=row.asked_in_call,
        words=row.words,
        summary=row.summary,
        late_because=row.callback_late,
        group=assessed.group,
        is_overdue=assessed.is_overdue,
        obstacle=None if obstacle is None else obstacle.sentence,
        obstacle_code=None if obstacle is None else obstacle.code,
        earliest_at=assessed.earliest_at,
    )


async def find_contact(
    connection: Connection, context: OrganizationContext, campaign_contact_id: UUID
) -> callbacks.OpenCallback:
    """Return a contact of a campaign with its callback; raises ResourceNotFound."""
    contact = await callbacks.find_callback(
        connection, organization_id=context.organization_id, campaign_contact_id=campaign_contact_id
    )
    if contact is None:
        raise ResourceNotFound("Contact not found")
    return contact


async def change_time(
    connection: Connection, context: OrganizationContext, campaign_contact_id: UUID, new: CallbackTime
) -> MovedCallback:
    """Move a callback; raises ResourceNotFound, PermissionDenied, InvalidInput or ResourceConflict."""
    context.require("operator")
    result = await move_callback(
        connection,
        organization_id=context.organization_id,
        campaign_contact_id=campaign_contact_id,
        time=new.time,
        actor=context.actor,
        now=context.studio.clock.now(),
    )
    match result:
        case Moved(at):
            return MovedCallback(callback_at=at)
        case refused:
            raise _refusal(refused)


def state_of(contact: callbacks.OpenCallback) -> str:
    """Return what an undo of a callback needs to find unchanged: the status, the number of calls and the callback."""
    return f"{contact.status}.{contact.call_count}.{'' if contact.callback_at is None else iso(contact.callback_at)}"


async def call_back(
    connection: Connection,
    context: OrganizationContext,
    campaign_contact_id: UUID,
    new: NewCallback,
    *,
    left: str | None = None,
) -> CallbackSet:
    """Set a callback; raises ResourceNotFound, PermissionDenied, InvalidInput, or ResourceConflict saying why not.

    With `left`, the `state_of` the contact must still be that: an undo brings no call back to a contact called since.
    """
    context.require("operator")
    now = context.studio.clock.now()
    contact = await find_contact(connection, context, campaign_contact_id)
    if left is not None and state_of(contact) != left:
        raise ResourceConflict("This cannot be undone: the contact has changed since")
    rules = await read_rules(connection, context.organization_id, context.studio.rules)
    if (why := never_allowed(contact, rules, now)) is not None:
        raise ResourceConflict(why)
    result = await set_callback(
        connection,
        organization_id=context.organization_id,
        campaign_contact_id=campaign_contact_id,
        time=new.time,
        reason=(new.reason or "").strip() or None,
        actor=context.actor,
        now=now,
    )
    match result:
        case CallbackSet():
            return result
        case refused:
            raise _refusal(refused)


async def end_callback(
    connection: Connection,
    context: OrganizationContext,
    campaign_contact_id: UUID,
    end: CallbackEnd,
    reason: str | None,
) -> CallbackDropped:
    """End a callback or a request for one; raises ResourceNotFound, PermissionDenied or ResourceConflict."""
    context.require("operator")
    result = await drop_callback(
        connection,
        organization_id=context.organization_id,
        campaign_contact_id=campaign_contact_id,
        end=end,
        reason=(reason or "").strip() or None,
        by=context.caller.display_name,
        actor=context.actor,
        now=context.studio.clock.now(),
    )
    match result:
        case CallbackDropped():
            return result
        case refused:
            raise _refusal(refused)


def _refusal(
    result: InvalidCallbackTime | NoOpenCallback | NotFound | Forbidden,
) -> InvalidInput | ResourceConflict | ResourceNotFound | PermissionDenied:
    match result:
        case InvalidCallbackTime(reason):
            return InvalidInput("The callback was not set", {"time": sentence_case(reason)})
        case NoOpenCallback(reason):
            return ResourceConflict(sentence_case(reason))
        case NotFound():
            return ResourceNotFound("Contact not found")
        case Forbidden():
            return PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)
