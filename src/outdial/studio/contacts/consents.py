"""Consents of a contact: list, record and revoke them."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from outdial.campaigns.permission import consents as feature
from outdial.db.queries import consents
from outdial.db.session import Connection
from outdial.domain.permission.consent import (
    LONGEST_CONSENT_TEXT,
    LONGEST_REVOCATION,
    LONGEST_SOURCE,
    LONGEST_URL,
    Basis,
    GivenConsent,
    InvalidConsent,
    Scope,
    check_consent,
)
from outdial.studio.contacts.service import phone_of_contact
from outdial.studio.view.format import sentence_case
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import StorableTime

MAX_CONSENTS: Final = 100
_STORABLE: Final = r"^[^\x00]*$"


class ContactConsent(BaseModel):
    """A consent of a contact. It is valid while it is not revoked."""

    id: UUID
    basis: Basis
    scope: Scope
    source: str | None
    text: str | None
    url: str | None
    given_at: datetime
    revoked_at: datetime | None
    revocation: Annotated[str | None, Field(description="Why it was revoked")]
    created_at: datetime


class ContactConsents(BaseModel):
    """The consents of a contact, newest first; at most a hundred."""

    items: list[ContactConsent]


class NewConsent(BaseModel):
    """A consent to record. Any but a refusal, which has the basis `none`, needs a source, a text or a URL."""

    model_config = ConfigDict(extra="forbid")
    basis: Basis
    scope: Annotated[Scope, Field(description="Purpose of the calls that the contact agreed to")] = Scope.ANY
    source: Annotated[str | None, Field(max_length=LONGEST_SOURCE, pattern=_STORABLE, examples=["web form"])] = None
    text: Annotated[str | None, Field(max_length=LONGEST_CONSENT_TEXT, pattern=_STORABLE)] = None
    url: Annotated[str | None, Field(max_length=LONGEST_URL, pattern=_STORABLE)] = None
    given_at: StorableTime


class ConsentRevocation(BaseModel):
    """Why a consent is revoked."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_REVOCATION, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]


async def list_consents(connection: Connection, context: OrganizationContext, contact_id: UUID) -> ContactConsents:
    """Return the consents of a contact; raises ResourceNotFound."""
    phone = await phone_of_contact(connection, context, contact_id)
    rows = await consents.list_consents(
        connection, organization_id=context.organization_id, phone=phone, limit=MAX_CONSENTS
    )
    return ContactConsents(items=[ContactConsent.model_validate(row, from_attributes=True) for row in rows])


async def record_consent(
    connection: Connection, context: OrganizationContext, contact_id: UUID, new: NewConsent
) -> ContactConsents:
    """Record a consent and return all consents of the contact. Recording the same consent again changes nothing.

    Raises ResourceNotFound and InvalidInput.
    """
    now = context.studio.clock.now()
    phone = await phone_of_contact(connection, context, contact_id)
    consent = GivenConsent(
        basis=new.basis,
        scope=new.scope,
        source=_stripped(new.source),
        text=_stripped(new.text),
        url=_stripped(new.url),
        given_at=new.given_at,
    )
    match check_consent(consent, now):
        case InvalidConsent(field, reason):
            raise InvalidInput(f"Invalid consent: {field} {reason}", {field: sentence_case(reason)})
        case None:
            pass
    await feature.record_consent(
        connection,
        organization_id=context.organization_id,
        contact_id=contact_id,
        phone=phone,
        consent=consent,
        actor=context.actor,
        now=now,
    )
    return await list_consents(connection, context, contact_id)


async def revoke_consent(
    connection: Connection, context: OrganizationContext, contact_id: UUID, consent_id: UUID, reason: str
) -> ContactConsents:
    """Revoke a consent and return all consents of the contact; raises ResourceNotFound and ResourceConflict."""
    found = await list_consents(connection, context, contact_id)
    revoked = await feature.revoke_consent(
        connection,
        organization_id=context.organization_id,
        contact_id=contact_id,
        consent_id=consent_id,
        reason=reason.strip(),
        actor=context.actor,
        now=context.studio.clock.now(),
    )
    if not revoked:
        if not any(each.id == consent_id for each in found.items):
            raise ResourceNotFound("Consent not found")
        raise ResourceConflict("This consent is already revoked, or it is a refusal")
    return await list_consents(connection, context, contact_id)


def _stripped(text: str | None) -> str | None:
    return (text or "").strip() or None
