"""Audit entries of the studio, written in the transaction of the audited change, and the email of their actors."""

from collections.abc import Mapping
from uuid import UUID

from outdial.db.queries import audit, members
from outdial.db.session import Connection, encode_json
from outdial.studio.web.context import OrganizationContext


async def record_audit(
    connection: Connection,
    context: OrganizationContext,
    action: str,
    subject_type: str,
    subject_id: object,
    details: Mapping[str, object] | None = None,
) -> None:
    """Add an audit entry with the caller as its actor."""
    await audit.record_audit(
        connection,
        organization_id=context.organization_id,
        actor=context.actor.name,
        action=action,
        subject_type=subject_type,
        subject_id=str(subject_id),
        details=encode_json(details or {}),
    )


async def actor_emails(connection: Connection, organization_id: UUID) -> dict[str, str | None]:
    """Return the email addresses of the organization's members by actor name, which is their user id."""
    found = await members.list_members(connection, organization_id=organization_id)
    return {str(member.user_id): member.email for member in found}
