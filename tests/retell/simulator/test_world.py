"""The simulated workspace under virtual time, without a network."""

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from outdial.retell import signature
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.simulator.ledger import Result
from outdial.retell.simulator.script import MAGIC, Step, status_of
from outdial.retell.simulator.world import Webhook, World
from tests.retell.simulator.asking import CONFIG, LATER, PLAIN, START, asked, asking, call_in, created, events


def test_an_answered_call_lives_through_three_webhooks() -> None:
    world = World(CONFIG)
    call = created(world, "+14155559901", metadata={"call_id": "x"}, retell_llm_dynamic_variables={"first_name": "Ann"})
    assert call["call_status"] == "registered"
    started, ended, analyzed = world.advance(LATER)
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
    assert asked(world, "GET", f"/v2/get-call/{call['call_id']}") == (200, call_in(analyzed))


def test_a_call_that_is_not_connected_never_starts() -> None:
    world = World(CONFIG)
    created(world, "+14155559911")
    ended, analyzed = world.advance(LATER)
    assert events([ended, analyzed]) == ["call_ended", "call_analyzed"]
    assert call_in(ended)["call_status"] == "not_connected"
    assert "start_timestamp" not in call_in(ended)
    assert "transcript" not in call_in(ended)
    assert call_in(analyzed)["call_analysis"]["in_voicemail"] is False


