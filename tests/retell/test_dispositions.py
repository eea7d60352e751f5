"""Every disconnection reason of Retell has one outcome, and the table covers the SDK's list."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

from outdial.domain.outcomes import Outcome, RetryClass
from outdial.retell.dispositions import DISPOSITIONS, outcome_of, read_reason
from outdial.retell.events import EVENT_RANKS

MEANINGS = {
    ("answered", "done"): "user_hangup agent_hangup inactivity max_duration_reached call_take_over transfer_cancelled",
    ("transferred", "done"): "call_transfer transfer_bridged",
    ("stopped", "done"): "manual_stopped",
    ("callback_requested", "hold"): "user_requested_callback",
    ("do_not_call", "do_not_call"): "user_requested_dnc",
    ("voicemail", "retry"): "voicemail_reached machine_detected",
    ("ivr", "retry"): "ivr_reached",
    ("no_answer", "retry"): "dial_no_answer",
    ("busy", "retry"): "dial_busy",
    ("declined", "retry"): "user_declined",
    ("invalid_number", "final"): "invalid_destination",
    ("blocked", "hold"): "marked_as_spam network_blocked",
    ("no_capacity", "fault"): "concurrency_limit_reached",
    ("account_fault", "account"): (
        "telephony_provider_permission_denied no_valid_payment credit_exhausted budget_reached scam_detected"
    ),
    ("provider_fault", "fault"): (
        "dial_failed telephony_provider_unavailable sip_routing_error registered_call_timeout "
        "error_llm_websocket_open error_llm_websocket_lost_connection error_llm_websocket_runtime "
        "error_llm_websocket_corrupt_payload error_no_audio_received error_asr error_retell error_unknown "
        "error_user_not_joined error_twilio error_inbound_webhook error_frontend_corrupted_payload"
    ),
    ("unknown", "hold"): "no_concurrency_fallback",
}
OLD_REASONS = {"machine_detected", "error_twilio", "error_inbound_webhook", "error_frontend_corrupted_payload"}
EXPECTED = {
    reason: (Outcome(outcome), RetryClass(retry_class))
    for (outcome, retry_class), reasons in MEANINGS.items()
    for reason in reasons.split()
}


@pytest.mark.parametrize("reason", sorted(EXPECTED))
def test_a_reason_has_its_outcome(reason: str) -> None:
    outcome = outcome_of(reason)
    read = read_reason(reason)

    assert (outcome, outcome.retry_class) == EXPECTED[reason]
    assert read is not None
    assert (read.code, read.outcome) == (reason, outcome)


def test_the_table_holds_the_39_reasons_the_old_ones_and_no_others() -> None:
    assert DISPOSITIONS.keys() == EXPECTED.keys()
    assert len(DISPOSITIONS.keys() - OLD_REASONS) == 39


def test_the_table_covers_what_the_providers_sdk_lists() -> None:
    # Read as text: importing the SDK takes more than a second.
    source = Path(str(distribution("retell-sdk").locate_file("retell/types/phone_call_response.py"))).read_text()
    literal = re.search(r"disconnection_reason: Optional\[\s*Literal\[(.*?)\]", source, re.DOTALL)
    assert literal is not None

    listed = set(re.findall(r'"(\w+)"', literal[1]))

    assert listed == DISPOSITIONS.keys() - OLD_REASONS


@pytest.mark.parametrize("reason", ["invented_tomorrow", "", "Dial_Busy", None])
def test_an_unknown_reason_is_held_for_review(reason: str | None) -> None:
    outcome = outcome_of(reason)
    read = read_reason(reason)

    assert (outcome, outcome.retry_class) == (Outcome.UNKNOWN, RetryClass.HOLD)
    assert (None if read is None else read.code) == reason
    assert read is None or read.outcome is Outcome.UNKNOWN


def test_every_outcome_and_every_retry_class_is_reached() -> None:
    assert set(DISPOSITIONS.values()) == set(Outcome)
    assert {outcome.retry_class for outcome in DISPOSITIONS.values()} == set(RetryClass)


def test_only_the_lifecycle_events_have_a_rank() -> None:
    assert EVENT_RANKS == {"call_started": 1, "call_ended": 2, "call_analyzed": 3}
