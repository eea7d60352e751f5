"""The check of callbacks knows who asked, and finds each callback that is early, late without a reason, or too many."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from outdial.inbox.contact_steps import NO_ANALYSIS
from outdial.promises.called_back import check_callbacks
from outdial.promises.checks import PromiseCheck, audit
from tests.promises.test_checks import START, call, contact, good_run, provider_call

MINUTE = 60_000
WISH = '{"custom_analysis_data":{"callback_at":"in 20 minutes","callback_requested":true}}'
DUE = 900 + 20 * MINUTE


def checked(
    *later: dict[str, Any],
    status: str = "completed",
    reason: str | None = None,
    of_member: bool = False,
    changed_at: datetime | None = None,
) -> PromiseCheck:
    """Check the calls of a contact who asked for a callback in the first one; each of `later` is one after it."""
    there, here = [provider_call(0, analysis=WISH)], [call(0, analysis=WISH)]
    for number, changes in enumerate(later, start=1):
        seen = {"is_callback": True, "created_ms": DUE, "analysis": None} | changes
        late = seen.pop("late", None)
        seen["ended_ms"] = seen["created_ms"] + 900
        there.append(replace(provider_call(0, **seen), call_id=f"call_{number}"))
        ours = {"callback_of": START + timedelta(minutes=20), "callback_late": late, "analysis": seen["analysis"]}
        ours["attempt_number"] = number + 1
        here.append(replace(call(number, **ours), campaign_contact_id=here[0].campaign_contact_id))
    person = contact(0, status=status, status_reason=reason, call_count=len(here), has_member_callback=of_member)
    person = replace(person, changed_by_member_at=changed_at)
    return check_callbacks(replace(good_run(), provider_calls=there, calls=here, contacts=[person]))


@pytest.mark.parametrize(
    ("later", "examined"),
    [
        ([{}], "1 calls on time, 0 late"),
        ([{"created_ms": DUE + MINUTE}], "1 calls on time, 0 late"),
        ([{"created_ms": DUE + 5 * MINUTE, "late": "the campaign is paused"}], "0 calls on time, 1 late"),
        ([{"disconnection_reason": "dial_no_answer"}, {"created_ms": DUE + 30 * MINUTE}], "1 second tries"),
        # A call that failed on the way is not a try.
        ([{"disconnection_reason": "error_retell"}] * 3 + [{"created_ms": DUE + MINUTE}], "1 calls on time"),
        ([{"analysis": WISH}, {"created_ms": 2 * DUE}], "2 wishes to be called back: 2 calls on time"),
    ],
)
def test_a_callback_on_time_or_with_a_reason_keeps_the_promise(later: list[dict[str, Any]], examined: str) -> None:
    check = checked(*later)
    assert (check.promise, check.breaches) == (13, [])
    assert examined in check.examined


@pytest.mark.parametrize(
    ("later", "breach"),
    [
        ([{"created_ms": DUE - 1000}], "1 s before the time asked for"),
        ([{"created_ms": DUE + MINUTE + 1000}], "61 s after the time asked for, and no reason is reported"),
        ([{"is_callback": False}], "an ordinary call to a contact who waits for a callback"),
        ([{"disconnection_reason": "dial_no_answer"}] * 3, "a third try"),
        ([{}, {}], "for which the contact did not ask"),
        (
            [{"analysis": WISH}, {"analysis": WISH, "created_ms": 2 * DUE}, {"created_ms": 3 * DUE}],
            "called back 3 times",
        ),
        ([], "is completed without it"),
        ([{"disconnection_reason": "dial_no_answer", "status": "failed"}], "and not called a second time"),
    ],
)
def test_each_breach_is_found(later: list[dict[str, Any]], breach: str) -> None:
    status = later[-1].pop("status", "completed") if later else "completed"
    assert breach in "; ".join(checked(*later, status=status).breaches)


def test_a_member_who_skips_or_retries_a_contact_says_when_it_is_called_from_then_on() -> None:
    # The contact waits for its callback when a member calls it again in its usual turn.
    retried = {"is_callback": False, "created_ms": DUE - MINUTE}
    assert "an ordinary call" in "; ".join(checked(retried).breaches)
    before = checked({}, retried, changed_at=START + timedelta(milliseconds=1))
    assert (before.breaches, "1 left to members" in before.examined) == ([], True)
    assert checked(changed_at=START + timedelta(milliseconds=1)).breaches == [], "completed by the member"
    # What has happened before is checked all the same.
    late = checked({"created_ms": DUE + 5 * MINUTE}, changed_at=START + timedelta(days=1))
    assert "no reason is reported" in "; ".join(late.breaches)


def test_a_contact_whose_analysis_never_came_or_who_is_in_review_is_no_breach() -> None:
    run = good_run()
    there, here = [provider_call(0, analysis=WISH)], [call(0, analysis=None)]
    unheard = replace(run, provider_calls=there, calls=here, contacts=[contact(0, status_reason=NO_ANALYSIS)])
    assert check_callbacks(unheard).breaches == []
    assert "is completed without it" in "; ".join(checked(reason=NO_ANALYSIS).breaches)
    # A member has set a callback for which no contact asked.
    assert checked({}, {}, of_member=True).breaches == []
    check = checked(status="review")
    assert (check.breaches, "1 left to members" in check.examined) == ([], True)


def test_a_call_in_which_the_contact_asked_for_a_callback_may_be_free() -> None:
    run = good_run()
    for attempts, holds in ((1, True), (0, True), (2, False)):
        calls = [call(0, analysis=WISH), *run.calls[1:]]
        contacts = [contact(0, attempts=attempts), *run.contacts[1:]]
        [check] = [each for each in audit(replace(run, calls=calls, contacts=contacts)) if each.promise == 5]
        assert check.holds is holds
