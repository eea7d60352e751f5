"""Puts the number of a contact on the do-not-call list and takes the contact out of its campaign."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.campaigns.erasure import is_erased
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.campaigns.review import Decided, Decision, decide_review
from outdial.campaigns.undoing.acts import record_act, remember_contacts
from outdial.db.queries import audit, batches, do_not_call
from outdial.db.queries.dialing import callbacks, entries
from outdial.db.session import Connection, encode_json
from outdial.domain.contact import ContactStatus, ReviewDecision
from outdial.domain.permission.consent import Scope
from outdial.domain.policies.bulk_action import BulkAction
from outdial.domain.policies.undo import ActKind


@dataclass(frozen=True, slots=True)
class NeverCalled:
    """No campaign calls the number again. `act_id` names what can be undone."""

    act_id: UUID


@dataclass(frozen=True, slots=True)
class ContactErased:
    """The contact was erased: it has no number, and is not called."""


NeverCallResult = NeverCalled | ContactErased | NotFound | Forbidden


async def never_call(
    connection: Connection,
    *,
    organization_id: UUID,
    campaign_contact_id: UUID,
    reason: str | None,
    by: str,
    actor: Actor,
    now: datetime,
) -> NeverCallResult:
    """Put the number of a contact on the do-not-call list. A pending contact is skipped, one in review is decided.

    A call that is on the line goes on. `by` names the actor in the status reason of a skipped contact.
    """
    contact = await callbacks.find_callback(
        connection, organization_id=organization_id, campaign_contact_id=campaign_contact_id
    )
    if contact is None:
        return NotFound()
    if not await may_run(connection, organization_id, actor):
        return Forbidden()
    if is_erased(contact.phone):
        return ContactErased()
    decided = None
    if contact.status == ContactStatus.REVIEW:
        decided = await decide_review(
            connection,
            campaign_id=contact.campaign_id,
            campaign_contact_id=contact.id,
            decision=Decision(decision=ReviewDecision.NEVER_CALL, note=reason),
            actor=actor,
            now=now,
        )
    if isinstance(decided, Decided) and decided.act_id is not None:
        act_id = decided.act_id
    else:
        act_id = await _skip_and_block(connection, organization_id, contact, reason, by, now)
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="never_call",
        subject_type="campaign_contact",
        subject_id=str(contact.id),
        details=encode_json({"campaign_id": contact.campaign_id, "reason": reason, "act": act_id}),
    )
    await batches.wake_campaigns(connection, now=now, ids=[contact.campaign_id], provider_account_ids=[])
    await batches.notify_campaigns(connection, ids=[contact.campaign_id])
    return NeverCalled(act_id)


async def _skip_and_block(
    connection: Connection,
    organization_id: UUID,
    contact: callbacks.OpenCallback,
    reason: str | None,
    by: str,
    now: datetime,
) -> UUID:
    """Skip a contact that is pending, and put its number on the list. Return the act.

    The campaign and the contact are locked before the list, as by the decisions of bulk jobs.
    """
    act_id = await record_act(
        connection, organization_id=organization_id, kind=ActKind.BLOCK, now=now, campaign_id=contact.campaign_id
    )
    # The second one stores the contacts that are not pending.
    for action in (BulkAction.SKIP, BulkAction.DO_NOT_CALL):
        await remember_contacts(
            connection,
            organization_id=organization_id,
            act_id=act_id,
            action=action,
            decision=None,
            ids=[contact.id],
            now=now,
        )
    await entries.skip_contacts_by_hand(
        connection,
        organization_id=organization_id,
        ids=[contact.id],
        reason=f"never to be called again, by {by}",
        now=now,
    )
    await do_not_call.block_phones(
        connection,
        organization_id=organization_id,
        phones=[contact.phone],
        purpose=Scope.ANY,
        source="manual",
        reason=reason,
        now=now,
    )
    return act_id
