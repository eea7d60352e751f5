"""The parts of Retell's payloads that Outdial reads: decoded fast if well formed, leniently otherwise."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

_LAST_MOMENT_MS: Final = 253_402_300_799_999  # end of the year 9999, the limit of datetime
_MOST_CENTS: Final = 99_999_999  # a million dollars; the column is numeric(12, 4)

Name = Annotated[str, Meta(min_length=1)]
EpochMs = Annotated[int, Meta(ge=0, le=_LAST_MOMENT_MS)]
DurationMs = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Cents = Annotated[float, Meta(ge=-_MOST_CENTS, le=_MOST_CENTS)]


class CallCost(Struct, frozen=True):
    """`call_cost`: the cost of the call, in cents (a float)."""

    combined_cost: Cents | None = None


class CallPayload(Struct, kw_only=True):
    """A call in Retell's API, with the fields that Outdial uses (Retell API, get-call).

    Every field may be missing. Times are Unix milliseconds. Retell adds values to `call_status` and
    `disconnection_reason`, so both are plain text.
    """

    call_id: Name | None = None
    call_status: str | None = None
    agent_id: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    metadata: dict[str, Any] | None = None
    start_timestamp: EpochMs | None = None
    end_timestamp: EpochMs | None = None
    duration_ms: DurationMs | None = None
    disconnection_reason: str | None = None
    transcript: str | None = None
    recording_url: str | None = None
    public_log_url: str | None = None
    call_cost: CallCost | None = None
    raw_analysis: Raw | UnsetType = msgspec.field(default=UNSET, name="call_analysis")

    @property
    def call_analysis(self) -> Raw | None:
        """The analysis as its original JSON object (`bytes()` returns the text); None without one."""
        return None if self.raw_analysis is UNSET else self.raw_analysis


class ContactPayload(Struct, frozen=True, kw_only=True):
    """A contact of the workspace, with the fields that Outdial uses (Retell API, get-contact-by-phone)."""

    contact_id: Name
    phone_number: Name
    do_not_call: bool | None = None


class NumberAgentPayload(Struct, frozen=True, kw_only=True):
    """An agent of a phone number."""

    agent_id: Name


class PhoneNumberPayload(Struct, frozen=True, kw_only=True):
    """A phone number of the workspace, with the fields that Outdial uses (Retell API, list-phone-numbers)."""

    phone_number: Name
    nickname: str | None = None
    outbound_agents: list[NumberAgentPayload] | None = None
    outbound_agent_id: str | None = None

    @property
    def agent_id(self) -> str | None:
        """The agent of outbound calls: the first of several."""
        return self.outbound_agents[0].agent_id if self.outbound_agents else self.outbound_agent_id


class AgentPayload(Struct, frozen=True, kw_only=True):
    """An agent of the workspace, with the fields that Outdial uses (Retell API, list-agents)."""

    agent_id: Name
    agent_name: str | None = None
    channel: str | None = None
    is_suspended: bool | None = None


class WebhookPayload(Struct):
    """One webhook: the name of the event, and its call (empty for an event without a call)."""

    event: Name
    call: CallPayload = msgspec.field(default_factory=CallPayload)


class _Utterances(Struct):
    # Tool calls and key presses are in these lists too.
    transcript_object: list[Any] | None = None
    transcript_with_tool_calls: list[Any] | None = None


class _UtterancesPayload(_Utterances):
    call: _Utterances = msgspec.field(default_factory=_Utterances)


class _LegacyPayload(Struct):
    event_type: Name
    data: CallPayload = msgspec.field(default_factory=CallPayload)


@dataclass(frozen=True, slots=True)
class MalformedPayload:
    """A body that is not an event: not JSON, not an object, or without an event name."""

    reason: str


@dataclass(frozen=True, slots=True)
class RetellResponse:
    """A response of Retell's API. `retry_after_s` is the wait it asks for before the next request."""

    status: int
    body: bytes
    retry_after_s: float | None = None


def parse_webhook(body: bytes) -> WebhookPayload | MalformedPayload:
    """Decode `{"event": ..., "call": {...}}`. A field of the wrong type or range becomes None.

    NUL characters and lone surrogates in strings, which Postgres cannot store, are replaced.
    """
    try:
        payload = _webhook_decoder.decode(body)
        if _is_clean(body, payload.call):
            return payload
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    return _parse_leniently(body, "event", "call")


