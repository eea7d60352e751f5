"""The simulated workspace under virtual time, without a network."""

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from outdial.retell import signature
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.simulator.ledger import LedgerResult
from outdial.retell.simulator.objects import CreateCall
from outdial.retell.simulator.script import MAGIC, TRANSCRIPT_UPDATED, ScriptStep, status_of
from outdial.retell.simulator.workspace import DueWebhook, SimulatedWorkspace
from tests.retell.simulator.requests import CONFIG, LATER, PLAIN, START, asked, asking, call_in, created, events


def test_an_answered_call_sends_three_webhooks() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    call = created(
        workspace, "+14155559901", metadata={"call_id": "x"}, retell_llm_dynamic_variables={"first_name": "Ann"}
    )
    assert call["call_status"] == "registered"
    started, ended, analyzed = workspace.advance(LATER)
    assert events([started, ended, analyzed]) == ["call_started", "call_ended", "call_analyzed"]
    assert START < started.due < ended.due < analyzed.due
    for webhook in (started, ended, analyzed):
        assert call_in(webhook)["call_id"] == call["call_id"]
        assert call_in(webhook)["metadata"] == {"call_id": "x"}
        assert call_in(webhook)["retell_llm_dynamic_variables"] == {"first_name": "Ann"}
    assert call_in(started)["call_status"] == "ongoing"
    assert "disconnection_reason" not in call_in(started)
    last = call_in(ended)
    assert (last["call_status"], last["disconnection_reason"]) == ("ended", "user_hangup")
    assert last["duration_ms"] == last["end_timestamp"] - last["start_timestamp"] > 0
    assert last["transcript"].startswith("Agent: ")
    assert last["call_cost"]["combined_cost"] > 0
    assert "call_analysis" not in last
    assert call_in(analyzed)["call_analysis"]["call_successful"] is True
    assert {**call_in(analyzed), "call_analysis": None} == {**last, "call_analysis": None}
    assert asked(workspace, "GET", f"/v2/get-call/{call['call_id']}") == (200, call_in(analyzed))


def test_an_agent_with_the_event_gets_the_words_of_a_call_turn_by_turn() -> None:
    plain = SimulatedWorkspace(CONFIG)
    created(plain, "+14155559901")
    others = plain.advance(LATER)

    workspace = SimulatedWorkspace(replace(CONFIG, live_transcripts=True))
    created(workspace, "+14155559901")
    webhooks = workspace.advance(LATER)

    told = [call_in(webhook)["transcript"] for webhook in webhooks if webhook.event == TRANSCRIPT_UPDATED]
    *during, last = told
    assert len(during) > 1
    assert [text.count("\n") for text in during] == list(range(1, len(during) + 1))
    assert all(after.startswith(before) for before, after in pairwise(told))
    assert last == call_in(webhooks[-1])["transcript"] == during[-1]
    # Nothing else is different: neither the other webhooks nor what the calls say.
    assert [(w.body, w.due) for w in webhooks if w.event != TRANSCRIPT_UPDATED] == [(w.body, w.due) for w in others]
    assert events(webhooks)[-3:] == ["call_ended", TRANSCRIPT_UPDATED, "call_analyzed"]

    chosen = SimulatedWorkspace(CONFIG)
    chosen.agents.named("agent_9", 0)["webhook_events"] = ["call_ended", TRANSCRIPT_UPDATED]
    created(chosen, "+14155559901", override_agent_id="agent_9")
    assert set(events(chosen.advance(LATER))) == {"call_ended", TRANSCRIPT_UPDATED}


def test_a_call_that_is_stopped_says_nothing_more() -> None:
    workspace = SimulatedWorkspace(replace(CONFIG, live_transcripts=True))
    call = created(workspace, "+14155559910")
    [started, *_] = workspace.advance(START + timedelta(seconds=15))
    assert started.event == "call_started"
    at = started.due + timedelta(seconds=2)
    workspace.advance(at)
    assert workspace.stop_call(at, call["call_id"])
    assert events(workspace.advance(LATER)) == ["call_ended", TRANSCRIPT_UPDATED, "call_analyzed"]


