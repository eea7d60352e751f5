"""Pages for campaigns."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.campaigns.edit import EDITABLE
from outdial.db import campaigns as campaigns_db
from outdial.db import studio_campaigns as db
from outdial.db.statements import Connection
from outdial.domain.calling_hours import WEEKDAYS
from outdial.domain.campaign import CampaignStatus
from outdial.domain.ids import new_id
from outdial.studio.campaign_contacts.panel import contact_panel
from outdial.studio.campaigns import service as resource
from outdial.studio.campaigns.actions import Step, steps_from, take_step
from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.form import (
    CampaignForm,
    account_of,
    blank,
    form_of,
    read_form,
    settings_of,
    zone_names,
)
from outdial.studio.campaigns.retry_form import attempt_options, delay_options, duration_words
from outdial.studio.campaigns.service import Campaign, NewCampaign
from outdial.studio.campaigns.view import by_number, contacts_bar, outcomes_bar, time_left, why
from outdial.studio.reports import service as reports
from outdial.studio.view.badges import words
from outdial.studio.web.context import AtWork, Workplace
from outdial.studio.web.errors import Conflict, InvalidInput, Outdated, StudioError
from outdial.studio.web.forms import CSRF_FIELD, Form, redirect, text
from outdial.studio.web.paging import Asked
from outdial.studio.web.preconditions import once
from outdial.studio.web.rendering import environment, page

router = APIRouter(prefix="/o/{organization_id}/campaigns")

LIMIT: Final = 25
_STATUSES: Final = [("", "Any"), *((status.value, words(status)) for status in CampaignStatus)]
_SAYS: Final[Mapping[Step, str]] = {
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
async def list_page(request: Request, at: AtWork, counter: Counter) -> HTMLResponse:
    """Show the campaigns of an organization with how far each is."""
    query = request.query_params
    name = query.get("name", "").strip()[:200]
    status = query.get("status", "")
    chosen = CampaignStatus(status) if status in set(CampaignStatus) else None
    cursor = query.get("cursor") or None
    async with at.transaction() as connection:
        found = await resource.list_campaigns(
            connection,
            counter,
            at.organization_id,
            Asked(cursor, LIMIT),
            at.studio.clock.now(),
            status=chosen,
            name=name,
        )
    kept = {key: value for key, value in (("name", name), ("status", chosen or "")) if value}
    url = request.url.path
    return page(
        request,
        "campaigns/list.html",
        at,
        campaigns=found.items,
        name=name,
        chosen=chosen,
        statuses=_STATUSES,
        is_narrowed=bool(kept),
        next_url=f"{url}?{urlencode({**kept, 'cursor': found.next})}" if found.next else None,
        first_url=f"{url}?{urlencode(kept)}" if cursor else None,
    )


@router.get("/new")
async def new_page(request: Request, at: AtWork) -> HTMLResponse:
    """Show the form of a new campaign, with the agent and the number of the one before."""
    at.require("operator")
    async with at.transaction() as connection:
        choices = await _choices(connection, at.organization_id)
    return _form_page(request, at, blank(choices["agent"], choices["caller"]), choices)


@router.post("")
async def create(request: Request, at: AtWork, form: Form) -> Response:
    """Create a draft, once however often the form is sent, and go on to its contacts."""
    at.require("operator")
    typed = read_form(form)
    try:
        settings = settings_of(typed) | {"provider_account_id": account_of(typed)}
        sent = sorted((key, str(value)) for key, value in form.multi_items() if key != CSRF_FIELD)
        created = await once(
            at,
            text(form, "key")[:200] or None,
            hashlib.sha256(repr(sent).encode()).digest(),
            # The feature checks what these may be, and names the field.
            lambda connection: resource.create_campaign(connection, at, NewCampaign.model_construct(**settings)),
        )
    except (InvalidInput, Conflict) as error:
        async with at.transaction() as connection:
            choices = await _choices(connection, at.organization_id)
        return _form_page(request, at, typed, choices, error=error)
    url = f"/o/{at.organization_id}/campaigns/{created.body['id']}/import"
    return redirect(url, f"{typed.name} is a draft now. Add its contacts, then start it.")


@router.get("/{campaign_id}")
async def show_page(request: Request, at: AtWork, counter: Counter, campaign_id: UUID) -> HTMLResponse:
    """Show a campaign: what it does, how far it is, its charts and its contacts."""
    now = at.studio.clock.now()
    async with at.transaction() as connection:
        campaign = await resource.find_campaign(connection, at.organization_id, campaign_id)
        progress = await resource.campaign_progress(connection, counter, campaign, now)
        charts = await counter.charts(connection, campaign_id, campaign.status)
        panel = await contact_panel(connection, at.organization_id, campaign_id, request.query_params, request.url.path)
    return page(
        request,
        "campaigns/show.html",
        at,
        campaign=campaign,
        form=form_of(campaign),
        progress=progress,
        steps=steps_from(campaign.status) if at.may("operator") else (),
        may_edit=at.may("operator") and campaign.status in EDITABLE,
        charts=reports.drawn(charts),
        contact_panel=panel,
        weekdays=WEEKDAYS,
    )


@router.get("/{campaign_id}/edit")
async def edit_page(request: Request, at: AtWork, campaign_id: UUID) -> Response:
    """Show the form of a campaign that is not at work."""
    at.require("operator")
    async with at.transaction() as connection:
        campaign = await resource.find_campaign(connection, at.organization_id, campaign_id)
        choices = await _choices(connection, at.organization_id)
    if campaign.status not in EDITABLE:
        what = "Pause it to change its settings." if campaign.status == CampaignStatus.ACTIVE else "It stays as it is."
        return redirect(_url_of(at, campaign_id), f"The campaign is {campaign.status}. {what}", "warn")
    return _form_page(request, at, form_of(campaign), choices, campaign=campaign, seen=campaign.etag)


@router.post("/{campaign_id}/edit")
async def save(request: Request, at: AtWork, campaign_id: UUID, form: Form) -> Response:
    """Keep the settings, unless somebody else has changed them since the form was loaded."""
    at.require("operator")
    typed = read_form(form)
    try:
        async with at.transaction() as connection:
            campaign = await resource.find_campaign(connection, at.organization_id, campaign_id)
            settings = settings_of(typed, campaign.retry_policy)
            await resource.change_campaign(connection, at, campaign_id, settings, text(form, "seen") or None)
    except (InvalidInput, Conflict, Outdated) as error:
        async with at.transaction() as connection:
            campaign = await resource.find_campaign(connection, at.organization_id, campaign_id)
            choices = await _choices(connection, at.organization_id)
        seen = campaign.etag if isinstance(error, Outdated) else text(form, "seen")
        return _form_page(request, at, typed, choices, campaign=campaign, seen=seen, error=error)
    return redirect(_url_of(at, campaign_id), "The settings are saved.")


@router.post("/{campaign_id}/start")
@router.post("/{campaign_id}/pause")
@router.post("/{campaign_id}/resume")
@router.post("/{campaign_id}/cancel")
@router.post("/{campaign_id}/process-batch")
async def step(request: Request, at: AtWork, campaign_id: UUID, form: Form) -> Response:
    """Start, pause, resume or cancel a campaign; a state that does not allow it is told on its page."""
    at.require("operator")
    step = cast("Step", request.url.path.rpartition("/")[2])
    url = _url_of(at, campaign_id)
    try:
        async with at.transaction() as connection:
            done = await take_step(connection, at, campaign_id, step, hang_up=text(form, "hang_up") == "true")
    except Conflict as error:
        return redirect(url, error.message, "warn")
    return redirect(url, _what_happened(step, done.status, changed=done.changed))


def _what_happened(step: Step, status: CampaignStatus, *, changed: bool) -> str:
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


def _url_of(at: Workplace, campaign_id: UUID) -> str:
    return f"/o/{at.organization_id}/campaigns/{campaign_id}"


async def _choices(connection: Connection, organization_id: UUID) -> dict[str, Any]:
    """Return what the form offers: accounts, numbers and agents, and what the newest campaign had."""
    accounts = await campaigns_db.FIND_PROVIDER_ACCOUNTS.all(connection, organization_id=organization_id)
    callers = await db.LIST_CALLERS.all(connection, organization_id=organization_id)
    recent = await db.RECENT_CALLERS.all(connection, organization_id=organization_id)
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
    at: Workplace,
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
        at,
        status=200 if error is None else error.status,
        campaign=campaign,
        form=form,
        seen=seen,
        key=str(new_id(at.studio.clock.now())),
        choices=choices,
        zones=zone_names(),
        weekdays=WEEKDAYS,
        delay_options=delay_options,
        attempt_options=attempt_options,
        error=error,
        errors=error.fields if isinstance(error, InvalidInput) else {},
    )
