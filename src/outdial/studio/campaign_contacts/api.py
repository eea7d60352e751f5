"""API routes for the contacts of a campaign."""

from uuid import UUID

from fastapi import APIRouter

from outdial.studio.campaign_contacts.review import ReviewRequest, decide
from outdial.studio.campaign_contacts.service import (
    CampaignContact,
    ContactQuery,
    ContactTimeline,
    find_campaign,
    list_contacts,
    show_contact,
)
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.paging import Page, PageQuery

router = APIRouter(tags=["campaign contacts"])


@router.get("/organizations/{organization_id}/campaigns/{campaign_id}/contacts")
async def list_campaign_contacts(
    campaign_id: UUID, context: CurrentOrganization, page: PageQuery, filters: ContactQuery
) -> Page[CampaignContact]:
    """List the contacts of a campaign. Search by one of `search`, `phone`, `phone_ends`, `name` and `external_id`."""
    async with context.transaction() as connection:
        campaign = await find_campaign(connection, context.organization_id, campaign_id)
        return await list_contacts(
            connection, campaign.id, page, filters, rules=context.studio.rules, now=context.studio.clock.now()
        )


@router.get("/organizations/{organization_id}/campaigns/{campaign_id}/contacts/{campaign_contact_id}")
async def get_campaign_contact(
    campaign_id: UUID, campaign_contact_id: UUID, context: CurrentOrganization
) -> ContactTimeline:
    """Return a campaign contact with every call attempt, the decision behind each, and the next call."""
    async with context.transaction() as connection:
        now = context.studio.clock.now()
        return await show_contact(
            connection,
            organization_id=context.organization_id,
            campaign_id=campaign_id,
            campaign_contact_id=campaign_contact_id,
            rules=context.studio.rules,
            now=now,
        )


@router.post("/organizations/{organization_id}/campaigns/{campaign_id}/contacts/{campaign_contact_id}/decision")
async def decide_review(
    campaign_id: UUID, campaign_contact_id: UUID, context: CurrentOrganization, request: ReviewRequest
) -> ContactTimeline:
    """Decide about a contact in review: completed, failed, call again, or never call.

    Events that arrive later for its earlier calls do not change the contact. `call_again` keeps the attempts used so
    far, and returns 409 when none is left or the campaign places no more calls.
    """
    context.require("operator")
    async with context.transaction() as connection:
        return await decide(
            connection,
            context=context,
            campaign_id=campaign_id,
            campaign_contact_id=campaign_contact_id,
            request=request,
        )
