"""API routes for launch checks."""

from uuid import UUID

from outdial.studio.launch_checks import service as checks
from outdial.studio.launch_checks.service import LaunchCheck
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(prefix="/organizations/{organization_id}/campaigns/{campaign_id}/launch-check", tags=["campaigns"])


@router.get("")
async def get_launch_check(context: CurrentOrganization, campaign_id: UUID) -> LaunchCheck:
    """Return what the last launch check has found, and the newest forecast."""
    async with context.transaction() as connection:
        return await checks.show_check(connection, context, campaign_id)


@router.post("", status_code=202)
async def request_launch_check(context: CurrentOrganization, campaign_id: UUID) -> LaunchCheck:
    """Request a launch check of key, agent, numbers, webhooks and variables. A dialer carries it out."""
    context.require("operator")
    async with context.transaction() as connection:
        return await checks.request_check(connection, context, campaign_id)