def test_bodies_are_as_long_as_real_ones() -> None:
    world = World(CONFIG)
    for line in range(200):
        created(world, f"+1415555{line:04}", metadata={"call_id": "0190163d-8694-739b-aea5-966c26f8ad91"})
    lengths = sorted(len(webhook.body) for webhook in world.advance(LATER))
    assert lengths[0] > 500
    assert 1000 < lengths[len(lengths) // 2] < 2000


def test_signed_webhooks_verify() -> None:
    world = World(CONFIG)
    created(world, "+14155559901")
    webhook = world.advance(LATER)[0]
    headers = webhook.headers("key_simulator", LATER)
    sent_ms = int(LATER.timestamp() * 1000)
    assert signature.verify(webhook.body, headers["x-retell-signature"], ["key_simulator"], sent_ms) == 0


def test_nothing_happens_before_its_time() -> None:
    world = World(CONFIG)
    created(world, "+14155559901")
    due = world.next_due()
    assert due is not None
    assert world.advance(due - timedelta(milliseconds=1)) == []
    assert events(world.advance(due)) == ["call_started"]
    assert world.live == 1
    world.advance(LATER)
    assert (world.live, world.next_due()) == (0, None)


def whole_run(seed: int) -> tuple[Any, list[Webhook]]:
    world = World(replace(CONFIG, seed=seed))
    world.faults.replace(
        [
            Fault(kind=FaultKind.refuse, probability=0.1),
            Fault(kind=FaultKind.drop_reply, probability=0.1),
            Fault(kind=FaultKind.drop_webhook, probability=0.1),
            Fault(kind=FaultKind.repeat_webhook, probability=0.2, copies=2),
            Fault(kind=FaultKind.reorder_webhook, probability=0.5, delay_s=120),
        ]
    )
    for line in range(100):
        asking(world, f"+1415555{line % 60:04}", at=START + timedelta(seconds=line))
    webhooks = world.advance(LATER)
    return world.ledger.read(), webhooks


def test_the_same_seed_gives_the_same_ledger_and_bodies() -> None:
    assert whole_run(7) == whole_run(7)
    assert whole_run(7)[1] != whole_run(8)[1]


def test_how_a_call_goes_does_not_depend_on_the_order_of_calls() -> None:
    numbers = [f"+1415555{line:04}" for line in range(30)]
    one, other = World(CONFIG), World(CONFIG)
    calls = {created(one, number)["call_id"] for number in numbers}
    assert {created(other, number)["call_id"] for number in reversed(numbers)} == calls
    assert {webhook.body for webhook in one.advance(LATER)} == {webhook.body for webhook in other.advance(LATER)}


def test_the_mix_of_outcomes_is_what_was_asked_for() -> None:
    mix = {"dial_busy": 1.0, "user_hangup": 3.0, "dial_failed": 0.0}
    world = World(replace(CONFIG, outcome_mix=mix, magic_numbers=False))
    for line in range(1000):
        created(world, f"+1415555{line:04}", at=START + timedelta(seconds=line))
        world.advance(START + timedelta(seconds=line))
    world.advance(LATER + timedelta(hours=3))
    reasons = Counter(call.reason for call in world.calls.values())
    assert set(reasons) == {"dial_busy", "user_hangup"}
    assert 650 < reasons["user_hangup"] < 850


def test_the_same_key_makes_one_call_within_an_hour_and_another_after_it() -> None:
    world = World(CONFIG)
    first = created(world, idempotency_key="k")
    almost = START + timedelta(minutes=59, seconds=59)
    assert created(world, idempotency_key="k", at=almost)["call_id"] == first["call_id"]
    assert created(world, idempotency_key="other", at=almost)["call_id"] != first["call_id"]
    assert created(world, idempotency_key="k", at=START + timedelta(hours=1))["call_id"] != first["call_id"]
    results = [entry.result for entry in world.ledger.read()]
    assert results == [Result.accepted, Result.replayed, Result.accepted, Result.accepted]


def test_a_repeated_key_is_answered_even_when_no_call_more_is_allowed() -> None:
    world = World(replace(CONFIG, concurrency_limit=1, calls_per_second=1))
    first = created(world, idempotency_key="k")
    assert created(world, idempotency_key="k")["call_id"] == first["call_id"]
    assert asking(world).status == 429


def test_calls_above_the_concurrency_limit_are_refused_until_one_ends() -> None:
    world = World(replace(CONFIG, concurrency_limit=2))
    first = created(world, "+14155559910")
    created(world, "+14155559910")
    assert asking(world).status == 429
    assert world.ledger.read()[-1].reason == "concurrency"
    assert asked(world, "GET", "/get-concurrency")[1]["current_concurrency"] == 2
    assert asked(world, "POST", f"/v2/stop-call/{first['call_id']}")[0] == 204
    created(world)
    assert world.peak_live == 2


def test_calls_above_the_limit_may_instead_be_recorded_as_failed() -> None:
    world = World(replace(CONFIG, concurrency_limit=1, over_concurrency="record"))
    created(world, "+14155559910")
    over = created(world)
    ended, _ = world.advance(START + timedelta(seconds=5))
    assert (call_in(ended)["call_id"], ended.event) == (over["call_id"], "call_ended")
    assert call_in(ended)["disconnection_reason"] == "concurrency_limit_reached"
    assert call_in(ended)["call_status"] == "error"
    assert (world.live, world.peak_live) == (1, 1)


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
    world = World(replace(CONFIG, calls_per_second=per_second, rate_tolerance_s=0.0))
    answers = [(at, asking(world, at=START + timedelta(milliseconds=at)).status) for at in offsets_ms]
    assert [at for at, status in answers if status == 201] == admitted
    assert {status for _, status in answers} <= {201, 429}
    assert world.starts.peak <= max(1.0, per_second or 3.0)


def test_the_rate_forgives_the_jitter_of_a_network_and_counts_it() -> None:
    world = World(replace(CONFIG, calls_per_second=1.0, rate_tolerance_s=0.05))
    assert asking(world).status == 201
    assert asking(world, at=START + timedelta(milliseconds=949)).status == 429
    assert asking(world, at=START + timedelta(milliseconds=950)).status == 201
    assert world.starts.peak == 2


def test_a_script_is_followed_and_its_last_step_repeats() -> None:
    world = World(CONFIG)
    created(world)
    world.script(PLAIN, [Step("dial_busy"), Step("voicemail_reached", ring_s=1, talk_s=2.5)])
    world.advance(LATER)
    for _ in range(3):
        created(world, at=LATER)
    reasons = [
        call_in(webhook)["disconnection_reason"]
        for webhook in world.advance(LATER + timedelta(hours=3))
        if webhook.event == "call_ended"
    ]
    assert sorted(reasons) == ["dial_busy", "voicemail_reached", "voicemail_reached"]
    last = list(world.calls.values())[-1]
    assert (last.start_ms, last.end_ms) == (last.created_ms + 1000, last.created_ms + 3500)


def test_a_script_goes_before_magic_and_can_be_removed() -> None:
    world = World(CONFIG)
    number = "+14155559941"
    world.script(number, [Step("dial_busy")])
    created(world, number)
    world.script(number, [])
    assert asking(world, number).status == 400


@pytest.mark.parametrize("digits", [digits for digits, magic in MAGIC.items() if len(magic.steps) == 1])
def test_a_magic_number_forces_its_outcome(digits: str) -> None:
    world = World(replace(CONFIG, seed=int(digits)))
    call = created(world, f"+1415555{digits}")
    world.advance(LATER)
    reason = MAGIC[digits].steps[0].reason
    assert world.calls[call["call_id"]].reason == reason
    assert world.calls[call["call_id"]].status == status_of(reason)


@pytest.mark.parametrize(
    ("digits", "reasons"),
    [
        ("9931", ["dial_busy", "dial_busy", "user_hangup", "user_hangup"]),
        ("9932", ["dial_no_answer", "user_hangup"]),
        ("9933", ["voicemail_reached", "user_hangup"]),
        ("9934", ["error_retell", "user_hangup"]),
    ],
)
def test_a_magic_number_may_change_its_mind(digits: str, reasons: list[str]) -> None:
    world = World(CONFIG)
    for _ in reasons:
        created(world, f"+1415555{digits}")
    world.advance(LATER)
    assert [call.reason for call in world.calls.values()] == reasons


@pytest.mark.parametrize("digits", [digits for digits, magic in MAGIC.items() if magic.refuses])
def test_a_magic_number_may_refuse(digits: str) -> None:
    world = World(CONFIG)
    given = asking(world, f"+1415555{digits}")
    assert given.status == MAGIC[digits].refuses
    assert json.loads(given.body)["status"] == "error"
    assert not world.calls


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
def test_a_magic_number_may_lose_the_reply_once(digits: str, status: int, lost: str | None, accepted: bool) -> None:
    world = World(CONFIG)
    number = f"+1415555{digits}"
    first = asking(world, number, idempotency_key="k")
    assert (first.status, first.lost, len(world.calls)) == (status, lost, int(accepted))
    assert b"call_id" not in first.body or lost
    again = created(world, number, idempotency_key="k")
    assert list(world.calls) == [again["call_id"]]
    entries = [(entry.result, entry.lost) for entry in world.ledger.read()]
    assert entries[0] == (Result.accepted if accepted else Result.refused, lost)
    assert entries[1] == (Result.replayed if accepted else Result.accepted, None)


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
def test_a_magic_number_may_spoil_its_webhooks(digits: str, expected: list[str]) -> None:
    world = World(CONFIG)
    created(world, f"+1415555{digits}")
    webhooks = world.advance(LATER)
    assert events(webhooks) == expected
    if digits == "9967":
        start = call_in(webhooks[0])["start_timestamp"]
        assert webhooks[0].due.timestamp() * 1000 == pytest.approx(start + 30_000, abs=1)


def test_magic_can_be_switched_off() -> None:
    created(World(replace(CONFIG, magic_numbers=False)), "+14155559941")


def test_silent_calls_end_at_once_later_or_never() -> None:
    for hold_s, live_now, live_later in ((0.0, 0, 0), (60.0, 1, 0), (None, 1, 1)):
        world = World(replace(CONFIG, silent=True, hold_s=hold_s))
        created(world)
        assert world.live == live_now
        assert world.advance(LATER) == []
        assert world.live == live_later


def test_old_calls_and_entries_are_forgotten_and_the_ledger_says_so() -> None:
    world = World(replace(CONFIG, silent=True, keep_calls=10, keep_requests=5))
    for line in range(30):
        created(world, idempotency_key=str(line))
    assert len(world.calls) == 10
    assert (world.ledger.written, world.ledger.forgotten) == (30, 25)
    assert [entry.number for entry in world.ledger.read(after=27)] == [28, 29, 30]
    assert [entry.number for entry in world.ledger.read(limit=2)] == [26, 27]


def test_reset_forgets_everything_and_begins_again() -> None:
    world = World(CONFIG)
    first = created(world, idempotency_key="k")
    world.faults.replace([Fault(kind=FaultKind.drop_webhook)])
    world.script(PLAIN, [Step("dial_busy")])
    world.reset(CONFIG.seed)
    assert (world.live, world.next_due(), world.ledger.written, world.faults.report()) == (0, None, 0, [])
    assert created(world, idempotency_key="k") == first


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
def test_a_configuration_that_makes_no_sense_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        SimulatorConfig(**bad)
