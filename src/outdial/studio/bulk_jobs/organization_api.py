"""API routes for bulk jobs on contacts, or calls, of all campaigns."""

from uuid import UUID

from fastapi import Request, Response

from outdial.studio.bulk_jobs import service as bulk
from outdial.studio.bulk_jobs.organization import NewOrganizationJob, create_for_organization
from outdial.studio.bulk_jobs.service import BulkJobView, LeftOutContact
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IdempotencyKey, idempotent_response

router = ApiRouter(prefix="/organizations/{organization_id}/bulk-jobs", tags=["contacts"])


@router.get("")
async def list_organization_bulk_jobs(context: CurrentOrganization, page: PageQuery) -> Page[BulkJobView]:
    """List the bulk jobs that belong to no campaign, newest first."""
    async with context.transaction() as connection:
        return await bulk.list_jobs(connection, context, None, page)


@router.post("", status_code=201, response_model=BulkJobView)
async def create_organization_bulk_job(
    context: CurrentOrganization, request: Request, new: NewOrganizationJob, key: IdempotencyKey = None
) -> Response:
    """Act on all contacts, or all calls, that match the filters now: `do_not_call` or `mark_reviewed`.

    A job does it in the background. It leaves out each row that has changed by then, and names it with the reason. Rows
    that come later are not part of it. Returns 409 when nothing matches.
    """
    context.require("operator")
    return await idempotent_response(context, request, key, lambda c: create_for_organization(c, context, new))


@router.get("/{bulk_job_id}")
async def get_organization_bulk_job(context: CurrentOrganization, bulk_job_id: UUID) -> BulkJobView:
    """Return a bulk job with its counts, which grow while it works."""
    async with context.transaction() as connection:
        return await bulk.find(connection, context, None, bulk_job_id)


@router.get("/{bulk_job_id}/left-out")
async def list_rows_left_out(context: CurrentOrganization, bulk_job_id: UUID, page: PageQuery) -> Page[LeftOutContact]:
    """List the contacts, or the calls, that a bulk job has left out, each with the reason."""
    async with context.transaction() as connection:
        await bulk.find(connection, context, None, bulk_job_id)
        return await bulk.list_left_out(connection, context, bulk_job_id, page)


@router.post("/{bulk_job_id}/cancel")
async def cancel_organization_bulk_job(context: CurrentOrganization, bulk_job_id: UUID) -> BulkJobView:
    """Cancel a bulk job. What it has changed stays changed."""
    context.require("operator")
    async with context.transaction() as connection:
        return await bulk.cancel(connection, context, None, bulk_job_id)
