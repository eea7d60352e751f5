"""Pages of bulk jobs on contacts, or calls, of all campaigns: starting one, its progress and its result."""

from dataclasses import asdict
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import ValidationError

from outdial.domain.policies.bulk_action import BulkAction
from outdial.domain.policies.undo import UNDO_WITHIN
from outdial.studio.bulk_jobs import service as bulk
from outdial.studio.bulk_jobs.organization import NewCallsJob, NewContactsJob, create_for_organization
from outdial.studio.bulk_jobs.organization_words import filters_in_words, url_to_start_again
from outdial.studio.bulk_jobs.pages import LIMIT, action_in_words
from outdial.studio.calls.navigation import read_filters, typed_filters
from outdial.studio.undo.service import undo_url
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput, ResourceConflict
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import Form, back_of, redirect, text
from outdial.studio.web.paging import PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/bulk-jobs")


@router.post("")
async def start(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Request the job of the question about all rows that match, and open its page."""
    context.require("operator")
    reason = text(form, "reason").replace("\0", "")
    new: NewContactsJob | NewCallsJob
    try:
        if text(form, "action") == BulkAction.MARK_REVIEWED:
            filters = read_filters(typed_filters(_texts(form)), viewer_zone(request), context.studio.clock.now())
            new = NewCallsJob.model_validate(
                {"action": BulkAction.MARK_REVIEWED, "reason": reason, "filters": asdict(filters)}
            )
        else:
            given = {"search": text(form, "search")} if text(form, "search") else {}
            new = NewContactsJob.model_validate({"action": text(form, "action"), "reason": reason, "filters": given})
        async with context.transaction() as connection:
            created = await create_for_organization(connection, context, new)
    except ValidationError:
        raise InvalidInput("Go back to the list and select again") from None
    except (InvalidInput, ResourceConflict) as error:
        message = error.summary if isinstance(error, InvalidInput) else error.message
        return redirect(back_of(form, f"/o/{context.organization_id}/contacts"), f"{message}.", "warn")
    undo = undo_url(context, created.id) if created.can_be_undone else None
    return redirect(f"{request.url.path}/{created.id}", "Job started.", undo=undo)


@router.get("/{bulk_job_id}")
async def show_page(request: Request, context: CurrentOrganization, bulk_job_id: UUID) -> Response:
    """Show the progress of a job, then its result, with what it has left out. A campaign's job has a page there."""
    page_request = PageRequest(request.query_params.get("cursor") or None, LIMIT)
    async with context.transaction() as connection:
        job = await bulk.find(connection, context, None, bulk_job_id)
        left_out = await bulk.list_left_out(connection, context, bulk_job_id, page_request)
    if job.campaign_id is not None:
        return redirect(f"/o/{context.organization_id}/campaigns/{job.campaign_id}/bulk-jobs/{job.id}")
    shown: HTMLResponse = page(
        request,
        "bulk_jobs/show.html",
        context,
        campaign=None,
        job=job,
        can_undo=job.can_be_undone and job.created_at > context.studio.clock.now() - UNDO_WITHIN,
        action=action_in_words(job.action, None),
        filters=filters_in_words(job.filters, job.action),
        again=url_to_start_again(job, context.organization_id),
        left_out=left_out.items,
        **page_links(request.url.path, {}, page_request, left_out.next),
    )
    return shown


@router.get("/{bulk_job_id}/left-out.csv")
async def download_left_out(context: CurrentOrganization, bulk_job_id: UUID) -> Response:
    """Download what a job, also one of a campaign, has left out, each row with the reason."""
    async with context.transaction() as connection:
        await bulk.find(connection, context, None, bulk_job_id)
    headers = {"content-disposition": f'attachment; filename="left-out-{bulk_job_id}.csv"', "cache-control": "no-store"}
    return StreamingResponse(bulk.left_out_csv(context, bulk_job_id), media_type="text/csv", headers=headers)


@router.post("/{bulk_job_id}/cancel")
async def cancel(context: CurrentOrganization, bulk_job_id: UUID, form: Form) -> Response:
    """Cancel a job."""
    context.require("operator")
    url = f"/o/{context.organization_id}/bulk-jobs/{bulk_job_id}"
    try:
        async with context.transaction() as connection:
            await bulk.cancel(connection, context, None, bulk_job_id)
    except ResourceConflict as conflict:
        return redirect(url, f"{conflict.message}.", "warn")
    return redirect(url, "Job cancelled. What it has changed stays changed.", "info")


def _texts(form: Form) -> dict[str, str]:
    return {name: value for name, value in form.items() if isinstance(value, str)}
