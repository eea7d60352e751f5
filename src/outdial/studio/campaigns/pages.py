"""Pages for campaigns."""

from collections.abc import Mapping
from typing import Final, cast
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.campaigns.edit import RESTING, RUNNING
from outdial.db.queries.campaigns import lock_campaign_settings
from outdial.db.session import Connection
from outdial.domain.campaign import CampaignStatus
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.studio.campaigns import service as campaigns
from outdial.studio.campaigns.actions import (
    CampaignAction,
    delete_campaign,
    duplicate_campaign,
    run_action,
)
from outdial.studio.campaigns.cures import cure_link
from outdial.studio.campaigns.effective_hours import (
    FormHours,
    grouped,
)
from outdial.studio.campaigns.form import (
    CampaignForm,
    check_start,
    form_from_campaign,
    form_from_request,
    parse_settings,
)
from outdial.studio.campaigns.form_view import (
    FormChoices,
    effective_of_form,
    form_choices,
    form_values,
    is_date,
)
from outdial.studio.campaigns.launch import launch_report
from outdial.studio.campaigns.retry_form import delay_text
from outdial.studio.campaigns.service import Campaign
from outdial.studio.campaigns.view import banner_look, contacts_bar, sorted_counts, waiting_text
from outdial.studio.undo.service import undo_url
from outdial.studio.view.purposes import CONSENTS, LISTS, PURPOSES
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, ResourceConflict, StudioError
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import Form, back_of, redirect, short_text, text
from outdial.studio.web.rendering import environment, page

router = APIRouter(prefix="/o/{organization_id}/campaigns")

_DONE: Final[Mapping[CampaignAction, str]] = {
    "start": "started",
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
}

environment.globals |= {"purposes": PURPOSES, "consents": CONSENTS, "lists": LISTS}
environment.filters |= {
    "banner_look": banner_look,
    "contacts_bar": contacts_bar,
    "waiting_text": waiting_text,
    "cure_link": cure_link,
    "sorted_counts": sorted_counts,
    "delay_text": delay_text,
    "grouped": grouped,
    "is_date": is_date,
}


@router.post("/effective-hours")
async def effective_hours_part(request: Request, context: CurrentOrganization, form: Form) -> HTMLResponse:
    """Return the part of the form that shows which of its hours the calling rules allow."""
    context.require("operator")
    campaign = text(form, "campaign_id")
    try:
        campaign_id = UUID(campaign) if campaign else None
    except ValueError:
        raise InvalidInput("Unknown campaign", {"campaign_id": "must be a campaign's id"}) from None
    async with context.transaction() as connection:
        effective = await effective_of_form(connection, context, form_from_request(form), campaign_id)
    return page(request, "campaigns/effective_hours.html", context, effective=effective)


@router.get("/{campaign_id}/launch-report")
async def launch_page(request: Request, context: CurrentOrganization, campaign_id: UUID) -> HTMLResponse:
    """Show which contacts a campaign will not call, by reason."""
    async with context.transaction() as connection:
        campaign = await campaigns.find_campaign(connection, context.organization_id, campaign_id)
        launch = await launch_report(connection, context, campaign_id)
    return page(request, "campaigns/launch.html", context, campaign=campaign, launch=launch)


@router.get("/{campaign_id}/edit")
async def edit_page(request: Request, context: CurrentOrganization, campaign_id: UUID) -> Response:
    """Show the form of an editable campaign; that of a draft is its setup."""
    context.require("operator")
    async with context.transaction() as connection:
        campaign = await campaigns.find_campaign(connection, context.organization_id, campaign_id)
        choices = await form_choices(connection, context.organization_id)
        form = form_from_campaign(campaign, viewer_zone(request))
        effective = await effective_of_form(connection, context, form, campaign_id)
    if campaign.status == CampaignStatus.DRAFT:
        return redirect(f"{_url_of(context, campaign_id)}/setup")
    if campaign.status not in RESTING + RUNNING:
        message = f"This campaign is {campaign.status}. It can no longer be edited."
        return redirect(_url_of(context, campaign_id), message, "warn")
    return _form_page(request, context, form, choices, effective=effective, campaign=campaign, seen=campaign.etag)


