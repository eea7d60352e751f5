"""Exports all data about a phone, for a person who requests it."""

import base64
from typing import Any, Final
from uuid import UUID

import msgspec

from outdial.campaigns.erasure_keys import ErasureKeys, digits_of
from outdial.campaigns.lifecycle import Actor
from outdial.db.queries import audit, erasures
from outdial.db.queries.dialing import listening, test_call_requests
from outdial.db.session import Connection

SECTIONS: Final = {
    "contact": "contacts",
    "do_not_call": "do_not_call",
    "consent": "consents",
    "screening_list": "screening_lists",
    "opt_out_at_provider": "opt_outs_at_provider",
    "campaign": "campaigns",
    "call": "calls",
    "test_call": "test_calls",
    "call_review": "call_reviews",
    "event": "events",
    "refused_row": "refused_rows",
    "export": "exports",
    "audit": "audit",
}
"""The list of each kind of record in the export."""


async def export_subject(
    connection: Connection, organization_id: UUID, phone: str, keys: ErasureKeys | None, actor: Actor
) -> dict[str, Any]:
    """Return all data about `phone`, in E.164, as a JSON object of lists.

    The caller needs the role admin. `erasure_id` names the erasure of the phone, None if it was not erased. The audit
    log gets an entry that does not name the phone.
    """
    numbers = digits_of(phone)
    records = await erasures.subject_data(connection, organization_id=organization_id, phone=phone, numbers=numbers)
    found: dict[str, Any] = {"phone": phone, "erasure_id": None} | {section: [] for section in SECTIONS.values()}
    for record in records:
        data: dict[str, Any] = msgspec.json.decode(record.data)
        if record.kind == "event":
            data["body"] = _body(data["body"])
        found[SECTIONS[record.kind]].append(data)
    for row in await test_call_requests.test_calls_of_phone(connection, organization_id=organization_id, phone=phone):
        found[SECTIONS["test_call"]].append(msgspec.json.decode(row.data))
    for review in await listening.reviews_of_phone(connection, organization_id=organization_id, phone=phone):
        found[SECTIONS["call_review"]].append(msgspec.json.decode(review.data))
    if keys is not None:
        found["erasure_id"] = await erasures.erasure_of_hash(
            connection, organization_id=organization_id, hashes=list(keys.hashes(organization_id, [phone]))
        )
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="export_subject",
        subject_type="organization",
        subject_id=str(organization_id),
        details="{}",
    )
    return found


def _body(encoded: str) -> Any:
    """Return the body of an event: as JSON if it is, else as text."""
    raw = base64.b64decode(encoded)
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw.decode("utf-8", "replace")
