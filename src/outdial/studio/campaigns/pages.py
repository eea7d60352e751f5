"""Pages for campaigns."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.campaigns.edit import EDITABLE
from outdial.db.queries import accounts as account_queries
from outdial.db.queries import campaigns
from outdial.db.session import Connection
from outdial.domain.calling_hours import WEEKDAYS
from outdial.domain.campaign import CampaignStatus
from outdial.domain.ids import new_id
from outdial.studio.campaign_contacts.panel import contact_panel
from outdial.studio.campaigns import service as resource
from outdial.studio.campaigns.actions import CampaignAction, allowed_actions, run_action
from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.form import (
    CampaignForm,
    empty_form,
    form_from_campaign,
    parse_account,
    parse_settings,
    read_form,
    zone_names,
)
from outdial.studio.campaigns.retry_form import attempt_options, delay_options, duration_words
from outdial.studio.campaigns.service import Campaign, CampaignDraft
from outdial.studio.campaigns.view import by_number, contacts_bar, outcomes_bar, time_left, why
from outdial.studio.reports import service as reports
from outdial.studio.view.badges import humanize
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, ResourceConflict, StudioError
from outdial.studio.web.forms import CSRF_FIELD, Form, redirect, text
from outdial.studio.web.paging import PageRequest
from outdial.studio.web.preconditions import run_idempotent
from outdial.studio.web.rendering import environment, page

router = APIRouter(prefix="/o/{organization_id}/campaigns")

LIMIT: Final = 25
_STATUSES: Final = [("", "Any"), *((status.value, humanize(status)) for status in CampaignStatus)]
_SAYS: Final[Mapping[CampaignAction, str]] = {
    "start": "started",
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
    "process-batch": "looked at",
}

environment.filters |= {
    "contacts_bar": contacts_bar,
    "outcomes_bar": outcomes_bar,
    "time_left": time_left,
    "why": why,
    "by_number": by_number,
    "delay_words": duration_words,
}


@router.get("")
async def list_page(request: Request, context: CurrentOrganization, counter: Counter) -> HTMLResponse:
    """Show the campaigns of an organization with how far each is."""
    query = request.query_params
    name = query.get("name", "").strip()[:200]
    status = query.get("status", "")
    chosen = CampaignStatus(status) if status in set(CampaignStatus) else None
    cursor = query.get("cursor") or None
    async with context.transaction() as connection:
        found = await resource.list_campaigns(
            connection,
            counter,
            context.organization_id,
            PageRequest(cursor, LIMIT),
            context.studio.clock.now(),
            status=chosen,
            name=name,
        )
    kept = {key: value for key, value in (("name", name), ("status", chosen or "")) if value}
    url = request.url.path
    return page(
        request,
        "campaigns/list.html",
        context,
        campaigns=found.items,
        name=name,
        chosen=chosen,
        statuses=_STATUSES,
        is_narrowed=bool(kept),
        next_url=f"{url}?{urlencode({**kept, 'cursor': found.next})}" if found.next else None,
        first_url=f"{url}?{urlencode(kept)}" if cursor else None,
    )


@router.get("/new")
async def new_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the form of a new campaign, with the agent and the number of the one before."""
    context.require("operator")
    async with context.transaction() as connection:
        choices = await _choices(connection, context.organization_id)
    return _form_page(request, context, empty_form(choices["agent"], choices["caller"]), choices)


