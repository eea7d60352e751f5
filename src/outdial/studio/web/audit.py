"""Writes what somebody did through the studio into the audit log, in the transaction that did it."""

from collections.abc import Mapping

from outdial.db.queries import audit
from outdial.db.session import Connection, encode_json
from outdial.studio.web.context import OrganizationContext


async def record(
    connection: Connection,
    context: OrganizationContext,
    action: str,
    subject_type: str,
    subject_id: object,
    details: Mapping[str, object] | None = None,
) -> None:
    """Add an entry in the caller's name."""
    await audit.record_audit(
        connection,
        organization_id=context.organization_id,
        now=context.studio.clock.now(),
        actor=context.actor.name,
        action=action,
        subject_type=subject_type,
        subject_id=str(subject_id),
        details=encode_json(details or {}),
    )