@router.post("/{campaign_id}/edit")
async def save(request: Request, context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Save the settings, unless they have changed since the form was loaded."""
    context.require("operator")
    typed = form_from_request(form)
    try:
        async with context.transaction() as connection:
            campaign = await campaigns.find_campaign(connection, context.organization_id, campaign_id)
            if campaign.status == CampaignStatus.DRAFT:
                message = "A draft is edited step by step. Nothing of this form has been saved."
                return redirect(f"{_url_of(context, campaign_id)}/setup", message, "warn")
            settings = parse_settings(typed, campaign)
            check_start(settings["scheduled_at"], campaign.status, context.studio.clock.now())
            await campaigns.change_campaign(connection, context, campaign_id, settings, text(form, "seen") or None)
    except (InvalidInput, ResourceConflict, PreconditionFailed) as error:
        async with context.transaction() as connection:
            campaign = await campaigns.find_campaign(connection, context.organization_id, campaign_id)
            choices = await form_choices(connection, context.organization_id)
            effective = await effective_of_form(connection, context, typed, campaign_id)
        seen = campaign.etag if isinstance(error, PreconditionFailed) else text(form, "seen")
        return _form_page(
            request, context, typed, choices, effective=effective, campaign=campaign, seen=seen, error=error
        )
    return redirect(_url_of(context, campaign_id), "Settings saved.")


@router.post("/{campaign_id}/start")
@router.post("/{campaign_id}/pause")
@router.post("/{campaign_id}/resume")
@router.post("/{campaign_id}/cancel")
@router.post("/{campaign_id}/close")
@router.post("/{campaign_id}/process-batch")
async def act(request: Request, context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Run an action on a campaign; the campaign page shows a conflict as a message."""
    context.require("operator")
    action = cast("CampaignAction", request.url.path.rpartition("/")[2])
    url = back_of(form, _url_of(context, campaign_id))
    try:
        async with context.transaction() as connection:
            if text(form, "only") == "schedule":
                await _check_schedules(connection, context, campaign_id)
            result = await run_action(connection, context, campaign_id, action, hang_up=text(form, "hang_up") == "true")
    except ResourceConflict as error:
        return redirect(url, error.message, "warn")
    match action, result.status:
        case "process-batch", _:
            message = "Processing the next batch."
        case "close", _:
            message = "The campaign completes when its contacts are finished."
        case "start", CampaignStatus.SCHEDULED:
            message = "Campaign scheduled."
        case "pause", CampaignStatus.PAUSING:
            message = "Pausing. Calls in progress will continue."
        case "cancel", CampaignStatus.CANCELLING:
            message = "Cancelling campaign."
        case _:
            message = f"Campaign {_DONE[action]}." if result.changed else f"The campaign is already {result.status}."
    return redirect(url, message, undo=undo_url(context, result.act_id))


async def _check_schedules(connection: Connection, context: OrganizationContext, campaign_id: UUID) -> None:
    """Raise ResourceConflict if a start would not only schedule: the button is as old as its page."""
    await lock_campaign_settings(connection, campaign_id=campaign_id, organization_id=context.organization_id)
    campaign = await campaigns.find_campaign(connection, context.organization_id, campaign_id)
    if campaign.status != CampaignStatus.DRAFT:
        raise ResourceConflict(f"The campaign is already {campaign.status}", status=campaign.status)
    if campaign.scheduled_at is None or campaign.scheduled_at <= context.studio.clock.now():
        raise ResourceConflict(
            "The planned start has passed or was removed. Start the campaign now, or change its start time"
        )


@router.post("/{campaign_id}/archive")
@router.post("/{campaign_id}/unarchive")
async def archive(request: Request, context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Archive a campaign or take it out of the archive; the message offers the opposite."""
    context.require("operator")
    action = cast("CampaignAction", request.url.path.rpartition("/")[2])
    url = back_of(form, _url_of(context, campaign_id))
    try:
        async with context.transaction() as connection:
            await run_action(connection, context, campaign_id, action)
    except ResourceConflict as error:
        return redirect(url, error.message, "warn")
    done, opposite = ("archived", "unarchive") if action == "archive" else ("unarchived", "archive")
    return redirect(url, f"Campaign {done}.", undo=f"{_url_of(context, campaign_id)}/{opposite}")


@router.post("/{campaign_id}/delete")
async def delete(context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Delete a draft."""
    context.require("operator")
    try:
        async with context.transaction() as connection:
            await delete_campaign(connection, context, campaign_id)
    except ResourceConflict as error:
        return redirect(_url_of(context, campaign_id), error.message, "warn")
    return redirect(back_of(form, f"/o/{context.organization_id}/campaigns"), "Draft deleted.", "info")


@router.post("/{campaign_id}/duplicate")
async def duplicate(context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Create a draft with the same settings, and open its form."""
    context.require("operator")
    async with context.transaction() as connection:
        reason = short_text(form, "reason", LONGEST_DECISION_NOTE) or None
        copy = await duplicate_campaign(connection, context, campaign_id, reason=reason)
    return redirect(f"{_url_of(context, copy.id)}/setup/who", "Draft created. Import contacts before you start it.")


def _url_of(context: OrganizationContext, campaign_id: UUID) -> str:
    return f"/o/{context.organization_id}/campaigns/{campaign_id}"


def _form_page(
    request: Request,
    context: OrganizationContext,
    form: CampaignForm,
    choices: FormChoices,
    *,
    effective: FormHours | None,
    campaign: Campaign,
    seen: str,
    error: StudioError | None = None,
) -> HTMLResponse:
    return page(
        request,
        "campaigns/form.html",
        context,
        status=200 if error is None else error.status,
        is_running=campaign.status in RUNNING,
        seen=seen,
        **form_values(form, choices, effective=effective, campaign=campaign, error=error),
    )
