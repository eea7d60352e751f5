"""The pages of the setup. Each step is its own form, which saves into the draft; setup.js also saves as the user types.

A request with the header `x-autosave` gets JSON: what is wrong by field, or the ETag of what is stored now.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from outdial.campaigns.edit import RESTING, RUNNING
from outdial.db.queries.campaigns import lock_campaign_settings
from outdial.db.session import Connection
from outdial.domain.campaign import CampaignStatus
from outdial.domain.ids import new_id
from outdial.studio.campaign_setup.steps import CONTENTS, SetupStep, merged_form, neighbor, step_etag, step_marks
from outdial.studio.campaigns.counts import CampaignCounter, Counter
from outdial.studio.campaigns.form import (
    CampaignForm,
    check_start,
    empty_form,
    form_from_campaign,
    form_from_request,
    parse_account,
    parse_settings,
)
from outdial.studio.campaigns.form_view import effective_of_form, form_choices, form_values
from outdial.studio.campaigns.service import (
    Campaign,
    CampaignDraft,
    change_campaign,
    create_campaign,
    find_campaign,
)
from outdial.studio.launch_checks.service import request_check, show_check
from outdial.studio.numbers.service import request_import
from outdial.studio.test_calls.service import list_test_calls
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, PreconditionFailed, ResourceConflict, StudioError
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import Form, redirect, text
from outdial.studio.web.preconditions import run_idempotent
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/campaigns")

_SHOWN_TEST_CALLS: Final = 3
# The form of a new campaign is saved many times while one types: its key alone says which draft it made.
_ANY_FORM: Final = hashlib.sha256(b"new campaign").digest()


@router.get("/new")
async def new_campaign_page(request: Request, context: CurrentOrganization) -> Response:
    """Show the first step of a new campaign, with agent and number of the most recent one."""
    context.require("operator")
    async with context.transaction() as connection:
        choices = await form_choices(connection, context.organization_id)
    form = empty_form(choices.agent, choices.caller, viewer_zone(request))
    return await _first_page(request, context, form)


@router.post("")
async def create_draft(request: Request, context: CurrentOrganization, counter: Counter, form: Form) -> Response:
    """Create a draft from the first step, once even when the form is sent several times, and go to the next step."""
    context.require("operator")
    typed = merged_form(empty_form(zone=viewer_zone(request)), form_from_request(form), SetupStep.WHO)
    key = text(form, "key")[:200]
    if text(form, "then") == "import":
        return await _import_numbers(request, context, typed, key)
    try:
        settings = parse_settings(typed) | {"provider_account_id": parse_account(typed)}
        created = await run_idempotent(
            context,
            key or None,
            _ANY_FORM,
            # Validated in `campaigns`, which names the invalid field.
            lambda connection: create_campaign(connection, context, CampaignDraft.model_construct(**settings)),
        )
    except (InvalidInput, ResourceConflict) as error:
        return _rejected(error) if _is_autosave(request) else await _first_page(request, context, typed, key, error)
    campaign_id = UUID(created.body["id"])
    if created.is_repeat:
        return await save_step(request, context, counter, campaign_id, SetupStep.WHO, form)
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
    return _saved(request, context, campaign, SetupStep.WHO, form)


@router.get("/{campaign_id}/setup")
async def setup_page(
    context: CurrentOrganization, counter: Counter, campaign_id: UUID, after: SetupStep | None = None
) -> Response:
    """Go to the step `after` another one, else to the first that is not done, else to the review.

    An import leads here: without a setup, it goes on to the campaign.
    """
    context.require("operator")
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        counted = await counter.count(connection, {campaign_id: campaign.status})
    url = _url_of(context, campaign_id)
    if campaign.status != CampaignStatus.DRAFT:
        return redirect(url)
    if after is not None:
        return redirect(f"{url}/setup/{neighbor(after, 1)}")
    marks = step_marks(campaign, form_from_campaign(campaign), {}, counted[campaign_id].total)
    step = next((mark.step for mark in marks if not mark.is_done), SetupStep.REVIEW)
    return redirect(f"{url}/setup/{step}")


@router.get("/{campaign_id}/setup/{step}")
async def step_page(
    request: Request, context: CurrentOrganization, counter: Counter, campaign_id: UUID, step: SetupStep
) -> Response:
    """Show a step of the setup of a draft."""
    context.require("operator")
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
    if campaign.status != CampaignStatus.DRAFT:
        return _is_no_draft(context, campaign)
    return await _step_page(request, context, counter, campaign, step)


@router.post("/{campaign_id}/setup/{step}")
async def save_step(
    request: Request, context: CurrentOrganization, counter: Counter, campaign_id: UUID, step: SetupStep, form: Form
) -> Response:
    """Save a step into the draft, unless it has changed since the form was loaded."""
    context.require("operator")
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
    if campaign.status != CampaignStatus.DRAFT:
        if _is_autosave(request):
            return _rejected(ResourceConflict("This campaign is no longer a draft"))
        return _is_no_draft(context, campaign)
    stored = form_from_campaign(campaign, viewer_zone(request))
    typed = merged_form(stored, form_from_request(form), step)
    if text(form, "then") == "import":
        return await _import_numbers(request, context, typed, text(form, "seen"), campaign)
    try:
        # With the defaults of stored settings that cannot be read, which would keep every step from being saved.
        changes = parse_settings(typed, campaign, {*CONTENTS[step].settings, *stored.unreadable})
        if step == SetupStep.WHEN:
            check_start(changes["scheduled_at"], campaign.status, context.studio.clock.now())
        async with context.transaction() as connection:
            await _check_unchanged(connection, context, campaign_id, step, changes, text(form, "seen"))
            campaign = await change_campaign(connection, context, campaign_id, changes, None)
            if neighbor(step, 1) == SetupStep.REVIEW and not _is_autosave(request):
                await request_check(connection, context, campaign_id)
    except (InvalidInput, ResourceConflict, PreconditionFailed) as error:
        if _is_autosave(request):
            return _rejected(error)
        return await _step_page(request, context, counter, campaign, step, typed, error)
    return _saved(request, context, campaign, step, form)


async def _check_unchanged(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID,
    step: SetupStep,
    changes: Mapping[str, Any],
    seen: str,
) -> None:
    """Raise PreconditionFailed if the step has changed since it was `seen`, to anything but what is saved now.

    The same form may arrive twice: as saved while it was typed, and as sent.
    """
    await lock_campaign_settings(connection, campaign_id=campaign_id, organization_id=context.organization_id)
    stored = await find_campaign(connection, context.organization_id, campaign_id)
    is_same = all(getattr(stored, name) == value for name, value in changes.items())
    if seen and seen != step_etag(stored, step) and not is_same:
        raise PreconditionFailed("Someone else has changed this step", etag=step_etag(stored, step))


async def _import_numbers(
    request: Request, context: OrganizationContext, typed: CampaignForm, key: str, campaign: Campaign | None = None
) -> Response:
    """Ask for the numbers and agents of the Retell workspaces, and show the first step again as it was typed."""
    context.require("admin")
    async with context.transaction() as connection:
        await request_import(connection, context)
    return await _first_page(request, context, typed, key, campaign=campaign, is_importing=True)


async def _first_page(
    request: Request,
    context: OrganizationContext,
    form: CampaignForm,
    key: str = "",
    error: StudioError | None = None,
    *,
    campaign: Campaign | None = None,
    is_importing: bool = False,
) -> Response:
    async with context.transaction() as connection:
        choices = await form_choices(connection, context.organization_id)
    return page(
        request,
        "campaign_setup/step.html",
        context,
        status=200 if error is None else error.status,
        step=SetupStep.WHO,
        marks=step_marks(campaign, form, choices.agents, 0),
        is_running=False,
        seen="" if campaign is None else step_etag(campaign, SetupStep.WHO),
        key=key or str(new_id(context.studio.clock.now())),
        is_importing=is_importing,
        **form_values(form, choices, effective=None, campaign=campaign, error=error),
    )


async def _step_page(
    request: Request,
    context: OrganizationContext,
    counter: CampaignCounter,
    campaign: Campaign,
    step: SetupStep,
    typed: CampaignForm | None = None,
    error: StudioError | None = None,
) -> Response:
    stored = form_from_campaign(campaign, viewer_zone(request))
    form = typed or stored
    review: dict[str, Any] = {}
    async with context.transaction() as connection:
        choices = await form_choices(connection, context.organization_id)
        total = (await counter.count(connection, {campaign.id: campaign.status}))[campaign.id].total
        effective = None
        if step == SetupStep.WHEN:
            effective = await effective_of_form(connection, context, form, campaign.id)
        if step == SetupStep.REVIEW:
            test_calls = await list_test_calls(connection, context, campaign.id, _SHOWN_TEST_CALLS)
            check = await show_check(connection, context, campaign.id, counts_contacts="x-live" not in request.headers)
            if check.contacts is not None:
                # Counted now: the counter may have reused a count from before the import.
                total = sum(check.contacts.by_status.values())
            review = {
                "check": check,
                "test_calls": test_calls,
                "is_calling": any(call.may_change(context.studio.clock.now()) for call in test_calls),
                "test_form": {"to": "", "row": "", "is_own_phone": ""},
                "test_errors": {},
            }
    return page(
        request,
        "campaign_setup/review.html" if step == SetupStep.REVIEW else "campaign_setup/step.html",
        context,
        status=200 if error is None else error.status,
        step=step,
        marks=step_marks(campaign, stored, choices.agents, total),
        contacts=total,
        is_running=False,
        seen=step_etag(campaign, step),
        key="",
        is_importing=False,
        **form_values(form, choices, effective=effective, campaign=campaign, error=error),
        **review,
    )


def _saved(request: Request, context: OrganizationContext, campaign: Campaign, step: SetupStep, form: Form) -> Response:
    """Go to the next step, or where the form asks to; setup.js forgets what it has kept of the saved step."""
    setup = f"{_url_of(context, campaign.id)}/setup"
    if _is_autosave(request):
        return JSONResponse({"setup": setup, "step": step, "seen": step_etag(campaign, step), "name": campaign.name})
    return redirect(f"{setup}/{neighbor(step, -1 if text(form, 'then') == 'back' else 1)}?saved={step}")


def _rejected(error: StudioError) -> Response:
    fields = error.fields if isinstance(error, InvalidInput) else {}
    return JSONResponse({"message": error.message, "fields": fields}, error.status)


def _is_autosave(request: Request) -> bool:
    return "x-autosave" in request.headers


def _is_no_draft(context: OrganizationContext, campaign: Campaign) -> Response:
    url = _url_of(context, campaign.id)
    if campaign.status in RESTING + RUNNING:
        return redirect(
            f"{url}/edit", "This campaign is no longer a draft. All of its settings are on this page.", "info"
        )
    return redirect(url, f"This campaign is {campaign.status}. It can no longer be edited.", "warn")


def _url_of(context: OrganizationContext, campaign_id: UUID) -> str:
    return f"/o/{context.organization_id}/campaigns/{campaign_id}"
