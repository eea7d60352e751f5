"""A callback comes at the time that the contact asked for, in the contact's time, or a member decides."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.domain.outcomes import Outcome
from outdial.domain.policies.callback_requests import CallBackAt, UnclearCallback, may_ask, read_request
from outdial.domain.policies.callback_time import UnreadableTime, read_callback_time
from outdial.domain.policies.callbacks import CallbackPolicy, parse_callback_policy

# Wednesday, 4 March 2026, 14:00 in New York.
ENDED = datetime(2026, 3, 4, 19, tzinfo=UTC)
NEW_YORK = "America/New_York"


def read(text: str, zone_key: str = NEW_YORK, ended_at: datetime = ENDED) -> datetime:
    return read_callback_time(text, zone_key=zone_key, ended_at=ended_at)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-05T15:00:00-08:00", datetime(2026, 3, 5, 23, tzinfo=UTC)),
        ("2026-03-05T15:00:00Z", datetime(2026, 3, 5, 15, tzinfo=UTC)),
        ("2026-03-05T15:00", datetime(2026, 3, 5, 20, tzinfo=UTC)),
        ("2026-03-05 15:00", datetime(2026, 3, 5, 20, tzinfo=UTC)),
        ("in 2 hours", ENDED + timedelta(hours=2)),
        ("In an hour.", ENDED + timedelta(hours=1)),
        ("in half an hour", ENDED + timedelta(minutes=30)),
        ("in about 45 minutes", ENDED + timedelta(minutes=45)),
        ("in 1.5 hours", ENDED + timedelta(minutes=90)),
        ("tomorrow at 3pm", datetime(2026, 3, 5, 20, tzinfo=UTC)),
        ("3 p.m. tomorrow", datetime(2026, 3, 5, 20, tzinfo=UTC)),
        ("today at 5:30 PM", datetime(2026, 3, 4, 22, 30, tzinfo=UTC)),
        ("at noon", datetime(2026, 3, 5, 17, tzinfo=UTC)),
        ("15:30", datetime(2026, 3, 4, 20, 30, tzinfo=UTC)),
        ("Friday at 10am", datetime(2026, 3, 6, 15, tzinfo=UTC)),
        ("Wednesday at 4pm", datetime(2026, 3, 4, 21, tzinfo=UTC)),
        ("Wednesday at 1pm", datetime(2026, 3, 11, 17, tzinfo=UTC)),  # Daylight saving time begins in between.
        ("next Wednesday at 4pm", datetime(2026, 3, 11, 20, tzinfo=UTC)),
        ("on Monday, 12:15", datetime(2026, 3, 9, 16, 15, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_the_contact_meant_them(text: str, expected: datetime) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("whenever", "no time"),
        ("tomorrow", "no time"),
        ("2026-03-05", "no time"),
        ("tomorrow at 3", "morning or in the afternoon"),
        ("tomorrow at 15pm", "not a clock time"),
        ("tomorrow at 25:00", "not a clock time"),
        ("today at 1pm", "has passed"),
        ("2026-03-04T18:59:00Z", "has passed"),
        ("2026-05-04T19:00:00Z", "more than 60 days"),
        ("in 9999 weeks", "more than 60 days"),
        ("9999-12-31T23:59:00-12:00", "not a time"),
        ("", "no time"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, why: str) -> None:
    with pytest.raises(UnreadableTime, match=why):
        read(text)


def test_in_several_zones_the_last_of_the_times_holds() -> None:
    both = "America/Chicago|America/New_York"
    assert read("tomorrow at 3pm", both) == read("tomorrow at 3pm", "America/Chicago")
    assert read("2026-03-05T15:00", both) == read("2026-03-05T15:00", "America/Chicago")
    assert read("in 2 hours", both) == ENDED + timedelta(hours=2)


def test_a_skipped_clock_time_is_an_hour_later_and_one_that_occurs_twice_is_the_second() -> None:
    assert read("2026-03-08T02:30").astimezone(UTC) == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    autumn = datetime(2026, 10, 31, 12, tzinfo=UTC)
    assert read("2026-11-01T01:30", ended_at=autumn) == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)


@given(st.text(max_size=40) | st.from_regex(r"(in [0-9]+ hours|next friday at [0-9]{1,2}(am|pm)?|[0-9T:+-]{4,25})"))
def test_any_text_is_a_time_within_60_days_or_unreadable(text: str) -> None:
    try:
        at = read(text)
    except UnreadableTime:
        return
    assert ENDED < at <= ENDED + timedelta(days=60)


def request(
    outcome: Outcome = Outcome.ANSWERED, *, callbacks: int = 0, policy: CallbackPolicy | None = None, **fields: object
) -> object:
    analysis = json.dumps({"call_summary": "Busy.", "custom_analysis_data": fields})
    return read_request(
        policy or CallbackPolicy(), outcome, analysis, callbacks=callbacks, zone_key=NEW_YORK, ended_at=ENDED
    )


def test_a_callback_is_asked_for_by_the_outcome_or_by_a_named_field() -> None:
    in_two_hours = CallBackAt(ENDED + timedelta(hours=2), "in 2 hours")
    assert request(Outcome.CALLBACK_REQUESTED, callback_at="in 2 hours") == in_two_hours
    assert request(callback_at="in 2 hours") == in_two_hours
    assert request(callback_at="in 2 hours", callback_requested=True) == in_two_hours
    renamed = parse_callback_policy({"time_field": "when", "request_field": "again"})
    assert request(policy=renamed, when="in 2 hours") == in_two_hours
    assert request(policy=renamed, callback_at="in 2 hours") is None


def test_no_callback_without_a_wish() -> None:
    for fields in ({}, {"callback_at": "none"}, {"callback_at": "", "callback_requested": False}):
        assert request(**fields) is None
    assert request(callback_at="in 2 hours", callback_requested=False) is None
    assert request(Outcome.VOICEMAIL, callback_at="in 2 hours") is None
    off = parse_callback_policy({"enabled": False})
    assert request(Outcome.CALLBACK_REQUESTED, policy=off, callback_at="in 2 hours") is None
    assert not may_ask(off, Outcome.CALLBACK_REQUESTED)


def test_review_has_the_words() -> None:
    for callbacks, words in ((0, "after my holiday"), (0, "in 90 days"), (2, "in 2 hours")):
        unclear = request(callbacks=callbacks, callback_at=words)
        assert isinstance(unclear, UnclearCallback)
        assert words in unclear.reason
    assert isinstance(request(Outcome.CALLBACK_REQUESTED), UnclearCallback)
    assert isinstance(request(callback_requested="yes"), UnclearCallback)
