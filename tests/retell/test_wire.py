"""Webhook bodies: well-formed ones are read in full, others as far as possible."""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.retell.wire import (
    CallPayload,
    MalformedPayload,
    WebhookPayload,
    metadata_id,
    parse_call,
    parse_legacy_webhook,
    parse_webhook,
)

CALL: dict[str, Any] = {
    "call_id": "call_1",
    "call_type": "phone_call",
    "call_status": "ended",
    "agent_id": "agent_1",
    "from_number": "+14155550100",
    "to_number": "+14155550101",
    "metadata": {"call_id": "0190163D-8694-739B-AEA5-966C26F8AD91", "tags": [1, "two"]},
    "start_timestamp": 1700000000000,
    "end_timestamp": 1700000060000,
    "duration_ms": 60000,
    "disconnection_reason": "user_hangup",
    "transcript": "Agent: Hi\nUser: Здравствуйте ☎\n",
    "recording_url": "https://example.invalid/r.wav",
    "public_log_url": "https://example.invalid/p.log",
    "call_cost": {"combined_cost": 12.75, "product_costs": []},
    "call_analysis": {"in_voicemail": False, "call_summary": "Well."},
    "something_new": {"of": "tomorrow"},
}


def parsed(**changes: Any) -> CallPayload:
    body = json.dumps({"event": "call_analyzed", "call": {**CALL, **changes}}).encode()
    payload = parse_webhook(body)
    assert isinstance(payload, WebhookPayload)
    assert payload.event == "call_analyzed"
    return payload.call


def test_a_well_formed_event_is_read_in_full() -> None:
    call = parsed()
    assert (call.call_id, call.call_status, call.agent_id) == ("call_1", "ended", "agent_1")
    assert (call.from_number, call.to_number) == ("+14155550100", "+14155550101")
    assert (call.start_timestamp, call.end_timestamp, call.duration_ms) == (1700000000000, 1700000060000, 60000)
    assert call.disconnection_reason == "user_hangup"
    assert call.transcript == CALL["transcript"]
    assert (call.recording_url, call.public_log_url) == (CALL["recording_url"], CALL["public_log_url"])
    assert call.call_cost is not None
    assert call.call_cost.combined_cost == 12.75
    assert call.metadata == CALL["metadata"]
    assert call.call_analysis is not None
    assert json.loads(bytes(call.call_analysis)) == CALL["call_analysis"]


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("metadata", "text", None),
        ("metadata", None, None),
        ("call_id", 17, None),
        ("call_id", "", None),
        ("start_timestamp", "soon", None),
        ("start_timestamp", -1, None),
        ("start_timestamp", 10**30, None),
        ("start_timestamp", 1700000000000.5, 1700000000000),
        ("start_timestamp", True, None),
        ("duration_ms", "60000", 60000),
        ("duration_ms", 1e300, None),
        ("duration_ms", 2**31, None),
        ("transcript", ["Hi"], None),
        ("transcript", "nul \x00 and half an emoji \ud83d", "nul � and half an emoji �"),
        ("call_cost", 3, None),
        ("to_number", {}, None),
    ],
)
def test_an_invalid_field_is_none_and_does_not_affect_others(field: str, value: Any, read: Any) -> None:
    call = parsed(**{field: value})
    assert getattr(call, field) == read
    assert call.disconnection_reason == "user_hangup"
    assert call.call_analysis is not None


@pytest.mark.parametrize("analysis", [None, 5, "text", [1], True])
def test_an_analysis_that_is_not_an_object_is_none(analysis: Any) -> None:
    assert parsed(call_analysis=analysis).call_analysis is None


