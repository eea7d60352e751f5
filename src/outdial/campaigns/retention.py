"""Changes how long an organization keeps personal data."""

from dataclasses import asdict
from uuid import UUID

from outdial.campaigns.errors import InvalidRetention
from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.retention_policy import RetentionPolicy
from outdial.db.queries import audit, retention
from outdial.db.session import Connection, encode_json


async def read_retention(connection: Connection, organization_id: UUID) -> RetentionPolicy | None:
    """Return how long an organization keeps personal data, None if the caller cannot see it."""
    row = await retention.show_retention(connection, organization_id=organization_id)
    return None if row is None else RetentionPolicy(**asdict(row))


async def change_retention(
    connection: Connection, organization_id: UUID, former: RetentionPolicy, wanted: RetentionPolicy, actor: Actor
) -> bool:
    """Store `wanted` if `former` is still in force, and return whether it was. The caller needs the role admin.

    Raises InvalidRetention.
    """
    problems = wanted.problems()
    if problems:
        raise InvalidRetention(problems)
    done = await retention.change_retention(
        connection,
        organization_id=organization_id,
        transcript_days=wanted.transcript_days,
        recording_days=wanted.recording_days,
        event_days=wanted.event_days,
        call_days=wanted.call_days,
        legal_hold=wanted.legal_hold,
        legal_hold_reason=wanted.legal_hold_reason,
        former_transcript_days=former.transcript_days,
        former_recording_days=former.recording_days,
        former_event_days=former.event_days,
        former_call_days=former.call_days,
        former_legal_hold=former.legal_hold,
    )
    if done is None:
        return False
    before, after = asdict(former), asdict(wanted)
    changed = {name: value for name, value in after.items() if before[name] != value}
    if changed:
        await audit.record_audit(
            connection,
            organization_id=organization_id,
            actor=actor.name,
            action="change_retention",
            subject_type="organization",
            subject_id=str(organization_id),
            details=encode_json(changed),
        )
    return True
