"""Records and revokes consents of contacts."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from outdial.campaigns.lifecycle import Actor
from outdial.db.queries import audit, consents
from outdial.db.queries.consents import RecordedConsent
from outdial.db.session import Connection, encode_json
from outdial.domain.ids import new_id
from outdial.domain.permission.consent import Basis, GivenConsent


async def store_consents(
    connection: Connection, organization_id: UUID, given: Mapping[str, GivenConsent], now: datetime
) -> list[RecordedConsent]:
    """Store consents by phone; return those that are new.

    A consent from before the contact refused, revoked or opted out is stored as revoked then. A refusal revokes what
    the contact agreed to before. The phones must be contacts of the organization.
    """
    stored = await consents.record_consents(
        connection,
        organization_id=organization_id,
        now=now,
        consents=encode_json(
            [
                {
                    "id": new_id(now),
                    "phone": phone,
                    "basis": consent.basis,
                    "scope": consent.scope,
                    "source": consent.source,
                    "text": consent.text,
                    "url": consent.url,
                    "given_at": consent.given_at,
                }
                for phone, consent in given.items()
            ]
        ),
    )
    if refused := [phone for phone, consent in given.items() if consent.basis is Basis.NONE]:
        await consents.revoke_refused_consents(connection, organization_id=organization_id, phones=refused)
    return stored


async def record_consent(
    connection: Connection,
    organization_id: UUID,
    contact_id: UUID,
    phone: str,
    *,
    consent: GivenConsent,
    actor: Actor,
    now: datetime,
) -> RecordedConsent | None:
    """Store the consent of one contact and audit it; None if the same consent is stored already."""
    stored = await store_consents(connection, organization_id, {phone: consent}, now)
    if not stored:
        return None
    # No text: it is personal data.
    details = {"consent_id": stored[0].id, "basis": consent.basis, "scope": consent.scope, "given_at": consent.given_at}
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="record_consent",
        subject_type="contact",
        subject_id=str(contact_id),
        details=encode_json(details),
    )
    return stored[0]


async def revoke_consent(
    connection: Connection,
    organization_id: UUID,
    contact_id: UUID,
    consent_id: UUID,
    *,
    reason: str,
    actor: Actor,
    now: datetime,
) -> bool:
    """Revoke a consent of a contact and audit it. Returns False if there is none that can be revoked."""
    revoked = await consents.revoke_consent(
        connection,
        organization_id=organization_id,
        contact_id=contact_id,
        consent_id=consent_id,
        reason=reason,
        now=now,
    )
    if revoked is None:
        return False
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="revoke_consent",
        subject_type="contact",
        subject_id=str(contact_id),
        details=encode_json({"consent_id": consent_id, "reason": reason}),
    )
    return True
