"""Erases all data about a phone, and recognizes erased phones when they come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.campaigns.errors import ErasureKeyMissing
from outdial.campaigns.lifecycle import Actor
from outdial.db.queries import audit, batches, erasures
from outdial.db.queries.compliance import erasure_calls
from outdial.db.rows import required
from outdial.db.session import Connection, encode_json
from outdial.domain.ids import new_id

ERASED_REASON: Final = "was erased at the request of its owner, and may not be added again"


@dataclass(frozen=True, slots=True)
class ErasureRequested:
    """The phone is erased wherever an index leads to it. The jobs process and the dialer remove the rest.

    `campaign_ids` are the campaigns with one contact less to call. Wake them once the transaction has ended.
    """

    erasure_id: UUID
    campaign_ids: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class ErasureRefused:
    """Nothing was erased; `reason` says why, and what to do."""

    reason: str


_REFUSALS: Final = {
    "legal_hold": "the organization is under legal hold, which keeps all data: an admin must end the hold first",
    "live_call": "a call to this number is in progress or waits for its analysis, which takes at most 10 minutes: wait"
    " until it has ended, or end it, and erase again",
}


def is_erased(phone: str) -> bool:
    """Return whether the phone of a contact was erased."""
    return phone.startswith("erased:")


async def request_erasure(
    connection: Connection, organization_id: UUID, phone: str, keys: ErasureKeys | None, actor: Actor, now: datetime
) -> ErasureRequested | ErasureRefused:
    """Erase `phone`, in E.164. The caller needs the role admin.

    Raises ErasureKeyMissing if earlier erasures of the organization have another key.
    """
    if keys is None:
        return ErasureRefused(
            "OUTDIAL_ERASURE_KEY is not set: set it in every process to the output of openssl rand -hex 32, and keep it"
        )
    await _check_keys(connection, organization_id, keys)
    hashed = keys.hash(organization_id, phone)
    result = required(
        await erasures.erase_phone(
            connection,
            organization_id=organization_id,
            erasure_id=new_id(now),
            phone=phone,
            phone_hash=hashed.digest,
            key_id=hashed.key_id,
            requested_by=actor.name,
            now=now,
        )
    )
    if result.erasure_id is None:
        return ErasureRefused(_REFUSALS[result.result])
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="erase_contact",
        subject_type="erasure",
        subject_id=str(result.erasure_id),
        details="{}",
    )
    return ErasureRequested(result.erasure_id, result.campaign_ids)


async def confirm_deletions(
    connection: Connection, organization_id: UUID, erasure_id: UUID, actor: Actor, *, until: datetime, now: datetime
) -> int:
    """Store that an admin has deleted the calls of an erasure that are out of reach; return how many there were.

    `until` is the `out_of_reach_until` that the admin has seen: calls that were out of reach later stay unconfirmed.
    The caller needs the role admin.
    """
    confirmed = await erasure_calls.confirm_erasure_calls(
        connection,
        organization_id=organization_id,
        erasure_id=erasure_id,
        confirmed_by=actor.name,
        until=until,
        now=now,
    )
    if confirmed:
        await audit.record_audit(
            connection,
            organization_id=organization_id,
            actor=actor.name,
            action="confirm_deletions_at_retell",
            subject_type="erasure",
            subject_id=str(erasure_id),
            details=encode_json({"calls": confirmed}),
        )
    return confirmed


async def wake_campaigns(connection: Connection, campaign_ids: Sequence[UUID], now: datetime) -> None:
    """Wake campaigns with one contact less to call: they may be complete.

    In a separate transaction, because imports lock campaigns before contacts.
    """
    for campaign_id in sorted(campaign_ids):
        await batches.wake_campaign(connection, campaign_id=campaign_id, now=now)
    if campaign_ids:
        await batches.notify_campaigns(connection, ids=sorted(campaign_ids))


async def find_erased(
    connection: Connection, organization_id: UUID, phones: Sequence[str], keys: ErasureKeys | None
) -> frozenset[str]:
    """Return those of `phones` that were erased. None is erased from then until the transaction ends.

    Raises ErasureKeyMissing if the organization has erasures that `keys` cannot recognize.
    """
    if not await _check_keys(connection, organization_id, keys) or keys is None:
        return frozenset()
    hashes = keys.hashes(organization_id, phones)
    found = await erasures.erased_hashes(connection, organization_id=organization_id, hashes=list(hashes))
    return frozenset(hashes[digest] for digest in found)


async def without_erased(
    connection: Connection, organization_id: UUID, phones: Sequence[str], keys: ErasureKeys | None
) -> list[str]:
    """Return `phones` without those that were erased, for lists of numbers that are not called.

    An erased phone is not called anyway, and its number must not be stored again. Without the key, all are returned:
    an opt-out counts more.
    """
    try:
        erased = await find_erased(connection, organization_id, phones, keys)
    except ErasureKeyMissing:
        return list(phones)
    return [phone for phone in phones if phone not in erased]


async def _check_keys(connection: Connection, organization_id: UUID, keys: ErasureKeys | None) -> bool:
    """Return whether the organization has erasures; raises ErasureKeyMissing unless `keys` recognize all of them."""
    key_ids = await erasures.erasure_key_ids(connection, organization_id=organization_id)
    if key_ids and (keys is None or not keys.cover(key_ids)):
        raise ErasureKeyMissing(is_set=keys is not None)
    return bool(key_ids)
