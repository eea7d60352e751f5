"""Pages for campaigns."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, cast
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.campaigns.edit import RESTING, RUNNING
from outdial.db.queries import accounts as account_queries
from outdial.db.queries import campaigns as campaign_queries
from outdial.db.queries.dialing import agents as agent_queries
from outdial.db.session import Connection
from outdial.dialer.budgets.limits import read_budgets
from outdial.domain.calling_hours import WEEKDAYS
from outdial.domain.campaign import CampaignStatus
from outdial.domain.ids import new_id
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.domain.policies.day_parts import DayPart
from outdial.domain.policies.voicemail import LONGEST_MESSAGE
from outdial.domain.purpose import Purpose
from outdial.studio.budgets.service import shared_budgets
from outdial.studio.campaigns import service as campaigns
from outdial.studio.campaigns.actions import (
    CampaignAction,
    delete_campaign,
    duplicate_campaign,
    run_action,
)
from outdial.studio.campaigns.callback_form import CHOICES
from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.cures import cure_link
from outdial.studio.campaigns.effective_hours import (
    EffectiveHours,
    HoursQuestion,
    effective_hours,
    grouped,
)
from outdial.studio.campaigns.form import (
    CampaignForm,
    empty_form,
    form_from_campaign,
    form_from_request,
    parse_account,
    parse_hours,
    parse_settings,
    zone_names,
)
from outdial.studio.campaigns.launch import launch_report
from outdial.studio.campaigns.retry_form import attempt_options, delay_options, delay_text
from outdial.studio.campaigns.service import Campaign, CampaignDraft
from outdial.studio.campaigns.view import banner_look, contacts_bar, outcomes_bar, sorted_counts, waiting_text
from outdial.studio.campaigns.voicemail_form import ACTIONS, THEN
from outdial.studio.view.badges import humanize
from outdial.studio.view.purposes import CONSENTS, LISTS, PURPOSES
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, ResourceConflict, StudioError
from outdial.studio.web.filters import changed_rows, viewer_zone
from outdial.studio.web.forms import CSRF_FIELD, Form, back_of, redirect, short_text, text
from outdial.studio.web.paging import PageRequest, page_links
from outdial.studio.web.preconditions import run_idempotent
from outdial.studio.web.rendering import environment, page

router = APIRouter(prefix="/o/{organization_id}/campaigns")

LIMIT: Final = 25
_OFFERED_AGENTS: Final = 200
_STATUSES: Final = [("", "Any"), *((status.value, humanize(status)) for status in CampaignStatus)]
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
    "outcomes_bar": outcomes_bar,
    "waiting_text": waiting_text,
    "cure_link": cure_link,
    "sorted_counts": sorted_counts,
    "delay_text": delay_text,
    "grouped": grouped,
}


@router.get("")
async def list_page(request: Request, context: CurrentOrganization, counter: Counter) -> HTMLResponse:
    """Show the campaigns with their progress; a live update asks for the changed ones only."""
    query = request.query_params
    name = query.get("name", "").strip()[:200]
    status = query.get("status", "")
    chosen = CampaignStatus(status) if status in set(CampaignStatus) else None
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    changed = changed_rows(request)
    now = context.studio.clock.now()
    async with context.transaction() as connection:
        found, following = await campaigns.list_campaigns(
            connection, context.organization_id, page_request, status=chosen, name=name
        )
        budgets = await read_budgets(connection, [row.id for row in found], now)
        progress_of = await campaigns.progress_of(
            connection,
            counter,
            [row for row in found if changed is None or row.id in changed],
            budgets=budgets,
            rules=context.studio.rules,
            now=now,
        )
    form = {"name": name, "status": chosen or ""}
    return page(
        request,
        "campaigns/list.html",
        context,
        campaigns=found,
        progress_of=progress_of,
        budgets=shared_budgets(budgets.values()),
        name=name,
        chosen=chosen,
        statuses=_STATUSES,
        is_narrowed=any(form.values()),
        **page_links(request.url.path, form, page_request, following),
    )


@router.get("/new")
async def new_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the form of a new campaign, with agent and number of the most recent one."""
    context.require("operator")
    async with context.transaction() as connection:
        choices = await _choices(connection, context.organization_id)
        form = empty_form(choices["agent"], choices["caller"], viewer_zone(request))
        effective = await _effective(connection, context, form)
    return _form_page(request, context, form, choices, effective=effective)


