"""Changes, skips and calls again single contacts of a campaign. Results are values, as for reviews."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from outdial.campaigns.entries.items import check_wait
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.campaigns.undoing.acts import act_of, record_act, remember_contacts
from outdial.db.queries import audit, batches, reviews
from outdial.db.queries.dialing import entries
from outdial.db.rows import required
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import OPEN_TO_IMPORT
from outdial.domain.contact import MAY_COME_AGAIN, ContactStatus
from outdial.domain.policies.bulk_action import BulkAction


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryChanges:
    """What changes about a pending contact; None keeps a value. A variable with the value None is removed."""

    not_before: datetime | None = None
    rank: int | None = None
    variables: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class EntryChanged:
    """The contact now has `status`; `changed` is False when it had it before. `act_id` names what can be undone."""

    status: ContactStatus
    changed: bool = True
    act_id: UUID | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class EntryConflict:
    """The contact, which has `status`, does not allow the change; `reason` says why and what to do."""

    status: ContactStatus
    reason: str


EntryResult = EntryChanged | EntryConflict | NotFound | Forbidden
_S = ContactStatus


async def change_entry(
    connection: Connection,
    *,
    campaign_id: UUID,
    campaign_contact_id: UUID,
    changes: EntryChanges,
    actor: Actor,
    now: datetime,
) -> EntryResult:
    """Change when a pending contact is called, before which others, or its variables."""
    contact = await _find(connection, campaign_id, campaign_contact_id, actor)
    if not isinstance(contact, reviews.ReviewedContact):
        return contact
    changed = await entries.change_pending_contact(
        connection,
        organization_id=contact.organization_id,
        campaign_contact_id=contact.id,
        next_attempt_at=changes.not_before,
        rank=changes.rank,
        variables=encode_json(changes.variables or {}),
        now=now,
    )
    if changed is None:
        return await _conflict(
            connection, campaign_id, campaign_contact_id, "only pending contacts can be changed; this one is {}"
        )
    details = {"not_before": changes.not_before, "rank": changes.rank, "variables": sorted(changes.variables or {})}
    await _record(connection, contact, campaign_id, actor, "change_campaign_contact", details, now)
    return EntryChanged(_S.PENDING)


async def skip_entry(
    connection: Connection,
    *,
    campaign_id: UUID,
    campaign_contact_id: UUID,
    by: str,
    reason: str | None,
    actor: Actor,
    now: datetime,
) -> EntryResult:
    """Skip a pending contact: it is not called in this campaign. `by` names the actor in its status reason."""
    contact = await _find(connection, campaign_id, campaign_contact_id, actor)
    if not isinstance(contact, reviews.ReviewedContact):
        return contact
    act_id = await _remember(connection, contact, campaign_id, BulkAction.SKIP, now)
    skipped = await entries.skip_contacts_by_hand(
        connection,
        organization_id=contact.organization_id,
        ids=[contact.id],
        reason=skip_reason(by, reason),
        now=now,
    )
    if not skipped:
        conflict = await _conflict(
            connection, campaign_id, campaign_contact_id, "only pending contacts can be skipped; this one is {}"
        )
        already = isinstance(conflict, EntryConflict) and conflict.status is _S.SKIPPED
        return EntryChanged(_S.SKIPPED, changed=False) if already else conflict
    details = {"reason": reason, "act": act_id}
    await _record(connection, contact, campaign_id, actor, "skip_contact", details, now)
    return EntryChanged(_S.SKIPPED, act_id=act_id)


def skip_reason(by: str, reason: str | None) -> str:
    """Return the status reason of a contact that `by` skipped."""
    return f"skipped by {by}" + (f": {reason}" if reason else "")


async def retry_entry(
    connection: Connection,
    *,
    campaign_id: UUID,
    campaign_contact_id: UUID,
    not_before: datetime | None,
    reason: str | None,
    actor: Actor,
    now: datetime,
) -> EntryResult:
    """Make a finished contact pending again, with all attempts left. Hours, lists and caps apply as before.

    Raises InvalidItem when `not_before` is too far ahead.
    """
    check_wait(not_before, now)
    contact = await _find(connection, campaign_id, campaign_contact_id, actor)
    if not isinstance(contact, reviews.ReviewedContact):
        return contact
    if contact.status == _S.PENDING:
        return EntryChanged(_S.PENDING, changed=False)
    if contact.campaign_status not in OPEN_TO_IMPORT:
        closed = (
            f"the campaign is {contact.campaign_status} and places no more calls: add the contact to another campaign"
        )
        return EntryConflict(_S(contact.status), closed)
    if contact.do_not_call:
        return EntryConflict(_S(contact.status), "the number is on the do-not-call list")
    act_id = await _remember(connection, contact, campaign_id, BulkAction.RETRY, now)
    again = await entries.retry_contacts(
        connection,
        organization_id=contact.organization_id,
        ids=[contact.id],
        call_at=max(now, not_before or now),
        reason="to be called again",
        now=now,
    )
    if not again:
        finished = ", ".join(MAY_COME_AGAIN)
        return await _conflict(
            connection,
            campaign_id,
            campaign_contact_id,
            f"only contacts that are {finished} can be retried; this one is {{}}",
        )
    details = {"not_before": not_before, "reason": reason, "act": act_id}
    await _record(connection, contact, campaign_id, actor, "retry_contact", details, now)
    return EntryChanged(_S.PENDING, act_id=act_id)


async def _find(
    connection: Connection, campaign_id: UUID, campaign_contact_id: UUID, actor: Actor
) -> reviews.ReviewedContact | NotFound | Forbidden:
    contact = await reviews.reviewed_contact(
        connection, campaign_contact_id=campaign_contact_id, campaign_id=campaign_id
    )
    if contact is None:
        return NotFound()
    return contact if await may_run(connection, contact.organization_id, actor) else Forbidden()


async def _remember(
    connection: Connection, contact: reviews.ReviewedContact, campaign_id: UUID, action: BulkAction, now: datetime
) -> UUID:
    """Store an act on the contact. It undoes nothing when the guard of the change holds."""
    kind = required(act_of(action, None))
    act_id = await record_act(
        connection, organization_id=contact.organization_id, kind=kind, now=now, campaign_id=campaign_id
    )
    await remember_contacts(
        connection,
        organization_id=contact.organization_id,
        act_id=act_id,
        action=action,
        decision=None,
        ids=[contact.id],
        now=now,
    )
    return act_id


async def _conflict(
    connection: Connection, campaign_id: UUID, campaign_contact_id: UUID, reason: str
) -> EntryConflict | NotFound:
    """Return why the guard of a change held; `reason` has a place for the status that the contact has now."""
    contact = await reviews.reviewed_contact(
        connection, campaign_contact_id=campaign_contact_id, campaign_id=campaign_id
    )
    if contact is None:
        return NotFound()
    return EntryConflict(_S(contact.status), reason.format(_IN_STATUS[_S(contact.status)]))


_IN_STATUS = {status: str(status) for status in _S} | {
    _S.CALLING: "in a call: wait until it has ended",
    _S.REVIEW: "in review: decide about it",
}


async def _record(
    connection: Connection,
    contact: reviews.ReviewedContact,
    campaign_id: UUID,
    actor: Actor,
    action: str,
    details: Mapping[str, object],
    now: datetime,
) -> None:
    """Write an entry about the contact to the audit log, and have the dialers look at its campaign again."""
    await audit.record_audit(
        connection,
        organization_id=contact.organization_id,
        actor=actor.name,
        action=action,
        subject_type="campaign_contact",
        subject_id=str(contact.id),
        details=encode_json({"campaign_id": campaign_id, **details}),
    )
    await batches.wake_campaigns(connection, ids=[campaign_id], provider_account_ids=[], now=now)
    await batches.notify_campaigns(connection, ids=[campaign_id])
