"""API routes for the contacts of a campaign."""

from functools import partial
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query, Request, Response

from outdial.studio.campaign_contacts import changes, new_campaign
from outdial.studio.campaign_contacts.changes import (
    CampaignContactChanges,
    ContactsAdded,
    ContactsRequest,
    Reason,
    RetryRequest,
)
from outdial.studio.campaign_contacts.new_campaign import CampaignOfContacts, NewCampaignRequest
from outdial.studio.campaign_contacts.review import ReviewRequest, decide
from outdial.studio.campaign_contacts.service import (
    CampaignContact,
    ContactQuery,
    ContactTimeline,
    find_campaign,
    list_contacts,
    show_contact,
)
from outdial.studio.campaign_contacts.shared_transactions import SharedTransactions
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IdempotencyKey, idempotent_response

router = ApiRouter(tags=["campaign contacts"])
FEW_CONTACTS: Final = 20
"""Requests with no more contacts share commits: a request with many would keep the others waiting."""


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


@router.post("/organizations/{organization_id}/campaigns/{campaign_id}/contacts", response_model=ContactsAdded)
async def add_campaign_contacts(
    campaign_id: UUID,
    context: CurrentOrganization,
    request: Request,
    new: ContactsRequest,
    key: IdempotencyKey = None,
) -> Response:
    """Add 1 to 1,000 contacts to a campaign, which calls them as soon as its settings and the law allow.

    Each item is added, is already there, or is refused with a kind and a reason. Contacts that are already there keep
    their place. Finished ones are added again when the campaign's `reentry_after` has passed.
    """
    context.require("operator")
    return await idempotent_response(
        context,
        request,
        key,
        lambda connection: changes.add(connection, context, campaign_id, new),
        status=200,
        run=partial(context.studio.share(SharedTransactions, SharedTransactions).run, context)
        if len(new.contacts) <= FEW_CONTACTS
        else None,
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


@router.patch("/organizations/{organization_id}/campaigns/{campaign_id}/contacts/{campaign_contact_id}")
async def change_campaign_contact(
    campaign_id: UUID, campaign_contact_id: UUID, context: CurrentOrganization, request: CampaignContactChanges
) -> ContactTimeline:
    """Change when a pending contact is called, its priority or its agent variables. Others return 409."""
    context.require("operator")
    async with context.transaction() as connection:
        return await changes.change(connection, context, campaign_id, campaign_contact_id, request)


@router.delete("/organizations/{organization_id}/campaigns/{campaign_id}/contacts/{campaign_contact_id}")
async def skip_campaign_contact(
    campaign_id: UUID,
    campaign_contact_id: UUID,
    context: CurrentOrganization,
    reason: Annotated[Reason | None, Query()] = None,
) -> ContactTimeline:
    """Skip a pending contact: it is not called in this campaign. Its row stays, with who skipped it and why."""
    context.require("operator")
    async with context.transaction() as connection:
        return await changes.skip(connection, context, campaign_id, campaign_contact_id, reason)


@router.post("/organizations/{organization_id}/campaigns/{campaign_id}/contacts/{campaign_contact_id}/retry")
async def retry_campaign_contact(
    campaign_id: UUID,
    campaign_contact_id: UUID,
    context: CurrentOrganization,
    request: RetryRequest | None = None,
) -> ContactTimeline:
    """Call a completed, failed or skipped contact again, with all attempts left.

    Returns 409 in a campaign that places no more calls.
    """
    context.require("operator")
    async with context.transaction() as connection:
        return await changes.retry(connection, context, campaign_id, campaign_contact_id, request or RetryRequest())


@router.post(
    "/organizations/{organization_id}/campaigns/{campaign_id}/new-campaign",
    status_code=201,
    response_model=CampaignOfContacts,
)
async def create_campaign_from_contacts(
    campaign_id: UUID,
    context: CurrentOrganization,
    request: Request,
    selected: NewCampaignRequest,
    key: IdempotencyKey = None,
) -> Response:
    """Create a draft with the settings of a campaign and its selected contacts, to call them again.

    Contacts without a final status are left out and counted.
    """
    context.require("operator")
    return await idempotent_response(
        context, request, key, lambda c: new_campaign.create_from_contacts(c, context, campaign_id, selected)
    )