@router.post("")
async def create(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Create a draft, once however often the form is sent, and go on to its contacts."""
    context.require("operator")
    typed = read_form(form)
    try:
        settings = parse_settings(typed) | {"provider_account_id": parse_account(typed)}
        sent = sorted((key, str(value)) for key, value in form.multi_items() if key != CSRF_FIELD)
        created = await run_idempotent(
            context,
            text(form, "key")[:200] or None,
            hashlib.sha256(repr(sent).encode()).digest(),
            # The feature checks what these may be, and names the field.
            lambda connection: resource.create_campaign(connection, context, CampaignDraft.model_construct(**settings)),
        )
    except (InvalidInput, ResourceConflict) as error:
        async with context.transaction() as connection:
            choices = await _choices(connection, context.organization_id)
        return _form_page(request, context, typed, choices, error=error)
    url = f"/o/{context.organization_id}/campaigns/{created.body['id']}/import"
    return redirect(url, f"{typed.name} is a draft now. Add its contacts, then start it.")


@router.get("/{campaign_id}")
async def show_page(
    request: Request, context: CurrentOrganization, counter: Counter, campaign_id: UUID
) -> HTMLResponse:
    """Show a campaign: what it does, how far it is, its charts and its contacts."""
    now = context.studio.clock.now()
    async with context.transaction() as connection:
        campaign = await resource.find_campaign(connection, context.organization_id, campaign_id)
        progress = await resource.campaign_progress(connection, counter, campaign, now)
        charts = await counter.charts(connection, campaign_id, campaign.status)
        panel = await contact_panel(
            connection, context.organization_id, campaign_id, request.query_params, request.url.path
        )
    return page(
        request,
        "campaigns/show.html",
        context,
        campaign=campaign,
        form=form_from_campaign(campaign),
        progress=progress,
        steps=allowed_actions(campaign.status) if context.may("operator") else (),
        may_edit=context.may("operator") and campaign.status in EDITABLE,
        charts=reports.render_charts(charts),
        contact_panel=panel,
        weekdays=WEEKDAYS,
    )


@router.get("/{campaign_id}/edit")
async def edit_page(request: Request, context: CurrentOrganization, campaign_id: UUID) -> Response:
    """Show the form of a campaign that is not at work."""
    context.require("operator")
    async with context.transaction() as connection:
        campaign = await resource.find_campaign(connection, context.organization_id, campaign_id)
        choices = await _choices(connection, context.organization_id)
    if campaign.status not in EDITABLE:
        what = "Pause it to change its settings." if campaign.status == CampaignStatus.ACTIVE else "It stays as it is."
        return redirect(_url_of(context, campaign_id), f"The campaign is {campaign.status}. {what}", "warn")
    return _form_page(request, context, form_from_campaign(campaign), choices, campaign=campaign, seen=campaign.etag)


@router.post("/{campaign_id}/edit")
async def save(request: Request, context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Keep the settings, unless somebody else has changed them since the form was loaded."""
    context.require("operator")
    typed = read_form(form)
    try:
        async with context.transaction() as connection:
            campaign = await resource.find_campaign(connection, context.organization_id, campaign_id)
            settings = parse_settings(typed, campaign.retry_policy)
            await resource.change_campaign(connection, context, campaign_id, settings, text(form, "seen") or None)
    except (InvalidInput, ResourceConflict, PreconditionFailed) as error:
        async with context.transaction() as connection:
            campaign = await resource.find_campaign(connection, context.organization_id, campaign_id)
            choices = await _choices(connection, context.organization_id)
        seen = campaign.etag if isinstance(error, PreconditionFailed) else text(form, "seen")
        return _form_page(request, context, typed, choices, campaign=campaign, seen=seen, error=error)
    return redirect(_url_of(context, campaign_id), "The settings are saved.")


@router.post("/{campaign_id}/start")
@router.post("/{campaign_id}/pause")
@router.post("/{campaign_id}/resume")
@router.post("/{campaign_id}/cancel")
@router.post("/{campaign_id}/process-batch")
async def step(request: Request, context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Start, pause, resume or cancel a campaign; a state that does not allow it is told on its page."""
    context.require("operator")
    step = cast("CampaignAction", request.url.path.rpartition("/")[2])
    url = _url_of(context, campaign_id)
    try:
        async with context.transaction() as connection:
            done = await run_action(connection, context, campaign_id, step, hang_up=text(form, "hang_up") == "true")
    except ResourceConflict as error:
        return redirect(url, error.message, "warn")
    return redirect(url, _what_happened(step, done.status, changed=done.changed))


def _what_happened(step: CampaignAction, status: CampaignStatus, *, changed: bool) -> str:
    match step, status:
        case "process-batch", _:
            return "The dialer looks at the campaign now."
        case "start", CampaignStatus.SCHEDULED:
            return "The campaign is scheduled, and starts at its time."
        case "pause", CampaignStatus.PAUSING:
            return "The campaign is pausing: the requests that are under way are answered first."
        case "cancel", CampaignStatus.CANCELLING:
            return "The campaign is being cancelled."
    return f"The campaign is {_SAYS[step]}." if changed else f"The campaign was {status} already."


def _url_of(context: OrganizationContext, campaign_id: UUID) -> str:
    return f"/o/{context.organization_id}/campaigns/{campaign_id}"


async def _choices(connection: Connection, organization_id: UUID) -> dict[str, Any]:
    """Return what the form offers: accounts, numbers and agents, and what the newest campaign had."""
    accounts = await account_queries.list_accounts(connection, organization_id=organization_id)
    callers = await account_queries.list_caller_numbers(connection, organization_id=organization_id)
    recent = await campaigns.recent_callers(connection, organization_id=organization_id)
    numbers = {caller.phone: caller.nickname or "" for caller in callers}
    numbers |= {row.from_number: "" for row in recent if row.from_number not in numbers}
    agents = [row.retell_agent_id for row in recent] + [caller.retell_agent_id for caller in callers]
    known_agents = [*dict.fromkeys(filter(None, agents))]
    return {
        "accounts": [("", "Choose one"), *((str(account.id), account.name) for account in accounts)],
        "numbers": numbers,
        "agents": known_agents,
        "agent": known_agents[0] if known_agents else "",
        "caller": recent[0].from_number if recent else next(iter(numbers), ""),
    }


def _form_page(
    request: Request,
    context: OrganizationContext,
    form: CampaignForm,
    choices: Mapping[str, Any],
    *,
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
        form=form,
        seen=seen,
        key=str(new_id(context.studio.clock.now())),
        choices=choices,
        zones=zone_names(),
        weekdays=WEEKDAYS,
        delay_options=delay_options,
        attempt_options=attempt_options,
        error=error,
        errors=error.fields if isinstance(error, InvalidInput) else {},
    )
