"""Pages of the calls on the line: of all campaigns, and of one."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.tabs import CampaignFrame, campaign_frame
from outdial.studio.live_calls.service import LiveCalls, read_live_calls
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}")

# Keep the page small.
SHOWN: Final = 40
ENDED_SHOWN: Final = 10
MONITORING_URL: Final = "https://dashboard.retellai.com"


@router.get("/live-calls")
async def live_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the calls on the line, of all campaigns."""
    async with context.transaction() as connection:
        live = await read_live_calls(connection, context)
    return _page(request, context, live)


@router.get("/campaigns/{campaign_id}/live-calls")
async def live_page_of_campaign(
    request: Request, campaign_id: UUID, context: CurrentOrganization, counter: Counter
) -> HTMLResponse:
    """Show the calls of a campaign on the line."""
    async with context.transaction() as connection:
        frame = await campaign_frame(connection, context, counter, campaign_id)
        live = await read_live_calls(connection, context, campaign_id)
    return _page(request, context, live, frame)


def _page(
    request: Request, context: OrganizationContext, live: LiveCalls, frame: CampaignFrame | None = None
) -> HTMLResponse:
    return page(
        request,
        "live_calls/show.html",
        context,
        frame=frame,
        tab="Live",
        live=live,
        shown=live.calls[:SHOWN],
        ended=live.ended[:ENDED_SHOWN],
        # Calls of the simulator are not at Retell.
        monitoring_url=None if context.studio.settings.recordings else MONITORING_URL,
        now=context.studio.clock.now(),
    )
