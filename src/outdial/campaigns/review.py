"""Decides about contacts in review, for the command line and the studio."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from outdial.campaigns.entries.items import check_wait
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.campaigns.undoing.acts import record_act, remember_contacts
from outdial.db.queries import audit, batches, do_not_call, reviews
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import OPEN_TO_IMPORT
from outdial.domain.contact import AFTER_REVIEW, ContactStatus, ReviewDecision
from outdial.domain.permission.consent import Scope
from outdial.domain.policies.bulk_action import BulkAction
from outdial.domain.policies.undo import ActKind

_D = ReviewDecision
DECIDED_REASONS: Final = {
    _D.COMPLETED: "marked as completed",
    _D.FAILED: "marked as failed",
    _D.CALL_AGAIN: "to be called again",
    _D.NEVER_CALL: "never to be called again",
}
"""The status_reason of a contact after each decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision about a contact in review. `call_at` is the earliest time to call again, None for now."""

    decision: ReviewDecision
    note: str | None = None
    call_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """The contact now has `status`. `act_id` names what can be undone."""

    status: ContactStatus
    act_id: UUID | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ReviewConflict:
    """The contact, which has `status`, does not allow the decision; `reason` says why and what to do."""

    status: ContactStatus
    reason: str


ReviewResult = Decided | ReviewConflict | NotFound | Forbidden


async def decide_review(
    connection: Connection,
    *,
    campaign_id: UUID,
    campaign_contact_id: UUID,
    decision: Decision,
    actor: Actor,
    now: datetime,
) -> ReviewResult:
    """Decide about a contact in review. Events of its calls so far no longer change it.

    The attempt limit still applies to a contact that is called again, as do the calling hours and the daily cap. Raises
    InvalidItem when `call_at` is too far ahead.
    """
    check_wait(decision.call_at, now, "call_at")
    contact = await reviews.reviewed_contact(
        connection, campaign_contact_id=campaign_contact_id, campaign_id=campaign_id
    )
    if contact is None:
        return NotFound()
    if not await may_run(connection, contact.organization_id, actor):
        return Forbidden()
    if (refusal := _refusal(contact, decision.decision)) is not None:
        return refusal
    act_id, decided = await _decide(connection, contact, campaign_id, decision, actor, now)
    if decided is None:
        return await _overtaken(connection, campaign_id, campaign_contact_id, decision.decision)
    if decision.decision is _D.NEVER_CALL:
        await do_not_call.block_phones(
            connection,
            organization_id=contact.organization_id,
            phones=[contact.phone],
            purpose=Scope.ANY,
            source="manual",
            reason=decision.note or "decided in review",
            now=now,
        )
    await audit.record_audit(
        connection,
        organization_id=contact.organization_id,
        actor=actor.name,
        action="decide_review",
        subject_type="campaign_contact",
        subject_id=str(contact.id),
        details=encode_json({"campaign_id": campaign_id, **asdict(decision), "act": act_id}),
    )
    # It skips a locked campaign: what locks a campaign and then its contacts could wait for this contact.
    await batches.wake_campaigns(connection, now=now, ids=[campaign_id], provider_account_ids=[])
    await batches.notify_campaigns(connection, ids=[campaign_id])
    return Decided(AFTER_REVIEW[decision.decision], act_id)


async def _decide(
    connection: Connection,
    contact: reviews.ReviewedContact,
    campaign_id: UUID,
    decision: Decision,
    actor: Actor,
    now: datetime,
) -> tuple[UUID, UUID | None]:
    """Change the contact, with an act that can be undone; return the act, and the contact if it was still in review."""
    kind = ActKind.BLOCK if decision.decision is _D.NEVER_CALL else ActKind.DECIDE
    act_id = await record_act(
        connection, organization_id=contact.organization_id, kind=kind, now=now, campaign_id=campaign_id
    )
    await remember_contacts(
        connection,
        organization_id=contact.organization_id,
        act_id=act_id,
        action=BulkAction.DECIDE,
        decision=decision.decision,
        ids=[contact.id],
        now=now,
    )
    decided = await reviews.decide_review(
        connection,
        organization_id=contact.organization_id,
        campaign_contact_id=contact.id,
        decision=decision.decision,
        note=decision.note,
        decided_by=actor.name,
        reason=DECIDED_REASONS[decision.decision],
        call_at=max(now, decision.call_at or now),
        now=now,
    )
    return act_id, decided


async def _overtaken(
    connection: Connection, campaign_id: UUID, campaign_contact_id: UUID, decision: ReviewDecision
) -> ReviewConflict | NotFound:
    """Return why a decision was refused: another transaction has changed the contact or its campaign since."""
    contact = await reviews.reviewed_contact(
        connection, campaign_contact_id=campaign_contact_id, campaign_id=campaign_id
    )
    if contact is None:
        return NotFound()
    just_changed = ReviewConflict(ContactStatus(contact.status), "the contact has just changed: try again")
    return _refusal(contact, decision) or just_changed


def _refusal(contact: reviews.ReviewedContact, decision: ReviewDecision) -> ReviewConflict | None:
    status = ContactStatus(contact.status)
    if status is not ContactStatus.REVIEW:
        return ReviewConflict(status, f"only contacts in review can be decided; this one is {status}")
    if decision is not _D.CALL_AGAIN:
        return None
    if contact.campaign_status not in OPEN_TO_IMPORT:
        reason = (
            f"the campaign is {contact.campaign_status} and places no more calls: import the contact into another one"
        )
        return ReviewConflict(status, reason)
    if contact.attempts >= contact.max_attempts:
        reason = f"all {contact.max_attempts} attempts have been used: raise the campaign's attempt limit first"
        return ReviewConflict(status, reason)
    if contact.do_not_call:
        return ReviewConflict(status, "the number is on the do-not-call list")
    return None
