"""The voicemail policy: which attempt leaves the message, what the message says, and which settings are refused."""

from itertools import product

import pytest

from outdial.domain.outcomes import Outcome
from outdial.domain.policies.voicemail import (
    HangUpOnVoicemail,
    LeaveMessage,
    VoicemailOrder,
    fill_message,
    message_variables,
    parse_voicemail_policy,
    unreachable_attempt,
    voicemail_order,
)
from outdial.domain.retry import Fail, RetryAt, RetryPolicy, next_step, parse_retry_policy
from tests.support.factories import NOW

MESSAGE = {"action": "leave_message", "message": "Hello {{ name }}, {{offer}} at {{current_time}}"}
FILLED = "Hello Ada, {{name}} at {{current_time}}"


def is_filled_later(name: str) -> bool:
    return name == "current_time"


def order(policy: dict[str, object], attempts: int, last: int, has_message: bool = False) -> VoicemailOrder | None:
    return voicemail_order(
        parse_voicemail_policy(policy),
        attempts=attempts,
        last_attempt=last,
        has_message=has_message,
        # A value is never read as a variable again.
        variables={"name": "Ada", "offer": "{{name}}"},
        is_filled_later=is_filled_later,
    )


@pytest.mark.parametrize(
    ("policy", "attempts", "has_message", "expected"),
    [
        ({}, 0, False, None),
        ({"action": "hang_up"}, 0, False, HangUpOnVoicemail()),
        (MESSAGE, 0, False, FILLED),
        (MESSAGE, 0, True, HangUpOnVoicemail()),
        (MESSAGE, 1, False, HangUpOnVoicemail()),
        (MESSAGE | {"on_attempt": 2}, 0, False, HangUpOnVoicemail()),
        (MESSAGE | {"on_attempt": 2}, 1, False, FILLED),
        (MESSAGE | {"on_attempt": "last"}, 1, False, HangUpOnVoicemail()),
        (MESSAGE | {"on_attempt": "last"}, 2, False, FILLED),
        (MESSAGE | {"message": "{{plan}}!"}, 0, False, HangUpOnVoicemail()),
    ],
)
def test_the_message_is_for_its_attempt_and_once_for_each_contact(
    policy: dict[str, object], attempts: int, has_message: bool, expected: object
) -> None:
    given = order(policy, attempts, 3, has_message)
    assert (given.text if isinstance(given, LeaveMessage) else given) == expected


def after(retry: RetryPolicy, outcome: Outcome, attempts: int, max_attempts: int) -> object:
    return next_step(
        retry, outcome, attempts=attempts, faults=0, max_attempts=max_attempts, ended_at=NOW, seed=b"1" * 16
    )


CAPS = (None, 1, 2, 3, 6)
OUTCOMES = (Outcome.NO_ANSWER, Outcome.BUSY, Outcome.DECLINED, Outcome.VOICEMAIL)


@pytest.mark.parametrize("max_attempts", [1, 3, 5])
@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("other_cap", CAPS)
def test_the_retries_decide_which_attempt_is_the_last_and_which_ones_happen(
    max_attempts: int, cap: int | None, other_cap: int | None
) -> None:
    """Play all courses of a contact with the retry policy, and compare what the voicemail policy makes of them."""
    rules = {name: {"max_attempts": each} for name, each in (("voicemail", cap), ("no_answer", other_cap)) if each}
    retry = parse_retry_policy(rules | {name: {"max_attempts": 1} for name in ("busy", "declined", "ivr")})
    happened = set()
    for course in product(OUTCOMES, repeat=max_attempts):
        for attempts, outcome in enumerate(course):
            happened.add(attempts + 1)
            given = order(
                MESSAGE | {"on_attempt": "last"}, attempts, retry.last_attempt(Outcome.VOICEMAIL, max_attempts)
            )
            ends = isinstance(after(retry, Outcome.VOICEMAIL, attempts, max_attempts), Fail)
            assert isinstance(given, LeaveMessage) == ends, (course, attempts)
            if not isinstance(after(retry, outcome, attempts, max_attempts), RetryAt):
                break
    for number in range(1, 11):
        reason = unreachable_attempt(parse_voicemail_policy(MESSAGE | {"on_attempt": number}), retry, max_attempts)
        assert (reason is None) == (number in happened), (number, reason)
    assert unreachable_attempt(parse_voicemail_policy(MESSAGE | {"on_attempt": "last"}), retry, max_attempts) is None
    hang_up = parse_voicemail_policy({"action": "hang_up", "on_attempt": 10})
    assert unreachable_attempt(hang_up, retry, max_attempts) is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Hello {{name}}, we call again.", "Hello, we call again."),
        ("Hello {{name}} and {{first}}!", "Hello and Bo!"),
        ("Hello {{first}} {{ name }}", "Hello Bo"),
        ("{{name}}, good day", "good day"),
        ("{{name}} {{plan}}", ""),
        ("{{empty}} It is {{current_time}}.", "It is {{current_time}}."),
        ("Call {{user number}} now", "Call now"),
    ],
)
def test_a_variable_without_a_value_is_left_out_and_never_read_aloud(message: str, expected: str) -> None:
    variables = {"first": " Bo ", "empty": " "}
    assert fill_message(message, variables, is_filled_later) == expected
    names = message_variables(parse_voicemail_policy(MESSAGE | {"message": message}))
    assert all(f"{{{{{name}}}}}" in message.replace("{{ ", "{{").replace(" }}", "}}") for name in names)
    assert len(names) == message.count("{{")
