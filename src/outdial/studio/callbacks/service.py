"""Open callbacks: list and move them."""

from datetime import datetime
from typing import Annotated, assert_never
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.callbacks import InvalidCallbackTime, Moved, NoOpenCallback, move_callback
from outdial.campaigns.lifecycle import Forbidden, NotFound
from outdial.db.queries.dialing import callbacks
from outdial.db.session import Connection
from outdial.domain.calling_hours import local_times
from outdial.domain.policies.callback_requests import ASKED_IN
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, PermissionDenied, ResourceConflict, ResourceNotFound
from outdial.studio.web.paging import Page, PageRequest, paginate


class Callback(BaseModel):
    """A contact that waits to be called back.

    `local_times` has `callback_at` in each time zone in which the contact may be. `number` is 1 for the contact's first
    callback. `summary` is that of the call in which it was asked for, `late_because` why it has not been made in time.
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
    is_calling: bool
    asked_in_call: UUID | None
    summary: str | None
    late_because: str | None


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
    reason: str
    since: datetime
    asked_in_call: UUID | None
    summary: str | None


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


class MovedCallback(BaseModel):
    """The time at which the contact is called back now."""

    callback_at: datetime


async def list_callbacks(
    connection: Connection, organization_id: UUID, page: PageRequest, campaign_id: UUID | None = None
) -> Page[Callback]:
    """List open callbacks, the next one first."""
    after_at, after_id = page.key(tuple[datetime, UUID]) or (None, None)
    rows = await callbacks.list_callbacks(
        connection,
        organization_id=organization_id,
        campaign_id=campaign_id,
        after_at=after_at,
        after_id=after_id,
        asked_in=ASKED_IN,
        limit=page.limit + 1,
    )
    shown, cursor = paginate(rows, page.limit, lambda row: (row.callback_at, row.id))
    return Page(items=[_callback(row) for row in shown], next=cursor)


async def list_requests(
    connection: Connection, organization_id: UUID, page: PageRequest, campaign_id: UUID | None = None
) -> Page[UndecidedCallback]:
    """List the contacts in review that asked for a callback, the longest waiting first."""
    after_at, after_id = page.key(tuple[datetime, UUID]) or (None, None)
    rows = await callbacks.list_callback_requests(
        connection,
        organization_id=organization_id,
        campaign_id=campaign_id,
        after_at=after_at,
        after_id=after_id,
        limit=page.limit + 1,
    )
    shown, cursor = paginate(rows, page.limit, lambda row: (row.since, row.id))
    return Page(items=[UndecidedCallback.model_validate(row) for row in shown], next=cursor)


def _callback(row: callbacks.CallbackRow) -> Callback:
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
        is_calling=row.is_calling,
        asked_in_call=row.asked_in_call,
        summary=row.summary,
        late_because=row.callback_late,
    )


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
        case InvalidCallbackTime(reason):
            raise InvalidInput("The callback was not moved", {"time": reason})
        case NoOpenCallback(reason):
            raise ResourceConflict(sentence_case(reason))
        case NotFound():
            raise ResourceNotFound("Contact not found")
        case Forbidden():
            raise PermissionDenied("You need the Operator role to do this")
        case never:
            assert_never(never)
