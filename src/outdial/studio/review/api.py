"""API route for the contacts in review of all campaigns."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from outdial.studio.review import service as review
from outdial.studio.review.service import ContactInReview
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery

router = ApiRouter(tags=["campaign contacts"])


@router.get("/organizations/{organization_id}/review")
async def list_review_queue(
    context: CurrentOrganization,
    page: PageQuery,
    campaign: Annotated[UUID | None, Query(description="Only contacts of this campaign")] = None,
) -> Page[ContactInReview]:
    """List the contacts in review of all campaigns. Decide with `POST …/contacts/{campaign_contact_id}/decision`."""
    async with context.transaction() as connection:
        return await review.list_queue(connection, context.organization_id, page, campaign)
