"""API routes for the calls on the line."""

from uuid import UUID

from outdial.studio.campaigns.service import find_campaign
from outdial.studio.live_calls.service import LiveCalls, read_live_calls
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(prefix="/organizations/{organization_id}", tags=["calls"])


@router.get("/live-calls")
async def list_live_calls(context: CurrentOrganization) -> LiveCalls:
    """List the calls on the line and those that have just ended, of all campaigns."""
    async with context.transaction() as connection:
        return await read_live_calls(connection, context)


@router.get("/campaigns/{campaign_id}/live-calls")
async def list_live_calls_of_campaign(campaign_id: UUID, context: CurrentOrganization) -> LiveCalls:
    """List the calls of a campaign on the line, and those that have just ended."""
    async with context.transaction() as connection:
        await find_campaign(connection, context.organization_id, campaign_id)
        return await read_live_calls(connection, context, campaign_id)
