"""API routes for contacts."""

from uuid import UUID

from fastapi import Response

from outdial.studio.contacts import consents
from outdial.studio.contacts import service as contacts
from outdial.studio.contacts.consents import ConsentRevocation, ContactConsents, NewConsent
from outdial.studio.contacts.service import Contact, ContactChanges, ContactSearchQuery, ContactSummary
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter
from outdial.studio.web.paging import Page, PageQuery
from outdial.studio.web.preconditions import IfMatch

router = ApiRouter(prefix="/organizations/{organization_id}/contacts", tags=["contacts"])


@router.get("")
async def list_contacts(
    context: CurrentOrganization, page: PageQuery, search: ContactSearchQuery
) -> Page[ContactSummary]:
    """List contacts, ordered by phone number, or by name when searching by name."""
    async with context.transaction() as connection:
        return await contacts.list_contacts(connection, context, page, search)


@router.get("/{contact_id}")
async def get_contact(context: CurrentOrganization, contact_id: UUID, response: Response) -> Contact:
    """Return a contact with campaigns and calls. Send its ETag as If-Match when changing it."""
    async with context.transaction() as connection:
        contact = await contacts.find_contact(connection, context, contact_id)
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
    """Change a contact. A new time zone applies in every campaign where the contact is still pending."""
    context.require("operator")
    async with context.transaction() as connection:
        contact = await contacts.change_contact(
            connection, context=context, contact_id=contact_id, changes=changes.changes(), if_match=if_match
        )
    response.headers["etag"] = contact.etag
    return contact


@router.get("/{contact_id}/consents")
async def list_consents(context: CurrentOrganization, contact_id: UUID) -> ContactConsents:
    """List the consents of a contact, including revoked ones, newest first."""
    async with context.transaction() as connection:
        return await consents.list_consents(connection, context, contact_id)


@router.post("/{contact_id}/consents")
async def record_consent(context: CurrentOrganization, contact_id: UUID, new: NewConsent) -> ContactConsents:
    """Record a consent of a contact. A consent from before the contact revoked or opted out is not valid.

    Campaigns that skipped the contact for lack of consent call it again.
    """
    context.require("operator")
    async with context.transaction() as connection:
        return await consents.record_consent(connection, context, contact_id, new)


@router.post("/{contact_id}/consents/{consent_id}/revoke")
async def revoke_consent(
    context: CurrentOrganization, contact_id: UUID, consent_id: UUID, revocation: ConsentRevocation
) -> ContactConsents:
    """Revoke a consent of a contact. To end all calls, add the number to the do-not-call list instead."""
    context.require("operator")
    async with context.transaction() as connection:
        return await consents.revoke_consent(connection, context, contact_id, consent_id, revocation.reason)
