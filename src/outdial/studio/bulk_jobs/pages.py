"""Pages of bulk jobs: the form for the contacts of a filter, and the progress and result of a job."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from outdial.campaigns.operations.bulk_request import applicable, count_by_status
from outdial.campaigns.selection import SELECTION_FILTERS
from outdial.domain.contact import ReviewDecision
from outdial.domain.policies.bulk_action import BulkAction
from outdial.domain.policies.undo import MOST_UNDONE, UNDO_WITHIN
from outdial.studio.bulk_jobs import service as bulk
from outdial.studio.bulk_jobs.service import NewBulkJob
from outdial.studio.campaign_contacts.new_campaign import SelectedContacts
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.undo.service import undo_url
from outdial.studio.view.badges import badge_for_outcome, humanize
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput, ResourceConflict
from outdial.studio.web.forms import Form, redirect, text
from outdial.studio.web.paging import PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/campaigns/{campaign_id}/bulk-jobs")

LIMIT: Final = 50
_EARLIER: Final = 10
_D = ReviewDecision
# The value of an option: an action, with the decision after a colon.
ACTIONS: Final[Mapping[str, str]] = {
    "retry": "Call again in this campaign",
    "new_campaign": "New campaign from these contacts",
    "skip": "Skip: do not call in this campaign",
    f"decide:{_D.COMPLETED}": "Decide: completed",
    f"decide:{_D.FAILED}": "Decide: not reached",
    f"decide:{_D.CALL_AGAIN}": "Decide: call again",
    f"decide:{_D.NEVER_CALL}": "Decide: never call, and add the numbers to the do-not-call list",
    "do_not_call": "Never call: add the numbers to the do-not-call list",
}
SEARCHED: Final[Mapping[str, str]] = {
    "search": "search",
    "phone": "number starts with",
    "phone_ends": "number ends with",
    "name": "name starts with",
    "external_id": "external ID",
}


@router.get("")
async def bulk_page(request: Request, context: CurrentOrganization, campaign_id: UUID) -> HTMLResponse:
    """Show what can be done with the contacts that match the filters in the URL, and earlier jobs."""
    return await _form(request, context, campaign_id, request.query_params)


@router.post("")
async def start(request: Request, context: CurrentOrganization, campaign_id: UUID, form: Form) -> Response:
    """Request the job of the form, and open its page."""
    context.require("operator")
    action, _, decision = text(form, "action").partition(":")
    try:
        new = NewBulkJob.model_validate(
            {
                "action": action,
                "decision": decision or None,
                "reason": text(form, "reason").replace("\0", ""),
                "campaign_name": text(form, "campaign_name") or None if action == BulkAction.NEW_CAMPAIGN else None,
                "filters": _filters(form),
            }
        )
        async with context.transaction() as connection:
            created = await bulk.create(connection, context, campaign_id, new)
    except ValidationError as error:
        fields = {str(problem["loc"][-1]): str(problem["msg"]) for problem in error.errors()}
        return await _form(request, context, campaign_id, form, InvalidInput("Check the form", fields))
    except (InvalidInput, ResourceConflict) as error:
        return await _form(request, context, campaign_id, form, error)
    undo = undo_url(context, created.id) if created.can_be_undone else None
    return redirect(f"{request.url.path}/{created.id}", "Job started.", undo=undo)


@router.get("/{bulk_job_id}")
async def show_page(
    request: Request, context: CurrentOrganization, campaign_id: UUID, bulk_job_id: UUID
) -> HTMLResponse:
    """Show the progress of a job, then its result, with the contacts that it has left out."""
    page_request = PageRequest(request.query_params.get("cursor") or None, LIMIT)
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        job = await bulk.find(connection, context, campaign_id, bulk_job_id)
        left_out = await bulk.list_left_out(connection, context, bulk_job_id, page_request)
    return page(
        request,
        "bulk_jobs/show.html",
        context,
        campaign=campaign,
        job=job,
        can_undo=job.can_be_undone and job.created_at > context.studio.clock.now() - UNDO_WITHIN,
        action=action_in_words(job.action, job.decision),
        filters=filters_in_words(job.filters),
        left_out=left_out.items,
        **page_links(request.url.path, {}, page_request, left_out.next),
    )


@router.post("/{bulk_job_id}/cancel")
async def cancel(context: CurrentOrganization, campaign_id: UUID, bulk_job_id: UUID, form: Form) -> Response:
    """Cancel a job."""
    context.require("operator")
    url = f"/o/{context.organization_id}/campaigns/{campaign_id}/bulk-jobs/{bulk_job_id}"
    try:
        async with context.transaction() as connection:
            await bulk.cancel(connection, context, campaign_id, bulk_job_id)
    except ResourceConflict as conflict:
        return redirect(url, f"{conflict.message}.", "warn")
    return redirect(url, "Job cancelled. Contacts already changed stay changed.", "info")


def action_in_words(action: BulkAction, decision: ReviewDecision | None) -> str:
    """Return what a job does, as its option in the form says it."""
    if action is BulkAction.MARK_REVIEWED:
        return "Mark calls as reviewed"
    if action is BulkAction.UNDO:
        return "Undo of an earlier job"
    return ACTIONS[f"{action}:{decision}" if decision else action]


def filters_in_words(filters: Mapping[str, object]) -> str:
    """Return the filters of a job, or of a form, in one line."""
    parts = []
    if isinstance(ticked := filters.get("ticked"), int):
        parts.append("1 selected contact" if ticked == 1 else f"{ticked:,} selected contacts")
    if status := filters.get("status"):
        parts.append(f"status {humanize(str(status)).lower()}")
    if outcome := filters.get("outcome"):
        parts.append(f"last outcome {badge_for_outcome(str(outcome)).label.lower()}")
    if (reached := filters.get("reached")) is not None:
        parts.append("not reached" if reached in (False, "false") else "reached")
    searched = filters.get("searched", [])
    if isinstance(searched, list):
        parts += [f"{SEARCHED[name]} …" for name in searched]
    parts += [f"{label} “{filters[name]}”" for name, label in SEARCHED.items() if filters.get(name)]
    return ", ".join(parts) or "all contacts"


def _filters(values: Mapping[str, object]) -> dict[str, str]:
    """Return the filters among the values of a URL or of a form."""
    names = SELECTION_FILTERS
    return {name: value for name in names if isinstance(value := values.get(name), str) and value.strip()}


async def _form(
    request: Request,
    context: CurrentOrganization,
    campaign_id: UUID,
    values: Mapping[str, object],
    error: InvalidInput | ResourceConflict | None = None,
) -> HTMLResponse:
    given = _filters(values)
    try:
        selection = SelectedContacts.model_validate(given).selection()
    except ValidationError:
        raise InvalidInput("Unknown filter: go to the list of contacts and filter there", {}) from None
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        counts = await count_by_status(connection, context.organization_id, campaign_id, selection)
        earlier = await bulk.list_jobs(connection, context, campaign_id, PageRequest(None, _EARLIER))
    numbers = {value: applicable(BulkAction(value.partition(":")[0]), counts) for value in ACTIONS}
    return page(
        request,
        "bulk_jobs/new.html",
        context,
        status=200 if error is None else error.status,
        campaign=campaign,
        url=request.url.path,
        given=given,
        filters=filters_in_words(given),
        matching=sum(counts.values()),
        actions=[(value, f"{label} ({numbers[value]:,})") for value, label in ACTIONS.items() if numbers[value]],
        typed={name: str(values.get(name) or "") for name in ("action", "reason", "campaign_name")},
        most_undone=MOST_UNDONE,
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
        earlier=[(job, action_in_words(job.action, job.decision)) for job in earlier.items],
    )
