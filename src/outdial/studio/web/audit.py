"""Audit entries of the studio, written in the transaction of the audited change."""

from collections.abc import Mapping

from outdial.db.queries import audit
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
