"""Routes of the API for contacts."""

from uuid import UUID

from fastapi import APIRouter, Response

from outdial.studio.contacts import service as resource
from outdial.studio.contacts.service import Contact, ContactChanges, ContactSearchQuery, ContactSummary
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IfMatch

router = APIRouter(prefix="/organizations/{organization_id}/contacts", tags=["contacts"])


@router.get("")
async def list_contacts(
    context: CurrentOrganization, page: PageQuery, filters: ContactSearchQuery
) -> Page[ContactSummary]:
    """List the people of the organization, by phone; by name where one is looked for."""
    async with context.transaction() as connection:
        return await resource.list_contacts(connection, context, page, filters)


@router.get("/{contact_id}")
async def get_contact(context: CurrentOrganization, contact_id: UUID, response: Response) -> Contact:
    """Return a contact with their campaigns and calls; the ETag is what a change may name in If-Match."""
    async with context.transaction() as connection:
        contact = await resource.find_contact(connection, context, contact_id)
    response.headers["etag"] = contact.etag
    return contact


@router.patch("/{contact_id}")
async def change_contact(
    context: CurrentOrganization,
    contact_id: UUID,
    changes: ContactChanges,
    response: Response,
    if_match: IfMatch = None,
) -> Contact:
    """Correct a contact; a corrected time zone holds in all campaigns that the contact waits in."""
    context.require("operator")
    async with context.transaction() as connection:
        contact = await resource.change_contact(connection, context, contact_id, changes.changes(), if_match)
    response.headers["etag"] = contact.etag
    return contact
