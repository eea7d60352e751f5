"""The page with the launch check of a campaign."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.studio.campaigns.launch import launch_report
from outdial.studio.campaigns.service import find_campaign
from outdial.studio.launch_checks import service as checks
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.forms import Form, redirect
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/campaigns/{campaign_id}/launch-check")


@router.get("")
async def launch_check_page(request: Request, context: CurrentOrganization, campaign_id: UUID) -> HTMLResponse:
    """Show what the last launch check has found, and which contacts will not be called."""
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        check = await checks.show_check(connection, context, campaign_id)
        launch = await launch_report(connection, context, campaign_id)
    return page(request, "launch_checks/show.html", context, campaign=campaign, check=check, launch=launch)


@router.post("")
async def check_now(request: Request, context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Request a launch check."""
    context.require("operator")
    async with context.transaction() as connection:
        await checks.request_check(connection, context, campaign_id)
    return redirect(request.url.path, "Launch check requested. Load this page again in a few seconds.")
