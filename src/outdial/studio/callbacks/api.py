"""API routes for callbacks."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from outdial.studio.callbacks import service as callbacks
from outdial.studio.callbacks.service import Callback, CallbackTime, MovedCallback, UndecidedCallback
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.paging import Page, PageQuery

router = APIRouter(prefix="/organizations/{organization_id}/callbacks", tags=["callbacks"])


@router.get("")
async def list_callbacks(
    context: CurrentOrganization,
    page: PageQuery,
    campaign: Annotated[UUID | None, Query(description="Only callbacks of this campaign")] = None,
) -> Page[Callback]:
    """List open callbacks, the next one first."""
    async with context.transaction() as connection:
        return await callbacks.list_callbacks(connection, context.organization_id, page, campaign)


@router.get("/requests")
async def list_callback_requests(
    context: CurrentOrganization,
    page: PageQuery,
    campaign: Annotated[UUID | None, Query(description="Only contacts of this campaign")] = None,
) -> Page[UndecidedCallback]:
    """List contacts in review that asked for a callback, the longest waiting first."""
    async with context.transaction() as connection:
        return await callbacks.list_requests(connection, context.organization_id, page, campaign)


@router.patch("/{campaign_contact_id}")
async def move_callback(campaign_contact_id: UUID, context: CurrentOrganization, new: CallbackTime) -> MovedCallback:
    """Call a contact back at another time, within the next 60 days."""
    context.require("operator")
    async with context.transaction() as connection:
        return await callbacks.change_time(connection, context, campaign_contact_id, new)
