"""Carries out a bulk job portion by portion. Each is one transaction, so that none is done twice or by half."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.operations.contact_action import ContactAction, carry_out
from outdial.campaigns.undoing.undo import restore_contacts
from outdial.db.queries import batches
from outdial.db.queries.dialing import bulk_work, new_campaign
from outdial.db.rows import required
from outdial.db.session import Connection
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import ContactStatus, ReviewDecision
from outdial.domain.ids import new_id
from outdial.domain.policies.bulk_action import (
    REMOVED,
    BulkAction,
    BulkTarget,
    LeftOut,
    PresentContact,
    SelectedContact,
    left_out,
    missed,
)
from outdial.jobs.organization_portion import act_on_rows


@dataclass(frozen=True, slots=True)
class PortionDone:
    """How many contacts of a portion were changed, and how many were left out."""

    done: int
    left_out: int


async def work_on_portion(connection: Connection, run: bulk_work.BulkJobRun, now: datetime) -> PortionDone | None:
    """Act on the next portion of a job; return None when none is left. The caller stores the counts.

    The campaign is locked first and then the contacts, in the order of their ids, as everywhere.
    """
    portion = await bulk_work.take_portion(connection, bulk_job_id=run.id)
    if portion is None:
        return None
    if run.campaign_id is None:
        missing = await act_on_rows(connection, run, portion.ids, now)
        await _store_left_out(connection, run, missing)
        return PortionDone(len(portion.ids) - len(missing), len(missing))
    return await _work_on_contacts(connection, run, run.campaign_id, portion, now)


async def _work_on_contacts(
    connection: Connection,
    run: bulk_work.BulkJobRun,
    campaign_id: UUID,
    portion: bulk_work.BulkPortion,
    now: datetime,
) -> PortionDone:
    action = BulkAction(run.action)
    target_id = run.copy_id if action is BulkAction.NEW_CAMPAIGN else campaign_id
    target = None if target_id is None else await bulk_work.lock_target_campaign(connection, campaign_id=target_id)
    rows = await bulk_work.lock_portion_contacts(connection, ids=portion.ids, campaign_id=campaign_id)
    present = {row.id: row for row in rows}
    reasons = _reasons(run, portion, present, target)
    wanted = {id: present[id].contact_id for id in portion.ids if id not in reasons}
    changed = await _act(connection, run, wanted, now) if wanted else set()
    reasons |= {id: missed(action) for id in wanted if id not in changed}
    await _store_left_out(connection, run, reasons)
    if target_id is not None and changed:
        await batches.wake_campaigns(connection, ids=[target_id], provider_account_ids=[], now=now)
        await batches.notify_campaigns(connection, ids=[target_id])
    return PortionDone(len(changed), len(reasons))


async def _store_left_out(connection: Connection, run: bulk_work.BulkJobRun, reasons: Mapping[UUID, LeftOut]) -> None:
    if not reasons:
        return
    await bulk_work.store_left_out(
        connection,
        organization_id=run.organization_id,
        bulk_job_id=run.id,
        ids=list(reasons),
        kinds=[each.kind for each in reasons.values()],
        reasons=[each.reason for each in reasons.values()],
    )


def _reasons(
    run: bulk_work.BulkJobRun,
    portion: bulk_work.BulkPortion,
    present: Mapping[UUID, bulk_work.PortionContact],
    target: bulk_work.TargetCampaign | None,
) -> dict[UUID, LeftOut]:
    """Return the contacts of a portion that are left out, each with the reason."""
    found: dict[UUID, LeftOut] = {}
    campaign = (
        None if target is None else BulkTarget(status=CampaignStatus(target.status), max_attempts=target.max_attempts)
    )
    decision = None if run.decision is None else ReviewDecision(run.decision)
    for id, status, calls in zip(portion.ids, portion.statuses, portion.calls, strict=True):
        if (row := present.get(id)) is None:
            found[id] = REMOVED
            continue
        contact = PresentContact(
            status=ContactStatus(row.status),
            calls=row.call_count,
            attempts=row.attempts,
            do_not_call=row.do_not_call,
            is_erased=row.is_erased,
        )
        selected = SelectedContact(status=ContactStatus(status), calls=calls)
        if (reason := left_out(BulkAction(run.action), decision, selected, contact, campaign)) is not None:
            found[id] = reason
    return found


async def _act(
    connection: Connection, run: bulk_work.BulkJobRun, wanted: Mapping[UUID, UUID], now: datetime
) -> set[UUID]:
    """Change the contacts of a campaign, by the ids of their contacts; return those that are changed now."""
    action = BulkAction(run.action)
    if action is BulkAction.NEW_CAMPAIGN:
        added = await new_campaign.copy_contacts(
            connection,
            copy_id=required(run.copy_id),
            campaign_id=required(run.campaign_id),
            ids=[new_id(now) for _ in wanted],
            contact_ids=list(wanted.values()),
            now=now,
        )
        by_contact = {contact_id: id for id, contact_id in wanted.items()}
        return {by_contact[contact_id] for contact_id in added}
    if action is BulkAction.UNDO:
        undone = await restore_contacts(connection, run.organization_id, required(run.undoes), list(wanted), now)
        return set(undone)
    changed = await carry_out(
        connection,
        ContactAction(
            organization_id=run.organization_id,
            action=action,
            decision=None if run.decision is None else ReviewDecision(run.decision),
            reason=run.reason,
            by=run.requested_by,
            author=Actor(run.created_by).name,
            call_at=run.call_at,
            act_id=run.id,
        ),
        list(wanted),
        now,
    )
    return set(changed)