def test_a_call_that_is_not_connected_never_starts() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    created(workspace, "+14155559911")
    ended, analyzed = workspace.advance(LATER)
    assert events([ended, analyzed]) == ["call_ended", "call_analyzed"]
    assert call_in(ended)["call_status"] == "not_connected"
    assert "start_timestamp" not in call_in(ended)
    assert "transcript" not in call_in(ended)
    assert call_in(analyzed)["call_analysis"]["in_voicemail"] is False


@pytest.mark.parametrize(
    ("number", "action", "message"),
    [
        ("+14155559903", {"type": "static_text", "text": "Hello"}, "Hello"),
        ("+14155559903", {"type": "hangup"}, None),
        ("+14155559901", {"type": "static_text", "text": "Hello"}, None),
    ],
)
def test_a_call_that_reaches_voicemail_leaves_the_message_of_its_request(
    number: str, action: dict[str, str], message: str | None
) -> None:
    workspace = SimulatedWorkspace(CONFIG)
    created(workspace, number, agent_override={"agent": {"voicemail_option": {"action": action}}})
    assert [call.voicemail_message for call in workspace.calls.values()] == [None]
    workspace.advance(LATER)
    assert [call.voicemail_message for call in workspace.calls.values()] == [message]


def test_bodies_are_as_long_as_real_ones() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    for line in range(200):
        created(workspace, f"+1415555{line:04}", metadata={"call_id": "0190163d-8694-739b-aea5-966c26f8ad91"})
    lengths = sorted(len(webhook.body) for webhook in workspace.advance(LATER))
    assert lengths[0] > 500
    # With the times of every word, as in real ones.
    assert 1500 < lengths[len(lengths) // 2] < 2500


def test_signed_webhooks_verify() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    created(workspace, "+14155559901")
    webhook = workspace.advance(LATER)[0]
    headers = webhook.headers("key_simulator", LATER)
    sent_ms = int(LATER.timestamp() * 1000)
    assert signature.verify(webhook.body, headers["x-retell-signature"], ["key_simulator"], sent_ms) == 0


def test_nothing_happens_before_its_time() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    created(workspace, "+14155559901")
    due = workspace.next_due()
    assert due is not None
    assert workspace.advance(due - timedelta(milliseconds=1)) == []
    assert events(workspace.advance(due)) == ["call_started"]
    assert workspace.live == 1
    workspace.advance(LATER)
    assert (workspace.live, workspace.next_due()) == (0, None)


def whole_run(seed: int) -> tuple[Any, list[DueWebhook]]:
    workspace = SimulatedWorkspace(replace(CONFIG, seed=seed))
    workspace.faults.replace(
        [
            Fault(kind=FaultKind.refuse, probability=0.1),
            Fault(kind=FaultKind.drop_reply, probability=0.1),
            Fault(kind=FaultKind.drop_webhook, probability=0.1),
            Fault(kind=FaultKind.repeat_webhook, probability=0.2, copies=2),
            Fault(kind=FaultKind.reorder_webhook, probability=0.5, delay_s=120),
        ]
    )
    for line in range(100):
        asking(workspace, f"+1415555{line % 60:04}", at=START + timedelta(seconds=line))
    webhooks = workspace.advance(LATER)
    return workspace.ledger.read(), webhooks


def test_the_same_seed_gives_the_same_ledger_and_bodies() -> None:
    assert whole_run(7) == whole_run(7)
    assert whole_run(7)[1] != whole_run(8)[1]


def test_without_a_seed_call_ids_never_repeat_and_outcomes_do() -> None:
    unseeded = replace(CONFIG, seed=None, magic_numbers=False)
    one, other = SimulatedWorkspace(unseeded), SimulatedWorkspace(unseeded)
    for workspace in (one, other):
        for line in range(30):
            created(workspace, f"+1415555{line:04}")
        workspace.advance(LATER)
    assert not one.calls.keys() & other.calls.keys()
    assert [call.reason for call in one.calls.values()] == [call.reason for call in other.calls.values()]
    ids = set(one.calls)
    one.reset(None)
    assert created(one, "+14155550000")["call_id"] not in ids


def test_silent_calls_without_a_seed_have_new_ids_in_every_workspace() -> None:
    silent = replace(CONFIG, seed=None, silent=True)
    first, second = (created(SimulatedWorkspace(silent), PLAIN)["call_id"] for _ in range(2))
    assert first != second


def test_the_course_of_a_call_does_not_depend_on_the_order_of_calls() -> None:
    numbers = [f"+1415555{line:04}" for line in range(30)]
    one, other = SimulatedWorkspace(CONFIG), SimulatedWorkspace(CONFIG)
    calls = {created(one, number)["call_id"] for number in numbers}
    assert {created(other, number)["call_id"] for number in reversed(numbers)} == calls
    assert {webhook.body for webhook in one.advance(LATER)} == {webhook.body for webhook in other.advance(LATER)}


def test_the_outcomes_follow_the_mix() -> None:
    mix = {"dial_busy": 1.0, "user_hangup": 3.0, "dial_failed": 0.0}
    workspace = SimulatedWorkspace(replace(CONFIG, outcome_mix=mix, magic_numbers=False))
    for line in range(1000):
        created(workspace, f"+1415555{line:04}", at=START + timedelta(seconds=line))
        workspace.advance(START + timedelta(seconds=line))
    workspace.advance(LATER + timedelta(hours=3))
    reasons = Counter(call.reason for call in workspace.calls.values())
    assert set(reasons) == {"dial_busy", "user_hangup"}
    assert 650 < reasons["user_hangup"] < 850


def test_a_key_creates_one_call_per_hour() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    first = created(workspace, idempotency_key="k")
    almost = START + timedelta(minutes=59, seconds=59)
    assert created(workspace, idempotency_key="k", at=almost)["call_id"] == first["call_id"]
    assert created(workspace, idempotency_key="other", at=almost)["call_id"] != first["call_id"]
    assert created(workspace, idempotency_key="k", at=START + timedelta(hours=1))["call_id"] != first["call_id"]
    results = [entry.result for entry in workspace.ledger.read()]
    assert results == [LedgerResult.accepted, LedgerResult.replayed, LedgerResult.accepted, LedgerResult.accepted]


def test_a_repeated_key_returns_its_call_above_the_limit() -> None:
    workspace = SimulatedWorkspace(replace(CONFIG, concurrency_limit=1, calls_per_second=1))
    first = created(workspace, idempotency_key="k")
    assert created(workspace, idempotency_key="k")["call_id"] == first["call_id"]
    assert asking(workspace).status == 429


def test_calls_above_the_concurrency_limit_are_refused_until_one_ends() -> None:
    workspace = SimulatedWorkspace(replace(CONFIG, concurrency_limit=2))
    first = created(workspace, "+14155559910")
    created(workspace, "+14155559910")
    assert asking(workspace).status == 429
    assert workspace.ledger.read()[-1].reason == "concurrency"
    assert asked(workspace, "GET", "/get-concurrency")[1]["current_concurrency"] == 2
    assert asked(workspace, "POST", f"/v2/stop-call/{first['call_id']}")[0] == 204
    created(workspace)
    assert workspace.peak_live == 2


def test_calls_above_the_limit_may_instead_be_recorded_as_failed() -> None:
    workspace = SimulatedWorkspace(replace(CONFIG, concurrency_limit=1, over_concurrency="record"))
    created(workspace, "+14155559910")
    over = created(workspace)
    ended, _ = workspace.advance(START + timedelta(seconds=5))
    assert (call_in(ended)["call_id"], ended.event) == (over["call_id"], "call_ended")
    assert call_in(ended)["disconnection_reason"] == "concurrency_limit_reached"
    assert call_in(ended)["call_status"] == "error"
    assert (workspace.live, workspace.peak_live) == (1, 1)


@pytest.mark.parametrize(
    ("per_second", "offsets_ms", "admitted"),
    [
        (1.0, [0, 500, 1000, 1999, 2000], [0, 1000, 2000]),
        (3.0, [0, 1, 2, 3, 999, 1000, 1001, 1001, 1002], [0, 1, 2, 1000, 1001, 1002]),
        (0.5, [0, 1999, 2000], [0, 2000]),
        (None, [0, 0, 0], [0, 0, 0]),
    ],
)
def test_starts_never_exceed_the_rate(per_second: float | None, offsets_ms: list[int], admitted: list[int]) -> None:
    workspace = SimulatedWorkspace(replace(CONFIG, calls_per_second=per_second, rate_tolerance_s=0.0))
    responses = [(at, asking(workspace, at=START + timedelta(milliseconds=at)).status) for at in offsets_ms]
    assert [at for at, status in responses if status == 201] == admitted
    assert {status for _, status in responses} <= {201, 429}
    assert workspace.starts.peak <= max(1.0, per_second or 3.0)


def test_the_rate_tolerates_jitter_and_counts_it() -> None:
    workspace = SimulatedWorkspace(replace(CONFIG, calls_per_second=1.0, rate_tolerance_s=0.05))
    assert asking(workspace).status == 201
    assert asking(workspace, at=START + timedelta(milliseconds=949)).status == 429
    assert asking(workspace, at=START + timedelta(milliseconds=950)).status == 201
    assert workspace.starts.peak == 2


def test_a_script_is_followed_and_its_last_step_repeats() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    created(workspace)
    workspace.script(PLAIN, [ScriptStep("dial_busy"), ScriptStep("voicemail_reached", ring_s=1, talk_s=2.5)])
    workspace.advance(LATER)
    for _ in range(3):
        created(workspace, at=LATER)
    reasons = [
        call_in(webhook)["disconnection_reason"]
        for webhook in workspace.advance(LATER + timedelta(hours=3))
        if webhook.event == "call_ended"
    ]
    assert sorted(reasons) == ["dial_busy", "voicemail_reached", "voicemail_reached"]
    last = list(workspace.calls.values())[-1]
    assert (last.start_ms, last.end_ms) == (last.created_ms + 1000, last.created_ms + 3500)


def test_a_script_takes_precedence_over_magic_and_can_be_removed() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    number = "+14155559941"
    workspace.script(number, [ScriptStep("dial_busy")])
    created(workspace, number)
    workspace.script(number, [])
    assert asking(workspace, number).status == 400


@pytest.mark.parametrize("digits", [digits for digits, magic in MAGIC.items() if len(magic.steps) == 1])
def test_a_magic_number_forces_its_outcome(digits: str) -> None:
    workspace = SimulatedWorkspace(replace(CONFIG, seed=int(digits)))
    call = created(workspace, f"+1415555{digits}")
    workspace.advance(LATER)
    reason = MAGIC[digits].steps[0].reason
    assert workspace.calls[call["call_id"]].reason == reason
    assert workspace.calls[call["call_id"]].status == status_of(reason)


@pytest.mark.parametrize(
    ("digits", "reasons"),
    [
        ("9931", ["dial_busy", "dial_busy", "user_hangup", "user_hangup"]),
        ("9932", ["dial_no_answer", "user_hangup"]),
        ("9933", ["voicemail_reached", "user_hangup"]),
        ("9934", ["error_retell", "user_hangup"]),
    ],
)
def test_a_magic_number_may_have_several_steps(digits: str, reasons: list[str]) -> None:
    workspace = SimulatedWorkspace(CONFIG)
    for _ in reasons:
        created(workspace, f"+1415555{digits}")
    workspace.advance(LATER)
    assert [call.reason for call in workspace.calls.values()] == reasons


@pytest.mark.parametrize("digits", [digits for digits, magic in MAGIC.items() if magic.refuses])
def test_a_magic_number_may_refuse(digits: str) -> None:
    workspace = SimulatedWorkspace(CONFIG)
    given = asking(workspace, f"+1415555{digits}")
    assert given.status == MAGIC[digits].refuses
    assert json.loads(given.body)["status"] == "error"
    assert not workspace.calls


@pytest.mark.parametrize(
    ("digits", "status", "lost", "accepted"),
    [
        ("9951", 201, "drop", True),
        ("9952", 201, "hang", True),
        ("9953", 500, None, True),
        ("9954", 201, None, True),
        ("9955", 500, "drop", False),
        ("9956", 500, None, False),
    ],
)
def test_a_magic_number_may_lose_the_response_once(digits: str, status: int, lost: str | None, accepted: bool) -> None:
    workspace = SimulatedWorkspace(CONFIG)
    number = f"+1415555{digits}"
    first = asking(workspace, number, idempotency_key="k")
    assert (first.status, first.lost, len(workspace.calls)) == (status, lost, int(accepted))
    assert b"call_id" not in first.body or lost
    again = created(workspace, number, idempotency_key="k")
    assert list(workspace.calls) == [again["call_id"]]
    entries = [(entry.result, entry.lost) for entry in workspace.ledger.read()]
    assert entries[0] == (LedgerResult.accepted if accepted else LedgerResult.refused, lost)
    assert entries[1] == (LedgerResult.replayed if accepted else LedgerResult.accepted, None)


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("9961", ["call_ended", "call_analyzed"]),
        ("9962", ["call_started", "call_analyzed"]),
        ("9963", ["call_started", "call_ended"]),
        ("9964", []),
        ("9965", ["call_started"] * 2 + ["call_ended"] * 2 + ["call_analyzed"] * 2),
        ("9966", ["call_analyzed", "call_ended", "call_started"]),
        ("9967", ["call_started", "call_ended", "call_analyzed"]),
    ],
)
def test_a_magic_number_may_disturb_its_webhooks(digits: str, expected: list[str]) -> None:
    workspace = SimulatedWorkspace(CONFIG)
    created(workspace, f"+1415555{digits}")
    webhooks = workspace.advance(LATER)
    assert events(webhooks) == expected
    if digits == "9967":
        start = call_in(webhooks[0])["start_timestamp"]
        assert webhooks[0].due.timestamp() * 1000 == pytest.approx(start + 30_000, abs=1)


