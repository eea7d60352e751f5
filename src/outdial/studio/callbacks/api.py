"""API routes for callbacks."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from outdial.campaigns.callbacks import CallbackEnd
from outdial.studio.callbacks import service as callbacks
from outdial.studio.callbacks.service import (
    Callback,
    CallbackQueue,
    CallbackTime,
    EndedCallback,
    MovedCallback,
    NewCallback,
    UndecidedCallback,
)
from outdial.studio.stop.service import ActionReason
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.filters import check_zone
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery

router = ApiRouter(prefix="/organizations/{organization_id}/callbacks", tags=["callbacks"])
OfCampaign = Annotated[UUID | None, Query(description="Only callbacks of this campaign")]
InZone = Annotated[str, Query(max_length=100, description="Time zone whose days count as today and tomorrow")]


@router.get("")
async def list_callbacks(
    context: CurrentOrganization, page: PageQuery, campaign: OfCampaign = None, zone: InZone = "UTC"
) -> Page[Callback]:
    """List open callbacks, the next one first, and what stands in the way of each."""
    async with context.transaction() as connection:
        return await callbacks.list_callbacks(connection, context, page, campaign, zone=check_zone("zone", zone))


@router.get("/queue")
async def get_callback_queue(
    context: CurrentOrganization, campaign: OfCampaign = None, zone: InZone = "UTC"
) -> CallbackQueue:
    """Count the callbacks that are overdue or at risk, due today, tomorrow and later, and return the next ones."""
    async with context.transaction() as connection:
        return await callbacks.read_queue(connection, context, campaign, zone=check_zone("zone", zone))


@router.get("/requests")
async def list_callback_requests(
    context: CurrentOrganization, page: PageQuery, campaign: OfCampaign = None
) -> Page[UndecidedCallback]:
    """List contacts in review that asked for a callback at a time that could not be used."""
    async with context.transaction() as connection:
        return await callbacks.list_requests(connection, context.organization_id, page, campaign)


@router.patch("/{campaign_contact_id}")
async def move_callback(campaign_contact_id: UUID, context: CurrentOrganization, new: CallbackTime) -> MovedCallback:
    """Call a contact back at another time, within the next 60 days."""
    context.require("operator")
    async with context.transaction() as connection:
        return await callbacks.change_time(connection, context, campaign_contact_id, new)


@router.put("/{campaign_contact_id}")
async def set_callback(campaign_contact_id: UUID, context: CurrentOrganization, new: NewCallback) -> MovedCallback:
    """Call a contact back at a time, or `now`: a pending or finished one, one in review, or one that waits already.

    Returns 409 when the campaign places no more calls, the number is on the do-not-call list, or the calling rules of
    the contact's place allow no call.
    """
    context.require("operator")
    async with context.transaction() as connection:
        done = await callbacks.call_back(connection, context, campaign_contact_id, new)
    return MovedCallback(callback_at=done.at)


@router.delete("/{campaign_contact_id}")
async def end_callback(
    campaign_contact_id: UUID,
    context: CurrentOrganization,
    then: Annotated[
        CallbackEnd,
        Query(description="retry: called in its usual turn. done: completed. never_call: on the do-not-call list"),
    ] = CallbackEnd.RETRY,
    reason: Annotated[ActionReason, Query()] = None,
) -> EndedCallback:
    """End a callback, or the request for one of a contact in review, without a call at the time asked for."""
    context.require("operator")
    async with context.transaction() as connection:
        ended = await callbacks.end_callback(connection, context, campaign_contact_id, then, reason)
    return EndedCallback(act_id=ended.act_id)
