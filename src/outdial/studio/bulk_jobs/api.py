"""API routes for bulk jobs."""

from uuid import UUID

from fastapi import Request, Response

from outdial.studio.bulk_jobs import service as bulk
from outdial.studio.bulk_jobs.service import BulkJobView, LeftOutContact, NewBulkJob
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IdempotencyKey, idempotent_response

router = ApiRouter(
    prefix="/organizations/{organization_id}/campaigns/{campaign_id}/bulk-jobs", tags=["campaign contacts"]
)


@router.get("")
async def list_bulk_jobs(context: CurrentOrganization, campaign_id: UUID, page: PageQuery) -> Page[BulkJobView]:
    """List the bulk jobs of a campaign, newest first."""
    async with context.transaction() as connection:
        await find_campaign(connection, context.organization_id, campaign_id)
        return await bulk.list_jobs(connection, context, campaign_id, page)


@router.post("", status_code=201, response_model=BulkJobView)
async def create_bulk_job(
    context: CurrentOrganization, campaign_id: UUID, request: Request, new: NewBulkJob, key: IdempotencyKey = None
) -> Response:
    """Act on all contacts that match the filters now: retry, skip, decide, or make a new campaign from them.

    A job does it in the background. It leaves out each contact that has changed by then, and names it with the reason.
    Returns 409 when the action applies to no matching contact.
    """
    context.require("operator")
    return await idempotent_response(context, request, key, lambda c: bulk.create(c, context, campaign_id, new))


@router.get("/{bulk_job_id}")
async def get_bulk_job(context: CurrentOrganization, campaign_id: UUID, bulk_job_id: UUID) -> BulkJobView:
    """Return a bulk job with its counts, which grow while it works."""
    async with context.transaction() as connection:
        return await bulk.find(connection, context, campaign_id, bulk_job_id)


@router.get("/{bulk_job_id}/left-out")
async def list_left_out_contacts(
    context: CurrentOrganization, campaign_id: UUID, bulk_job_id: UUID, page: PageQuery
) -> Page[LeftOutContact]:
    """List the contacts that a bulk job has left out, each with the reason."""
    async with context.transaction() as connection:
        await bulk.find(connection, context, campaign_id, bulk_job_id)
        return await bulk.list_left_out(connection, context, bulk_job_id, page)


@router.post("/{bulk_job_id}/cancel")
async def cancel_bulk_job(context: CurrentOrganization, campaign_id: UUID, bulk_job_id: UUID) -> BulkJobView:
    """Cancel a bulk job. Contacts already changed stay changed."""
    context.require("operator")
    async with context.transaction() as connection:
        return await bulk.cancel(connection, context, campaign_id, bulk_job_id)
