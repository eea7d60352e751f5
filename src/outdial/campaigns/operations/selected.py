"""Acts at once on contacts that a member has selected in a list: one guarded statement for each kind of step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.campaigns.errors import InvalidBulkAction
from outdial.campaigns.lifecycle import Actor, Forbidden, may_run
from outdial.campaigns.operations.contact_action import ContactAction, carry_out
from outdial.campaigns.selection import MOST_TICKED
from outdial.campaigns.undoing.acts import record_act
from outdial.db.queries import audit, batches
from outdial.db.queries.dialing import acts
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import ContactStatus
from outdial.domain.ids import new_id
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.domain.policies.bulk_action import (
    REMOVED,
    BulkTarget,
    LeftOut,
    LeftOutKind,
    PresentContact,
    SelectedContact,
    left_out,
    missed,
)
from outdial.domain.policies.selection import APPLIES_TO_WORDS, DONE, ContactStep, SelectedAction, step_for
from outdial.domain.policies.undo import ActKind

_A = SelectedAction
_KINDS = {
    _A.CALL_AGAIN: ActKind.RETRY,
    _A.SKIP: ActKind.SKIP,
    _A.DO_NOT_CALL: ActKind.BLOCK,
    _A.COMPLETED: ActKind.DECIDE,
    _A.FAILED: ActKind.DECIDE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedRequest:
    """An action on the contacts with these ids. `seen` is what the member saw of them; one that changed is left out."""

    action: SelectedAction
    ids: Sequence[UUID]
    reason: str | None = None
    seen: Mapping[UUID, SelectedContact] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedLeftOut:
    """A selected contact that was not changed, and why. One that is gone has no name."""

    id: UUID
    name: str | None
    why: LeftOut


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedDone:
    """How many contacts were changed, which were not, and the act, which can be undone. None: nothing was changed."""

    changed: int
    left_out: Sequence[SelectedLeftOut]
    act_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSelection:
    """What an action would do: the steps with their contacts, and the contacts it leaves out."""

    rows: Mapping[UUID, acts.ChosenContact]
    steps: Mapping[ContactStep, Sequence[UUID]]
    left_out: Mapping[UUID, LeftOut]

    def names(self) -> list[SelectedLeftOut]:
        """Return the contacts it leaves out, with their names."""
        return [self.name(id, why) for id, why in self.left_out.items()]

    def name(self, id: UUID, why: LeftOut) -> SelectedLeftOut:
        """Return a contact that is left out, with its name."""
        row = self.rows.get(id)
        return SelectedLeftOut(id=id, name=None if row is None else row.name or row.phone, why=why)


async def plan_selection(
    connection: Connection, organization_id: UUID, request: SelectedRequest, campaign_id: UUID | None = None
) -> PlannedSelection:
    """Return what an action would do with contacts as they are now, those of a campaign if one is given.

    Raises InvalidBulkAction.
    """
    check_selection(request)
    found = await acts.selected_contacts(
        connection, organization_id=organization_id, ids=list(request.ids), campaign_id=campaign_id
    )
    rows = {row.id: row for row in found}
    steps: dict[ContactStep, list[UUID]] = {}
    missing: dict[UUID, LeftOut] = {}
    for id in dict.fromkeys(request.ids):
        row = rows.get(id)
        if row is None:
            missing[id] = REMOVED
            continue
        step = _step(request, row)
        if isinstance(step, LeftOut):
            missing[id] = step
        else:
            steps.setdefault(step, []).append(id)
    return PlannedSelection(rows=rows, steps=steps, left_out=missing)


async def act_on_selected(
    connection: Connection,
    *,
    organization_id: UUID,
    request: SelectedRequest,
    by: str,
    actor: Actor,
    now: datetime,
    campaign_id: UUID | None = None,
) -> SelectedDone | Forbidden:
    """Act on the selected contacts in this transaction, with an entry in the audit log for each campaign.

    Raises InvalidBulkAction.
    """
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    plan = await plan_selection(connection, organization_id, request, campaign_id)
    if not plan.steps:
        return SelectedDone(changed=0, left_out=plan.names(), act_id=None)
    act_id, reason = new_id(now), (request.reason or "").strip() or None
    # Locks the campaigns of all steps at once, in the order of their ids.
    everyone = [id for ids in plan.steps.values() for id in ids]
    await record_act(connection, organization_id=organization_id, kind=_KINDS[request.action], now=now, act_id=act_id)
    await acts.remember_contacts(
        connection, organization_id=organization_id, act_id=act_id, ids=everyone, was=[], status=None, now=now
    )
    changed: set[UUID] = set()
    left = plan.names()
    for (action, decision), ids in plan.steps.items():
        step = ContactAction(
            organization_id=organization_id,
            action=action,
            decision=decision,
            reason=reason,
            by=by,
            author=actor.name,
            call_at=None,
            act_id=act_id,
        )
        done = set(await carry_out(connection, step, ids, now))
        changed |= done
        left += [plan.name(id, missed(action)) for id in ids if id not in done]
    await _record(connection, organization_id, request.action, reason, act_id, plan, changed, actor, now)
    return SelectedDone(changed=len(changed), left_out=left, act_id=act_id if changed else None)


def in_one_line(action: SelectedAction, done: SelectedDone, *, most: int = 3) -> str:
    """Return what an action has done, with the names of the first contacts that it has not changed."""
    contacts = "1 contact" if done.changed == 1 else f"{done.changed:,} contacts"
    # The calls come later.
    parts = [f"{contacts} {'will be ' if action is SelectedAction.CALL_AGAIN else ''}{DONE[action]}"]
    moved = (LeftOutKind.CHANGED, LeftOutKind.REMOVED, LeftOutKind.ERASED)
    changed = [each for each in done.left_out if each.why.kind in moved]
    others = [each for each in done.left_out if each.why.kind not in moved]
    for group, words in (
        (changed, "had changed"),
        (others, "left as they are" if len(others) > 1 else "left as it is"),
    ):
        if not group:
            continue
        names = [each.name or "a removed contact" for each in group[:most]]
        more = f" and {len(group) - most:,} more" if len(group) > most else ""
        why = f" ({group[0].why.reason})" if len(group) == 1 and group is others else ""
        parts.append(f"{len(group):,} {words}: {', '.join(names)}{more}{why}")
    return "; ".join(parts)


def check_selection(request: SelectedRequest) -> None:
    """Raise InvalidBulkAction for too few or too many contacts, and for a reason that is too long."""
    if not 1 <= len(request.ids) <= MOST_TICKED:
        raise InvalidBulkAction("ids", f"select 1 to {MOST_TICKED:,} contacts")
    if len(request.reason or "") > LONGEST_DECISION_NOTE:
        raise InvalidBulkAction("reason", f"at most {LONGEST_DECISION_NOTE:,} characters")


def _step(request: SelectedRequest, row: acts.ChosenContact) -> ContactStep | LeftOut:
    contact = PresentContact(
        status=ContactStatus(row.status),
        calls=row.call_count,
        attempts=row.attempts,
        do_not_call=row.do_not_call,
        is_erased=False,
    )
    seen = None if request.seen is None else request.seen.get(row.id)
    # What applies is decided by what the member saw: a contact that has changed since is not the one they chose.
    step = step_for(request.action, contact.status if seen is None else seen.status)
    if step is None:
        words = f"only contacts {APPLIES_TO_WORDS[request.action]} can be {DONE[request.action]}"
        return LeftOut(LeftOutKind.OTHER_STATUS, f"{words}; this one is {contact.status}")
    campaign = BulkTarget(status=CampaignStatus(row.campaign_status), max_attempts=row.max_attempts)
    present = SelectedContact(status=contact.status, calls=contact.calls)
    return left_out(step[0], step[1], seen or present, contact, campaign) or step


async def _record(
    connection: Connection,
    organization_id: UUID,
    action: SelectedAction,
    reason: str | None,
    act_id: UUID,
    plan: PlannedSelection,
    changed: set[UUID],
    actor: Actor,
    now: datetime,
) -> None:
    """Write an entry for each campaign, and have the dialers look at it again."""
    of_campaign: dict[UUID, list[UUID]] = {}
    for id in sorted(changed):
        of_campaign.setdefault(plan.rows[id].campaign_id, []).append(id)
    for campaign_id, ids in of_campaign.items():
        alone = len(ids) == 1
        await audit.record_audit(
            connection,
            organization_id=organization_id,
            actor=actor.name,
            action=f"selected_{action}",
            subject_type="campaign_contact" if alone else "campaign",
            subject_id=str(ids[0] if alone else campaign_id),
            details=encode_json({"campaign_id": campaign_id, "contacts": ids, "reason": reason, "act": act_id}),
        )
    await batches.wake_campaigns(connection, ids=list(of_campaign), provider_account_ids=[], now=now)
    await batches.notify_campaigns(connection, ids=list(of_campaign))