def parse_legacy_webhook(body: bytes) -> WebhookPayload | MalformedPayload:
    """Decode `{"event_type": ..., "data": {...}}`, the format of the original system, like `parse_webhook`."""
    try:
        payload = _legacy_decoder.decode(body)
        if _is_clean(body, payload.data):
            return WebhookPayload(payload.event_type, payload.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    return _parse_leniently(body, "event_type", "data")


def parse_call(body: bytes) -> CallPayload | MalformedPayload:
    """Decode a call object of get-call, as leniently as `parse_webhook`."""
    try:
        call = _call_decoder.decode(body)
        if _is_clean(body, call):
            return call
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    value = _loads(body)
    return value if isinstance(value, MalformedPayload) else _lenient_call(value)


def parse_utterances(body: bytes) -> str:
    """Return what was said according to the lists of a webhook, as text like `transcript`; empty if it has none.

    Retell documents `transcript` for calls that have ended, and `transcript_with_tool_calls` for `transcript_updated`.
    """
    try:
        payload = _utterances_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    call = payload.call
    lists = (call.transcript_object, call.transcript_with_tool_calls, payload.transcript_with_tool_calls)
    items = next((items for items in lists if items), [])
    return _unstorable.sub("\N{REPLACEMENT CHARACTER}", "".join(map(_spoken_line, items)))


def _spoken_line(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    role, said = item.get("role"), item.get("content")
    speaker = _SPEAKERS.get(role) if isinstance(role, str) else None
    return f"{speaker}: {said}\n" if speaker and isinstance(said, str) and said.strip() else ""


def metadata_id(call: CallPayload, name: str) -> UUID | None:
    """Return one of our ids from the metadata of a call; None if it is not a UUID."""
    value = (call.metadata or {}).get(name)
    if not isinstance(value, str):
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


_webhook_decoder = msgspec.json.Decoder(WebhookPayload)
_legacy_decoder = msgspec.json.Decoder(_LegacyPayload)
_call_decoder = msgspec.json.Decoder(CallPayload)
_utterances_decoder = msgspec.json.Decoder(_UtterancesPayload)
_SPEAKERS: Final = {"agent": "Agent", "user": "User", "transfer_target": "Transfer Target"}
_call_fields = {field.encode_name: field for field in msgspec.structs.fields(CallPayload)}
_unstorable = re.compile("[\x00\ud800-\udfff]")


def _is_clean(body: bytes, call: CallPayload) -> bool:
    if rb"\u0000" in body:
        return False
    if call.raw_analysis is UNSET:
        return True
    text = bytes(call.raw_analysis)
    if text == b"null":
        call.raw_analysis = UNSET
        return True
    text.decode()  # the decoder does not check skipped fields for UTF-8
    return text.startswith(b"{")


def _parse_leniently(body: bytes, event_key: str, call_key: str) -> WebhookPayload | MalformedPayload:
    value = _loads(body)
    if isinstance(value, MalformedPayload):
        return value
    event = value.get(event_key)
    if not isinstance(event, str) or not event:
        return MalformedPayload(f"no text in {event_key!r}")
    call = value.get(call_key)
    return WebhookPayload(event, _lenient_call(call if isinstance(call, dict) else {}))


def _loads(body: bytes) -> dict[str, Any] | MalformedPayload:
    try:
        value = _storable(json.loads(body.decode("utf-8-sig", "replace"), parse_constant=lambda _: None))
    except (ValueError, RecursionError) as error:
        return MalformedPayload(f"not JSON: {type(error).__name__}")
    return value if isinstance(value, dict) else MalformedPayload("not a JSON object")


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _unstorable.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value


def _lenient_call(values: Mapping[str, Any]) -> CallPayload:
    call = CallPayload()
    for key, field in _call_fields.items():
        if key == "call_analysis":
            if isinstance(values.get(key), dict):
                call.raw_analysis = Raw(msgspec.json.encode(values[key]))
        elif (value := values.get(key)) is not None:
            setattr(call, field.name, _converted(value, field.type))
    return call


def _converted(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        pass
    if not isinstance(value, float):
        return None
    try:
        return msgspec.convert(int(value), kind)
    except (msgspec.ValidationError, OverflowError, ValueError):
        return None