@router.post("")
async def create(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Create a draft, once even when the form is sent twice, and redirect to the import."""
    context.require("operator")
    typed = form_from_request(form)
    try:
        settings = parse_settings(typed) | {"provider_account_id": parse_account(typed)}
        sent = sorted((key, str(value)) for key, value in form.multi_items() if key != CSRF_FIELD)
        created = await run_idempotent(
            context,
            text(form, "key")[:200] or None,
            hashlib.sha256(repr(sent).encode()).digest(),
            # Validated in `campaigns`, which names the invalid field.
            lambda connection: campaigns.create_campaign(
                connection, context, CampaignDraft.model_construct(**settings)
            ),
        )
    except (InvalidInput, ResourceConflict) as error:
        async with context.transaction() as connection:
            choices = await _choices(connection, context.organization_id)
            effective = await _effective(connection, context, typed)
        return _form_page(request, context, typed, choices, effective=effective, error=error)
    url = f"/o/{context.organization_id}/campaigns/{created.body['id']}/import"
    return redirect(url, f"{typed.name} created as a draft. Import contacts, then start it.")


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
        effective = await _effective(connection, context, form_from_request(form), campaign_id)
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
    """Show the form of an editable campaign."""
    context.require("operator")
    async with context.transaction() as connection:
        campaign = await campaigns.find_campaign(connection, context.organization_id, campaign_id)
        choices = await _choices(connection, context.organization_id)
        form = form_from_campaign(campaign, viewer_zone(request))
        effective = await _effective(connection, context, form, campaign_id)
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
            settings = parse_settings(typed, campaign.retry_policy)
            await campaigns.change_campaign(connection, context, campaign_id, settings, text(form, "seen") or None)
    except (InvalidInput, ResourceConflict, PreconditionFailed) as error:
        async with context.transaction() as connection:
            campaign = await campaigns.find_campaign(connection, context.organization_id, campaign_id)
            choices = await _choices(connection, context.organization_id)
            effective = await _effective(connection, context, typed, campaign_id)
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
            message = "Pausing. Calls that are being placed right now will continue."
        case "cancel", CampaignStatus.CANCELLING:
            message = "Cancelling campaign."
        case _:
            message = f"Campaign {_DONE[action]}." if result.changed else f"The campaign is already {result.status}."
    return redirect(url, message)


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
    done, opposite = ("archived", "unarchive") if action == "archive" else ("taken out of the archive", "archive")
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
    return redirect(f"{_url_of(context, copy.id)}/edit", "Draft created. Import contacts before you start it.")


async def _effective(
    connection: Connection, context: OrganizationContext, form: CampaignForm, campaign_id: UUID | None = None
) -> EffectiveHours | None:
    """Return the hours in a form that the rules allow; None if the hours or the purpose cannot be read."""
    fields: dict[str, str] = {}
    hours = parse_hours(fields, form)
    if fields or form.purpose not in list(Purpose):
        return None
    question = HoursQuestion(calling_hours=hours, purpose=Purpose(form.purpose), campaign_id=campaign_id)
    try:
        return await effective_hours(connection, context, question)
    except InvalidInput:
        return None


def _url_of(context: OrganizationContext, campaign_id: UUID) -> str:
    return f"/o/{context.organization_id}/campaigns/{campaign_id}"


async def _choices(connection: Connection, organization_id: UUID) -> dict[str, Any]:
    """Return the options of the form: accounts, numbers and agents, with those of the newest campaign as defaults."""
    accounts = await account_queries.list_accounts(connection, organization_id=organization_id)
    callers = await account_queries.list_caller_numbers(connection, organization_id=organization_id)
    recent = await campaign_queries.recent_callers(connection, organization_id=organization_id)
    numbers = {caller.phone: caller.nickname or "" for caller in callers}
    numbers |= {row.from_number: "" for row in recent if row.from_number not in numbers}
    listed = await agent_queries.list_agents(connection, organization_id=organization_id)
    agents = {agent.agent_id: agent.name for agent in listed if not agent.is_suspended}
    used = [row.retell_agent_id for row in recent] + [caller.retell_agent_id for caller in callers]
    known_agents = [agent for agent in dict.fromkeys(filter(None, used)) if agent in agents or not listed]
    agents |= {agent: "" for agent in known_agents if agent not in agents}
    return {
        "accounts": [("", "Select one"), *((str(account.id), account.name) for account in accounts)],
        "numbers": numbers,
        "agents": dict([*agents.items()][:_OFFERED_AGENTS]),
        "agent": known_agents[0] if known_agents else next(iter(agents), ""),
        "caller": recent[0].from_number if recent else next(iter(numbers), ""),
    }


def _form_page(
    request: Request,
    context: OrganizationContext,
    form: CampaignForm,
    choices: Mapping[str, Any],
    *,
    effective: EffectiveHours | None,
    campaign: Campaign | None = None,
    seen: str = "",
    error: StudioError | None = None,
) -> HTMLResponse:
    return page(
        request,
        "campaigns/form.html",
        context,
        status=200 if error is None else error.status,
        campaign=campaign,
        is_running=campaign is not None and campaign.status in RUNNING,
        form=form,
        effective=effective,
        seen=seen,
        key=str(new_id(context.studio.clock.now())),
        choices=choices,
        zones=zone_names(),
        weekdays=WEEKDAYS,
        delay_options=delay_options,
        day_parts=tuple(DayPart),
        callback_choices=CHOICES,
        voicemail_actions=ACTIONS,
        voicemail_then=THEN,
        longest_message=LONGEST_MESSAGE,
        attempt_options=attempt_options,
        error=error,
        errors=error.fields if isinstance(error, InvalidInput) else {},
    )
