"""After a call: attempts are charged only when due, delays hold, and every contact comes to an end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.domain.errors import InvalidRetryPolicy
from outdial.domain.outcomes import RETRYABLE, Outcome, RetryClass
from outdial.domain.retry import (
    DEFAULT_POLICY,
    Complete,
    ContactStep,
    Fail,
    RetryAt,
    RetryPolicy,
    RetryRule,
    Review,
    next_step,
    parse_retry_policy,
)

ENDED = datetime(2026, 3, 1, 12, tzinfo=UTC)
NO_JITTER = parse_retry_policy({"jitter": 0})

durations = st.timedeltas(timedelta(seconds=1), timedelta(days=30))
rules = st.builds(
    RetryRule,
    delays=st.lists(durations, min_size=1, max_size=5).map(tuple),
    max_attempts=st.none() | st.integers(1, 20),
)
policies = st.builds(
    RetryPolicy,
    rules=st.fixed_dictionaries({outcome: rules for outcome in sorted(RETRYABLE)}),
    jitter=st.floats(0, 1),
    fault_delay=durations,
    fault_delay_max=st.just(timedelta(days=30)),
    max_faults=st.integers(1, 100),
)
outcomes = st.sampled_from(Outcome)


def step(
    policy: RetryPolicy,
    outcome: Outcome,
    *,
    attempts: int = 0,
    faults: int = 0,
    max_attempts: int = 5,
    seed: bytes = b"call",
) -> ContactStep:
    return next_step(
        policy,
        outcome,
        attempts=attempts,
        faults=faults,
        max_attempts=max_attempts,
        ended_at=ENDED,
        seed=seed,
    )


@pytest.mark.parametrize("outcome", Outcome)
def test_the_first_call_with_each_outcome_leads_to_the_step_of_its_class(outcome: Outcome) -> None:
    expected: dict[RetryClass, type[ContactStep]] = {
        RetryClass.DONE: Complete,
        RetryClass.RETRY: RetryAt,
        RetryClass.FAULT: RetryAt,
        RetryClass.FINAL: Fail,
        RetryClass.DO_NOT_CALL: Fail,
        RetryClass.ACCOUNT: RetryAt,
        RetryClass.HOLD: Review,
    }
    retry_class = outcome.retry_class

    result = step(DEFAULT_POLICY, outcome)

    assert type(result) is expected[retry_class]
    if isinstance(result, RetryAt):
        assert result.charged is (retry_class is RetryClass.RETRY)


def test_delays_follow_the_attempts_and_the_last_one_repeats() -> None:
    steps = [step(NO_JITTER, Outcome.NO_ANSWER, attempts=n, max_attempts=10) for n in range(5)]

    waits = [timedelta(minutes=30), timedelta(hours=2), *[timedelta(days=1)] * 3]
    assert steps == [RetryAt(ENDED + wait, charged=True) for wait in waits]


def test_the_last_attempt_fails_the_contact_in_words() -> None:
    assert step(DEFAULT_POLICY, Outcome.NO_ANSWER, attempts=2, max_attempts=3) == Fail("no_answer after 3 attempts")
    assert step(DEFAULT_POLICY, Outcome.BUSY, max_attempts=1) == Fail("busy after 1 attempt")


def test_a_declined_call_is_tried_once_more_by_default() -> None:
    assert isinstance(step(DEFAULT_POLICY, Outcome.DECLINED, attempts=0), RetryAt)
    assert step(DEFAULT_POLICY, Outcome.DECLINED, attempts=1) == Fail("declined after 2 attempts")


def test_an_outcome_without_a_rule_is_not_tried_again() -> None:
    bare = RetryPolicy({}, 0.0, timedelta(minutes=1), timedelta(hours=1), 3)

    assert step(bare, Outcome.BUSY) == Fail("busy, and the retry policy has no rule for it")


def test_faults_double_the_delay_up_to_the_cap_and_end_in_review() -> None:
    steps = [step(NO_JITTER, Outcome.PROVIDER_FAULT, attempts=4, faults=n) for n in range(10)]

    minutes = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert steps[:9] == [RetryAt(ENDED + timedelta(minutes=m), charged=False) for m in minutes]
    assert steps[9] == Review("10 faults, most recently provider_fault")


def test_trouble_of_the_account_is_never_held_against_the_contact() -> None:
    result = step(NO_JITTER, Outcome.ACCOUNT_FAULT, attempts=4, faults=1000)

    assert result == RetryAt(ENDED + timedelta(minutes=1), charged=False)


def test_a_contact_who_asked_for_a_callback_is_no_success_and_waits_for_review_with_the_reason() -> None:
    assert step(DEFAULT_POLICY, Outcome.CALLBACK_REQUESTED) == Review(
        "the contact asked for a callback; decide when to call again"
    )


def test_a_blocked_caller_number_costs_no_attempt_and_is_not_used_again() -> None:
    assert step(DEFAULT_POLICY, Outcome.BLOCKED, attempts=4) == Review(
        "the caller number was marked as spam or blocked by the network; call from another number"
    )


def test_the_longest_backoff_does_not_overflow() -> None:
    raw = {"fault_delay": "30d", "fault_delay_max": "30d", "max_faults": 100, "jitter": 1}

    result = step(parse_retry_policy(raw), Outcome.PROVIDER_FAULT, faults=98)

    assert isinstance(result, RetryAt)
    assert result.at <= ENDED + timedelta(days=60)


@given(policies, outcomes, st.integers(0, 20), st.integers(0, 120), st.integers(1, 20), st.binary())
def test_only_the_retry_class_charges_and_no_delay_shrinks(
    policy: RetryPolicy, outcome: Outcome, attempts: int, faults: int, max_attempts: int, seed: bytes
) -> None:
    result = step(policy, outcome, attempts=attempts, faults=faults, max_attempts=max_attempts, seed=seed)

    if not isinstance(result, RetryAt):
        return
    assert result.charged is (outcome.retry_class is RetryClass.RETRY)
    delay = policy.fault_delay
    if result.charged:
        delays = policy.rules[outcome].delays
        delay = delays[min(attempts, len(delays) - 1)]
    elif outcome.retry_class is RetryClass.FAULT:
        delay = min(policy.fault_delay * 2 ** min(faults, 22), policy.fault_delay_max)
    assert delay <= result.at - ENDED <= delay * (1 + policy.jitter) + timedelta(microseconds=1)


@given(policies, outcomes, st.binary())
def test_equal_seeds_give_equal_steps(policy: RetryPolicy, outcome: Outcome, seed: bytes) -> None:
    assert step(policy, outcome, seed=seed) == step(policy, outcome, seed=seed)


def test_different_seeds_spread_over_the_whole_jitter() -> None:
    steps = [step(DEFAULT_POLICY, Outcome.BUSY, seed=bytes([n])) for n in range(200)]
    factors = [(s.at - ENDED) / timedelta(minutes=10) for s in steps if isinstance(s, RetryAt)]

    assert len(factors) == 200
    assert 1 <= min(factors) < 1.01
    assert 1.09 < max(factors) <= 1.1


@given(policies, st.integers(1, 20), st.data())
def test_every_sequence_of_calls_ends_within_its_caps(
    policy: RetryPolicy, max_attempts: int, data: st.DataObject
) -> None:
    # An account's trouble is left out: its campaigns pause, and a person decides how often they resume.
    own = outcomes.filter(lambda d: d.retry_class in {RetryClass.RETRY, RetryClass.FAULT})
    attempts = faults = 0
    for _ in range(max_attempts + policy.max_faults):
        outcome = data.draw(own)
        result = step(policy, outcome, attempts=attempts, faults=faults, max_attempts=max_attempts)
        attempts += outcome.retry_class is RetryClass.RETRY
        faults += outcome.retry_class is RetryClass.FAULT
        if not isinstance(result, RetryAt):
            break

    assert not isinstance(result, RetryAt)
    assert attempts <= max_attempts
    assert faults <= policy.max_faults


def test_an_empty_policy_is_the_default_one() -> None:
    assert parse_retry_policy({}) == DEFAULT_POLICY


def test_what_a_policy_leaves_out_stays_as_in_the_default() -> None:
    policy = parse_retry_policy({"declined": {"delays": ["2d", 90]}, "fault_delay": "2h", "max_faults": 3})

    assert policy.rules[Outcome.DECLINED] == RetryRule((timedelta(days=2), timedelta(seconds=90)), 2)
    assert policy.rules[Outcome.BUSY] == DEFAULT_POLICY.rules[Outcome.BUSY]
    assert (policy.fault_delay, policy.fault_delay_max) == (timedelta(hours=2), timedelta(hours=2))
    assert (policy.jitter, policy.max_faults) == (0.1, 3)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({"answered": {}}, "answered"),
        ({"no_answr": {}}, "no_answr"),
        ({"busy": []}, "busy"),
        ({"busy": {"delay": ["1m"]}}, "busy"),
        ({"busy": {"delays": []}}, "busy.delays"),
        ({"busy": {"delays": "30m"}}, "busy.delays"),
        ({"busy": {"delays": ["0s"]}}, "busy.delays"),
        ({"busy": {"delays": ["31d"]}}, "busy.delays"),
        ({"busy": {"delays": ["1w"]}}, "busy.delays"),
        ({"busy": {"delays": [1.5]}}, "busy.delays"),
        ({"busy": {"delays": [True]}}, "busy.delays"),
        ({"busy": {"delays": [-60]}}, "busy.delays"),
        ({"busy": {"max_attempts": 0}}, "busy.max_attempts"),
        ({"busy": {"max_attempts": "3"}}, "busy.max_attempts"),
        ({"jitter": 1.1}, "jitter"),
        ({"jitter": float("nan")}, "jitter"),
        ({"jitter": True}, "jitter"),
        ({"fault_delay": None}, "fault_delay"),
        ({"fault_delay": "2h", "fault_delay_max": "1h"}, "fault_delay_max"),
        ({"max_faults": 101}, "max_faults"),
    ],
)
def test_a_policy_that_is_not_valid_names_the_key(raw: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidRetryPolicy, match=rf"^(unknown key '{key}';|{key}:) "):
        parse_retry_policy(raw)


def test_a_faster_policy_divides_every_delay_and_nothing_else() -> None:
    fast = DEFAULT_POLICY.faster(60)

    assert fast.rules[Outcome.NO_ANSWER].delays == (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=24))
    assert (fast.fault_delay, fast.fault_delay_max) == (timedelta(seconds=1), timedelta(minutes=1))
    assert fast.rules[Outcome.IVR].max_attempts == DEFAULT_POLICY.rules[Outcome.IVR].max_attempts
    assert (fast.jitter, fast.max_faults) == (DEFAULT_POLICY.jitter, DEFAULT_POLICY.max_faults)
    assert fast.faster(1 / 60) == DEFAULT_POLICY
