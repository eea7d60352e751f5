"""Undoes an act of a member, where what it changed is still as the act has left it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

from outdial.campaigns import lifecycle
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.campaigns.operations.bulk_request import PORTION_SIZE, cancel_bulk_job
from outdial.db.queries import audit, batches, campaign_status, jobs
from outdial.db.queries.dialing import acts, bulk_work
from outdial.db.rows import required
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import ContactStatus
from outdial.domain.ids import new_id
from outdial.domain.policies.undo import ActKind, too_late, why_campaign_stays, why_contact_stays

_STAYS_LISTED: Final = "the numbers have left the list, or were to be added to it again since"
_STAYS: Final[Mapping[ActKind, str]] = {
    ActKind.LIST: _STAYS_LISTED,
    ActKind.UNLIST: "the numbers are on the list again",
    ActKind.REVIEW: "the marks have been removed or changed since",
}
NOT_YOURS: Final = "only the member who added the numbers, or an admin, can remove them from the do-not-call list"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActUndone:
    """`changed` contacts, numbers or calls are as before; `kept` have changed since. With `job_id`, a job does it."""

    kind: ActKind
    changed: int
    kept: int = 0
    campaign_id: UUID | None = None
    job_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class NotUndone:
    """Nothing was changed; `reason` says why."""

    reason: str


UndoResult = ActUndone | NotUndone | NotFound | Forbidden


async def undo_act(
    connection: Connection, *, organization_id: UUID, act_id: UUID, by: str, actor: Actor, now: datetime
) -> UndoResult:
    """Undo an act, with an entry in the audit log that names it. `by` names the actor to other members.

    An act of a bulk job is undone by another job. Acts that are not known any more are NotFound.
    """
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    act = await acts.lock_act(connection, organization_id=organization_id, act_id=act_id)
    if act is None:
        return NotFound()
    kind = ActKind(act.kind)
    if (reason := too_late(act.created_at, act.undone_at, now)) is not None:
        return NotUndone(reason)
    match kind:
        case ActKind.PAUSE | ActKind.RESUME:
            result = await _undo_run(connection, act_id, kind, required(act.campaign_id), actor, now)
        case ActKind.LIST | ActKind.BLOCK if not act.may_unlist:
            return NotUndone(NOT_YOURS)
        case ActKind.LIST | ActKind.UNLIST | ActKind.REVIEW:
            result = await _undo_entries(connection, organization_id, act, act_id, actor, now)
        case ActKind.SKIP | ActKind.RETRY | ActKind.DECIDE | ActKind.BLOCK if act.is_bulk:
            campaign_id = required(act.campaign_id)
            result = await _undo_by_job(connection, organization_id, act_id, kind, campaign_id, by, actor, now)
        case ActKind.SKIP | ActKind.RETRY | ActKind.DECIDE | ActKind.BLOCK | ActKind.END_CALLBACK:
            result = await _undo_contacts(connection, organization_id, act_id, kind, now)
        case never:
            assert_never(never)
    if not isinstance(result, ActUndone):
        return result
    await acts.mark_act_undone(connection, organization_id=organization_id, act_id=act_id, now=now)
    await _record(connection, organization_id, act_id, result, actor)
    return result


async def _undo_run(
    connection: Connection, act_id: UUID, kind: ActKind, campaign_id: UUID, actor: Actor, now: datetime
) -> UndoResult:
    """Resume a campaign that was paused, or pause one that was resumed, if no one has done so since."""
    locked = await bulk_work.lock_target_campaign(connection, campaign_id=campaign_id)
    found = await campaign_status.campaign_status(connection, campaign_id=campaign_id)
    if locked is None or found is None:
        return NotFound()
    latest = await acts.latest_run_action(connection, organization_id=found.organization_id, campaign_id=campaign_id)
    is_latest = latest is not None and latest.act == str(act_id)
    reason = why_campaign_stays(kind, CampaignStatus(found.status), is_latest=is_latest)
    if reason is not None:
        return NotUndone(reason)
    if kind is ActKind.PAUSE:
        changed = await lifecycle.resume(connection, campaign_id, actor, now)
    else:
        changed = await lifecycle.pause(connection, campaign_id, actor, now)
    match changed:
        case lifecycle.Changed():
            return ActUndone(kind=kind, changed=1, campaign_id=campaign_id)
        case lifecycle.Unchanged(status):
            return NotUndone(f"the campaign is {status} now")
        case lifecycle.Conflict():
            return NotUndone(changed.reason)
        case NotFound() | Forbidden():
            return changed
        case never:
            assert_never(never)


async def _undo_entries(
    connection: Connection, organization_id: UUID, act: acts.LockedAct, act_id: UUID, actor: Actor, now: datetime
) -> UndoResult:
    """Undo what an act has done to the entries that it names: numbers on the do-not-call list, or marks of calls.

    A bulk job is cancelled first: it changes them under the lock of its act. One that had not begun has changed none.
    """
    kind = ActKind(act.kind)
    if act.is_bulk:
        await cancel_bulk_job(connection, organization_id=organization_id, bulk_job_id=act_id, actor=actor, now=now)
    changes: Mapping[ActKind, Callable[..., Awaitable[Sequence[object]]]] = {
        ActKind.LIST: acts.unlist_phones, ActKind.UNLIST: acts.relist_phones, ActKind.REVIEW: acts.unmark_calls
    }  # fmt: skip
    changed = len(await changes[kind](connection, organization_id=organization_id, act_id=act_id))
    total = await acts.count_act_entries(connection, organization_id=organization_id, act_id=act_id)
    if not changed and (total or not act.is_bulk):
        return NotUndone(_STAYS[kind])
    return ActUndone(kind=kind, changed=changed, kept=total - changed)


async def _undo_contacts(
    connection: Connection, organization_id: UUID, act_id: UUID, kind: ActKind, now: datetime
) -> UndoResult:
    total = await acts.count_undo_contacts(connection, organization_id=organization_id, act_id=act_id)
    changed = await restore_contacts(connection, organization_id, act_id, None, now)
    first = await acts.first_undo_contact(connection, organization_id=organization_id, act_id=act_id)
    if first is None:
        return NotUndone("the contacts have been removed since")
    if not changed and kind is ActKind.BLOCK:
        return NotUndone(_STAYS_LISTED)
    if not changed and total == 1:
        return NotUndone(
            why_contact_stays(
                name=first.name or first.phone,
                status=ContactStatus(first.status),
                former=ContactStatus(first.former_status),
                campaign=CampaignStatus(first.campaign_status),
            )
        )
    if not changed:
        return NotUndone(f"all {total:,} contacts have changed since, or their campaign places no more calls")
    campaigns = await acts.campaigns_of_act(connection, organization_id=organization_id, act_id=act_id)
    await batches.wake_campaigns(connection, ids=campaigns, provider_account_ids=[], now=now)
    await batches.notify_campaigns(connection, ids=campaigns)
    return ActUndone(kind=kind, changed=len(changed), kept=total - len(changed))


async def restore_contacts(
    connection: Connection, organization_id: UUID, act_id: UUID, ids: list[UUID] | None, now: datetime
) -> list[UUID]:
    """Restore the contacts of an act, or those with `ids`, and return the restored ones.

    An act that has blocked numbers loses its entries on the do-not-call list, also those of contacts that have changed,
    but not those of numbers that were to be added again since.
    """
    restored = await acts.undo_contacts(connection, organization_id=organization_id, act_id=act_id, ids=ids, now=now)
    unlisted = await acts.unlist_contacts(connection, organization_id=organization_id, act_id=act_id, ids=ids)
    return list({*restored, *unlisted})


async def _undo_by_job(
    connection: Connection,
    organization_id: UUID,
    act_id: UUID,
    kind: ActKind,
    campaign_id: UUID,
    by: str,
    actor: Actor,
    now: datetime,
) -> UndoResult:
    """Stop the job of the act if it is at work, and queue one that undoes what it has done."""
    await cancel_bulk_job(connection, organization_id=organization_id, bulk_job_id=act_id, actor=actor, now=now)
    if not await acts.count_undo_contacts(connection, organization_id=organization_id, act_id=act_id):
        return ActUndone(kind=kind, changed=0, campaign_id=campaign_id)
    job_id = new_id(now)
    selected = await acts.create_undo_job(
        connection,
        id=job_id,
        organization_id=organization_id,
        campaign_id=campaign_id,
        act_id=act_id,
        reason="undone",
        portion_size=PORTION_SIZE,
        created_by=actor.user_id,
        requested_by=by,
        now=now,
    )
    # Importing PgQueuer takes half a second. Only this step of `outdial campaign` needs it.
    from outdial.db.queue import enqueue

    await enqueue(connection, "bulk", job_id)
    await jobs.notify_jobs(connection, organization_id=organization_id)
    return ActUndone(kind=kind, changed=selected, campaign_id=campaign_id, job_id=job_id)


async def _record(connection: Connection, organization_id: UUID, act_id: UUID, undone: ActUndone, actor: Actor) -> None:
    details: Mapping[str, object] = {
        "act": act_id,
        "kind": undone.kind,
        "changed": undone.changed,
        "kept": undone.kept,
        "job": undone.job_id,
    }
    subject_type, subject_id = "act", str(act_id)
    if undone.campaign_id is not None:
        subject_type, subject_id = "campaign", str(undone.campaign_id)
    elif undone.changed + undone.kept == 1 and undone.kind not in (ActKind.LIST, ActKind.UNLIST, ActKind.REVIEW):
        contact = required(await acts.first_undo_contact(connection, organization_id=organization_id, act_id=act_id))
        subject_type, subject_id = "campaign_contact", str(contact.id)
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="undo",
        subject_type=subject_type,
        subject_id=subject_id,
        details=encode_json(details),
    )
