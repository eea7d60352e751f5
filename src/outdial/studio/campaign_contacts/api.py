"""Routes of the API for the contacts of a campaign."""

from uuid import UUID

from fastapi import APIRouter

from outdial.studio.campaign_contacts.service import (
    AskedContacts,
    CampaignContact,
    Timeline,
    find_campaign,
    list_contacts,
    show_contact,
)
from outdial.studio.web.context import AtWork
from outdial.studio.web.paging import AskedPage, Page

router = APIRouter(tags=["campaign contacts"])


@router.get("/organizations/{organization_id}/campaigns/{campaign_id}/contacts")
async def list_campaign_contacts(
    campaign_id: UUID, workplace: AtWork, page: AskedPage, filters: AskedContacts
) -> Page[CampaignContact]:
    """List the contacts of a campaign; `phone`, `phone_ends`, `name` and `external_id` search, one at a time."""
    async with workplace.transaction() as connection:
        campaign = await find_campaign(connection, workplace.organization_id, campaign_id)
        return await list_contacts(connection, campaign.id, page, filters)


@router.get("/organizations/{organization_id}/campaigns/{campaign_id}/contacts/{campaign_contact_id}")
async def show_campaign_contact(campaign_id: UUID, campaign_contact_id: UUID, workplace: AtWork) -> Timeline:
    """Show a contact of a campaign with every attempt, the decision behind it, and what is planned."""
    async with workplace.transaction() as connection:
        now = workplace.studio.clock.now()
        return await show_contact(connection, workplace.organization_id, campaign_id, campaign_contact_id, now)