def test_an_analysis_is_storable_json() -> None:
    call = parsed(call_analysis={"call_summary": "cut \ud83d here\x00", "n": float("inf"), "big": 10**30})
    assert call.call_analysis is not None
    assert json.loads(bytes(call.call_analysis)) == {"call_summary": "cut � here�", "n": None, "big": 10**30}


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    for field in (b"transcript", b"call_analysis"):
        value = b'{"a":"\xff"}' if field == b"call_analysis" else b'"\xff"'
        payload = parse_webhook(b'{"event":"call_ended","call":{"call_id":"c","' + field + b'":' + value + b"}}")
        assert isinstance(payload, WebhookPayload)
        assert payload.call.call_id == "c"
        assert "�" in (payload.call.transcript or bytes(payload.call.call_analysis or b"").decode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b'{"call":{}}',
        b'{"event":"","call":{}}',
        b'{"event":7,"call":{}}',
        b'{"event":"call_ended","call":{',
        b"[" * 100_000,
        b'{"event":"x","call":{"metadata":' + b"[" * 100_000,
        b"9" * 5000,
    ],
)
def test_a_body_that_is_not_an_event_is_malformed(body: bytes) -> None:
    assert isinstance(parse_webhook(body), MalformedPayload)
    assert isinstance(parse_legacy_webhook(body), MalformedPayload)


def test_an_event_without_a_call_is_still_an_event() -> None:
    for body in (b'{"event":"chat_started","chat":{}}', b'{"event":"chat_started","call":[]}'):
        assert parse_webhook(body) == WebhookPayload("chat_started", CallPayload())


def test_the_legacy_format_is_read() -> None:
    payload = parse_legacy_webhook(b'{"event_type": "call_started", "data": {"call_id": "test-123"}}')
    assert payload == WebhookPayload("call_started", CallPayload(call_id="test-123"))
    payload = parse_legacy_webhook(b'{"event_type": "call_ended", "data": {"call_id": "t", "duration_ms": "x"}}')
    assert payload == WebhookPayload("call_ended", CallPayload(call_id="t"))
    assert isinstance(parse_legacy_webhook(b'{"event": "call_started", "call": {}}'), MalformedPayload)


def test_our_call_id_in_the_metadata_must_be_a_uuid() -> None:
    assert metadata_id(parsed(), "call_id") == UUID("0190163d-8694-739b-aea5-966c26f8ad91")
    assert metadata_id(parsed(metadata={"call_id": "someone else's"}), "call_id") is None
    assert metadata_id(parsed(metadata={"call_id": 5}), "call_id") is None
    assert metadata_id(parsed(metadata=None), "call_id") is None


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(CALL)), json_values))
def test_any_field_values_give_a_readable_and_storable_event(fields: dict[str, Any]) -> None:
    payload = parse_webhook(json.dumps({"event": "call_ended", "call": fields}).encode())
    assert isinstance(payload, WebhookPayload)
    call = payload.call
    texts = [call.call_id, call.transcript, call.recording_url, call.disconnection_reason]
    stored = "".join(text or "" for text in texts).encode().decode()
    stored += msgspec.json.encode(call.metadata).decode() + bytes(call.call_analysis or b"").decode()
    assert "\x00" not in stored
    assert r"\u0000" not in stored
    assert 0 <= (call.duration_ms or 0) < 2**31


@given(st.binary())
def test_parsing_never_raises(body: bytes) -> None:
    for parse in (parse_webhook, parse_legacy_webhook, parse_call):
        assert isinstance(parse(body), WebhookPayload | MalformedPayload | CallPayload)


@given(st.dictionaries(st.sampled_from(sorted(CALL)), json_values))
def test_fast_and_lenient_parsing_agree(fields: dict[str, Any]) -> None:
    body = json.dumps({"event": "x", "call": {**fields, "transcript": "plain"}}).encode()
    slow = json.dumps({"event": "x", "call": {**fields, "transcript": "\x00"}}).encode()
    fast_payload, slow_payload = parse_webhook(body), parse_webhook(slow)
    assert isinstance(fast_payload, WebhookPayload)
    assert isinstance(slow_payload, WebhookPayload)
    for name in CallPayload.__struct_fields__:
        if name not in ("transcript", "raw_analysis"):
            assert getattr(fast_payload.call, name) == getattr(slow_payload.call, name)
