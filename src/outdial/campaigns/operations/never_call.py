"""Puts the number of a contact on the do-not-call list and takes the contact out of its campaign."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, may_run
from outdial.campaigns.review import Decision, decide_review
from outdial.db.queries import audit, batches, do_not_call
from outdial.db.queries.dialing import callbacks, entries
from outdial.db.session import Connection, encode_json
from outdial.domain.contact import ContactStatus, ReviewDecision
from outdial.domain.permission.consent import Scope


@dataclass(frozen=True, slots=True)
class NeverCalled:
    """No campaign calls the number again. `is_new` is False when it was on the list for all calls before."""

    phone: str
    is_new: bool


NeverCallResult = NeverCalled | NotFound | Forbidden


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
    added = await do_not_call.block_phones(
        connection,
        organization_id=organization_id,
        phones=[contact.phone],
        purpose=Scope.ANY,
        source="manual",
        reason=reason,
        now=now,
    )
    if contact.status == ContactStatus.REVIEW:
        await decide_review(
            connection,
            campaign_id=contact.campaign_id,
            campaign_contact_id=contact.id,
            decision=Decision(decision=ReviewDecision.NEVER_CALL, note=reason),
            actor=actor,
            now=now,
        )
    else:
        await entries.skip_contacts_by_hand(
            connection,
            organization_id=organization_id,
            ids=[contact.id],
            reason=f"never to be called again, by {by}",
            now=now,
        )
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="never_call",
        subject_type="campaign_contact",
        subject_id=str(contact.id),
        details=encode_json({"campaign_id": contact.campaign_id, "reason": reason}),
    )
    await batches.wake_campaigns(connection, now=now, ids=[contact.campaign_id], provider_account_ids=[])
    await batches.notify_campaigns(connection, ids=[contact.campaign_id])
    return NeverCalled(contact.phone, is_new=bool(added))
