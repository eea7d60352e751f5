"""The tabs of a campaign that belong to no other noun: overview, settings and activity."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.db.queries.dialing import agents
from outdial.domain.campaign import CampaignStatus
from outdial.domain.explaining.rule_wording import week_text
from outdial.domain.openings import Windows
from outdial.studio.audit.service import AuditFilters, list_entries
from outdial.studio.campaigns import service as campaigns
from outdial.studio.campaigns.activity import activity_reason, activity_sentence, author_name
from outdial.studio.campaigns.callback_form import CHOICES
from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.effective_hours import closed_contacts_of, pending_places
from outdial.studio.campaigns.figures import campaign_figures, outcome_chart, rate_chart
from outdial.studio.campaigns.form import form_from_campaign, shown_hours
from outdial.studio.campaigns.launch import COUNTED_AT_ONCE, SHOWN_IN, launch_report
from outdial.studio.campaigns.results import NEWEST_RATED
from outdial.studio.campaigns.tabs import campaign_frame, frame_of
from outdial.studio.campaigns.voicemail_form import ACTIONS, THEN
from outdial.studio.forecasts.service import newest_forecast
from outdial.studio.numbers.service import list_health
from outdial.studio.reports.service import calls_over_time
from outdial.studio.view.format import minute_text
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.filters import query_values, viewer_zone
from outdial.studio.web.forms import redirect
from outdial.studio.web.paging import PageRequest, page_links
from outdial.studio.web.rendering import environment, page

router = APIRouter(prefix="/o/{organization_id}/campaigns/{campaign_id}")
NUMBERS_SHOWN: Final = 25
ENTRIES_SHOWN: Final = 50
# What the page of a campaign took when it had the list of contacts: bookmarks lead to the tab that has it now.
_OF_CONTACTS: Final = ("q", "by", "status", "outcome", "order", "cursor")


def shown_week(week: Sequence[Windows]) -> str:
    """Return the windows of a week in the notation of pages."""
    return week_text(week, minute_text)


environment.filters |= {
    "week": shown_week,
    "activity_sentence": activity_sentence,
    "activity_reason": activity_reason,
    "author_name": author_name,
}


@router.get("")
async def overview_page(
    request: Request, context: CurrentOrganization, counter: Counter, campaign_id: UUID
) -> Response:
    """Show a campaign: why it calls or not, its figures, its charts, its numbers and its budget."""
    if asked := {name: value for name, value in query_values(request.query_params, _OF_CONTACTS).items() if value}:
        return redirect(f"{request.url.path}/contacts?{urlencode(asked)}")
    now = context.studio.clock.now()
    async with context.transaction() as connection:
        campaign = await campaigns.find_campaign(connection, context.organization_id, campaign_id)
        progress = await campaigns.campaign_progress(connection, counter, campaign, rules=context.studio.rules, now=now)
        charts = await counter.charts(connection, campaign_id, campaign.status, viewer_zone(request))
        results = await counter.results(connection, campaign_id, campaign.status)
        launch = None
        if campaign.status in SHOWN_IN and 0 < progress.total <= COUNTED_AT_ONCE:
            launch = await launch_report(connection, context, campaign_id)
        forecast = await newest_forecast(connection, context, campaign_id)
        places = await pending_places(connection, context, campaign_id)
        closed = await closed_contacts_of(connection, context, campaign_id=campaign_id, counts=places)
        numbers = await list_health(connection, context, campaign.caller_numbers[:NUMBERS_SHOWN])
    return page(
        request,
        "campaigns/show.html",
        context,
        frame=frame_of(context, campaign, progress),
        tab="Overview",
        campaign=campaign,
        progress=progress,
        figures=campaign_figures(campaign, progress, results, forecast, now),
        outcomes=outcome_chart(results, progress.total, f"{request.url.path}/contacts"),
        rates=rate_chart(results),
        newest_rated=NEWEST_RATED,
        over_time=calls_over_time(charts),
        hours=shown_hours(campaign),
        launch=launch,
        forecast=forecast,
        forecast_age=forecast.age(now) if forecast and campaign.status == CampaignStatus.ACTIVE else None,
        may_count=campaign.status in SHOWN_IN and progress.total > COUNTED_AT_ONCE,
        closed=closed,
        numbers=numbers,
    )


@router.get("/settings")
async def settings_page(
    request: Request, context: CurrentOrganization, counter: Counter, campaign_id: UUID
) -> HTMLResponse:
    """Show the settings of a campaign."""
    async with context.transaction() as connection:
        frame = await campaign_frame(connection, context, counter, campaign_id)
        listed = await agents.list_agents(connection, organization_id=context.organization_id)
    names = {agent.agent_id: agent.name for agent in listed}
    return page(
        request,
        "campaigns/settings.html",
        context,
        frame=frame,
        agent_name=names.get(frame.campaign.retell_agent_id),
        tab="Settings",
        campaign=frame.campaign,
        form=form_from_campaign(frame.campaign),
        hours=shown_hours(frame.campaign),
        callback_choices=CHOICES,
        voicemail_actions=ACTIONS,
        voicemail_then=THEN,
    )


@router.get("/activity")
async def activity_page(
    request: Request, context: CurrentOrganization, counter: Counter, campaign_id: UUID
) -> HTMLResponse:
    """Show who did what to a campaign, newest first."""
    page_request = PageRequest(request.query_params.get("cursor") or None, ENTRIES_SHOWN)
    async with context.transaction() as connection:
        frame = await campaign_frame(connection, context, counter, campaign_id)
        filters = AuditFilters(subject_type="campaign", subject_id=str(campaign_id))
        found = await list_entries(connection, context.organization_id, page_request, filters)
    return page(
        request,
        "campaigns/activity.html",
        context,
        frame=frame,
        tab="Activity",
        entries=found.items,
        **page_links(request.url.path, {}, page_request, found.next),
    )
