"""What one event is to us before it is applied, and its reduction to a report about a call."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from outdial.domain.call import RANK_OF_EVENT, Details, Rank, Report
from outdial.retell import wire

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as it came: `credential` names the account whose key had signed it, `call_id` is our own id of the
    call where the metadata carries one, and `report` is None for an event that changes no call."""

    credential: str
    event: str
    retell_call_id: str
    call_id: UUID | None
    body: bytes
    body_sha256: bytes
    received_at: datetime
    report: Report | None
    malformed: str | None = None


def read(credential: str, body: bytes, received_at: datetime, *, plain: bool = False) -> Delivery:
    """Return the delivery that `body` holds; one that cannot be decoded says why, and keeps its bytes.

    `plain` reads the form of the original system, {"event_type", "data"}.
    """
    digest = hashlib.sha256(body).digest()
    payload = wire.parse_legacy_webhook(body) if plain else wire.parse_webhook(body)
    if isinstance(payload, wire.Malformed):
        return Delivery(credential, "", "", None, body, digest, received_at, None, payload.reason)
    retell_call_id = payload.call.call_id or ""
    report, malformed = None, None
    try:
        report = _report(payload, retell_call_id)
    except ValueError as error:
        malformed = f"a field of the call cannot be read: {error}"
    call_id = _uuid(wire.metadata_call_id(payload.call))
    return Delivery(credential, payload.event, retell_call_id, call_id, body, digest, received_at, report, malformed)


def _report(payload: wire.WebhookPayload, retell_call_id: str) -> Report | None:
    rank = RANK_OF_EVENT.get(payload.event)
    if rank is None or not retell_call_id:
        return None
    call = payload.call
    if rank is Rank.STARTED:
        return Report(rank, retell_call_id, Details(started_at=_moment(call.start_timestamp)))
    details = Details(
        disconnection_reason=call.disconnection_reason,
        started_at=_moment(call.start_timestamp),
        ended_at=_moment(call.end_timestamp),
        duration_ms=call.duration_ms,
        cost_cents=_cents(call),
        transcript=call.transcript,
        recording_url=call.recording_url,
        public_log_url=call.public_log_url,
        analysis=_analysis(call.call_analysis),
    )
    return Report(rank, retell_call_id, details)


def _cents(call: wire.CallPayload) -> Decimal | None:
    cost = None if call.call_cost is None else call.call_cost.combined_cost
    return None if cost is None or cost < 0 else round(Decimal(str(cost)), 4)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _EPOCH + timedelta(milliseconds=milliseconds)


def canonical_json(text: str) -> str:
    """Return JSON text with its keys in order, so that equal analyses compare equal wherever they come from."""
    return msgspec.json.encode(msgspec.json.decode(text), order="sorted").decode()


def _analysis(raw: msgspec.Raw | None) -> str | None:
    return None if raw is None else canonical_json(bytes(raw).decode())


def _uuid(value: str | None) -> UUID | None:
    return None if value is None else UUID(value)
