"""Retell's webhook events, read as events of the provider interface."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from outdial.domain.call import CallDetails, CallReport, DisconnectionReason, ReportRank, canonical_json
from outdial.provider import ProviderEvent
from outdial.retell import wire
from outdial.retell.dispositions import read_reason

EVENT_RANKS: Final[Mapping[str, ReportRank]] = {
    "call_started": ReportRank.STARTED,
    "call_ended": ReportRank.ENDED,
    "call_analyzed": ReportRank.ANALYZED,
}
"""The events of a call's life. Other events change no call."""

TRANSCRIPT_UPDATED: Final = "transcript_updated"
"""Comes with each turn of a live call, with all that was said so far, from agents whose `webhook_events` have it."""

LONGEST_NAME: Final = 500
"""Bytes of an event's name and of Retell's call id. Both are in an index, whose entries have at most 2,704."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RetellEventReader:
    """Reads stored events and disconnection reasons of Retell; implements `EventReader`."""

    def read_event(self, body: bytes) -> ProviderEvent:
        """Parse a stored body, which may have the current or the legacy form. Never raises."""
        event = parse_event(body)
        if event.malformed is None:
            return event
        legacy = parse_event(body, legacy=True)
        return legacy if legacy.malformed is None else event

    def read_reason(self, code: str | None) -> DisconnectionReason | None:
        """Return a disconnection reason with its outcome; None for None."""
        return read_reason(code)


def parse_event(body: bytes, *, legacy: bool = False) -> ProviderEvent:
    """Parse `{"event", "call"}`, or `{"event_type", "data"}` of the original system when `legacy`. Never raises."""
    payload = wire.parse_legacy_webhook(body) if legacy else wire.parse_webhook(body)
    if isinstance(payload, wire.MalformedPayload):
        return ProviderEvent(name="", provider_call_id="", call_id=None, report=None, malformed=payload.reason)
    provider_call_id = payload.call.call_id or ""
    for what, text in (("name of the event", payload.event), ("call_id", provider_call_id)):
        if (size := len(text.encode())) > LONGEST_NAME:
            reason = f"the {what} has {size} bytes, more than {LONGEST_NAME}"
            return ProviderEvent(name="", provider_call_id="", call_id=None, report=None, malformed=reason)
    report: CallReport | None = None
    malformed: str | None = None
    try:
        report = _report(payload, provider_call_id)
    except ValueError as error:
        malformed = f"cannot read a field of the call: {error}"
    transcript: str | None = None
    if payload.event == TRANSCRIPT_UPDATED:
        transcript = payload.call.transcript or wire.parse_utterances(body)
    return ProviderEvent(
        name=payload.event,
        provider_call_id=provider_call_id,
        call_id=wire.metadata_id(payload.call, "call_id"),
        report=report,
        test_call_id=wire.metadata_id(payload.call, "test_call_id"),
        transcript_so_far=transcript,
        malformed=malformed,
    )


def _report(payload: wire.WebhookPayload, provider_call_id: str) -> CallReport | None:
    rank = EVENT_RANKS.get(payload.event)
    if rank is None or not provider_call_id:
        return None
    call = payload.call
    started_at = _from_epoch_ms(call.start_timestamp)
    if rank is ReportRank.STARTED:
        return CallReport(rank, provider_call_id, CallDetails(started_at=started_at))
    cost = None if call.call_cost is None else call.call_cost.combined_cost
    analysis = call.call_analysis
    details = CallDetails(
        disconnection_reason=read_reason(call.disconnection_reason),
        started_at=started_at,
        ended_at=_from_epoch_ms(call.end_timestamp),
        duration_ms=call.duration_ms,
        cost_cents=None if cost is None or cost < 0 else round(Decimal(str(cost)), 4),
        transcript=call.transcript,
        recording_url=call.recording_url,
        public_log_url=call.public_log_url,
        analysis=None if analysis is None else canonical_json(bytes(analysis).decode()),
    )
    return CallReport(rank, provider_call_id, details)


def _from_epoch_ms(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _EPOCH + timedelta(milliseconds=milliseconds)
