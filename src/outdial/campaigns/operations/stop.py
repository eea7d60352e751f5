"""Stops all calls of an organization, and resumes them. Results are values, as for campaigns."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.db.queries import audit, batches
from outdial.db.queries.dialing import stops
from outdial.db.session import Connection, encode_json


class StopStatus(StrEnum):
    """Whether the calls of an organization are stopped.

    While it is `stopping`, requests that left before the stop are still in flight. Once it is `stopped`, no
    create-call request leaves.
    """

    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopState:
    """Whether the calls of an organization are stopped, since when, by whose order and why."""

    status: StopStatus
    requests_in_flight: int = 0
    stopped_at: datetime | None = None
    stopped_by: str | None = None
    reason: str | None = None


async def read_stop(connection: Connection, organization_id: UUID, now: datetime) -> StopState | NotFound:
    """Return whether the calls of an organization are stopped."""
    row = await stops.show_stop(connection, organization_id=organization_id, now=now)
    if row is None:
        return NotFound()
    if row.stopped_at is None:
        return StopState(status=StopStatus.RUNNING)
    return StopState(
        status=StopStatus.STOPPING if row.requests else StopStatus.STOPPED,
        requests_in_flight=row.requests,
        stopped_at=row.stopped_at,
        stopped_by=row.stopped_by,
        reason=row.stop_reason,
    )


async def stop_all_calls(
    connection: Connection, *, organization_id: UUID, by: str, reason: str | None, actor: Actor, now: datetime
) -> StopState | NotFound | Forbidden:
    """Stop all calls of an organization: no claim, new start or repeated request begins after this.

    `by` names the actor to other members. Calls that are live go on. Stopping again changes nothing.
    """
    if isinstance(state := await read_stop(connection, organization_id, now), NotFound):
        return state
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    if await stops.stop_organization(
        connection, organization_id=organization_id, stopped_by=by, reason=reason, now=now
    ):
        await _record(connection, organization_id, actor, "stop_all_calls", reason)
    return await read_stop(connection, organization_id, now)


async def resume_all_calls(
    connection: Connection, *, organization_id: UUID, reason: str | None, actor: Actor, now: datetime
) -> StopState | NotFound | Forbidden:
    """Allow calls again, and have the dialers look at all active campaigns. Resuming twice changes nothing."""
    if isinstance(state := await read_stop(connection, organization_id, now), NotFound):
        return state
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    if await stops.resume_organization(connection, organization_id=organization_id):
        await _record(connection, organization_id, actor, "resume_all_calls", reason)
        woken = await batches.wake_campaigns_of_organization(connection, organization_id=organization_id, now=now)
        await batches.notify_campaigns(connection, ids=woken)
    return await read_stop(connection, organization_id, now)


async def _record(connection: Connection, organization_id: UUID, actor: Actor, action: str, reason: str | None) -> None:
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action=action,
        subject_type="organization",
        subject_id=str(organization_id),
        details=encode_json({"reason": reason}),
    )