def test_the_times_of_a_call_count_from_the_real_time_of_its_request() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    request = CreateCall(from_number="+14155550100", to_number="+14155559901")
    workspace.create_call(START + timedelta(hours=9), request, START)

    ended = workspace.advance(START + timedelta(hours=10))[1]

    call = call_in(ended)
    start = timedelta(milliseconds=call["start_timestamp"] - START.timestamp() * 1000)
    assert timedelta() < start < timedelta(minutes=1), "not nine hours ahead, as the simulated time"
    assert call["end_timestamp"] - call["start_timestamp"] == call["duration_ms"]


def test_magic_can_be_switched_off() -> None:
    created(SimulatedWorkspace(replace(CONFIG, magic_numbers=False)), "+14155559941")


def test_silent_calls_end_at_once_later_or_never() -> None:
    for hold_s, live_now, live_later in ((0.0, 0, 0), (60.0, 1, 0), (None, 1, 1)):
        workspace = SimulatedWorkspace(replace(CONFIG, silent=True, hold_s=hold_s))
        created(workspace)
        assert workspace.live == live_now
        assert workspace.advance(LATER) == []
        assert workspace.live == live_later


def test_old_calls_and_entries_are_dropped_and_counted() -> None:
    workspace = SimulatedWorkspace(replace(CONFIG, silent=True, keep_calls=10, keep_requests=5))
    for line in range(30):
        created(workspace, idempotency_key=str(line))
    assert len(workspace.calls) == 10
    assert (workspace.ledger.written, workspace.ledger.forgotten) == (30, 25)
    assert [entry.number for entry in workspace.ledger.read(after=27)] == [28, 29, 30]
    assert [entry.number for entry in workspace.ledger.read(limit=2)] == [26, 27]


def test_reset_empties_the_workspace() -> None:
    workspace = SimulatedWorkspace(CONFIG)
    first = created(workspace, idempotency_key="k")
    workspace.faults.replace([Fault(kind=FaultKind.drop_webhook)])
    workspace.script(PLAIN, [ScriptStep("dial_busy")])
    workspace.reset(CONFIG.seed)
    assert (workspace.live, workspace.next_due(), workspace.ledger.written, workspace.faults.report()) == (
        0,
        None,
        0,
        [],
    )
    assert created(workspace, idempotency_key="k") == first


@pytest.mark.parametrize(
    "bad",
    [
        {"api_keys": ()},
        {"api_keys": ("",)},
        {"webhook_key": ""},
        {"speed": 0},
        {"calls_per_second": 0},
        {"outcome_mix": {}},
        {"outcome_mix": {"dial_busy": 0}},
        {"outcome_mix": {"dial_busy": -1, "user_hangup": 2}},
        {"keep_calls": 0},
    ],
)
def test_an_invalid_configuration_raises(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        SimulatorConfig(**bad)
