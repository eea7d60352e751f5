"""Reports merge into a call by what they know: their order, repetition and loss make no difference."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.domain.call import (
    CALL,
    DETAIL_FIELDS,
    NO_RANKS,
    RANK_OF_EVENT,
    CallState,
    CallStatus,
    Details,
    Rank,
    Report,
    merge,
)
from outdial.domain.outcome import DISPOSITIONS, RELUCTANCE, Disposition, Outcome, RetryClass

RETELL_CALL_ID = "call_1"
START = datetime(2026, 3, 10, 17, 0, tzinfo=UTC)
NEW = CallState(CallStatus.PLACING, None, Details(), NO_RANKS)

# Few values each, so that equal, smaller and greater ones meet.
MOMENTS = st.none() | st.integers(0, 3).map(lambda seconds: START + timedelta(seconds=seconds))
TEXTS = st.none() | st.sampled_from(["", "a", "b"])
DETAILS = st.builds(
    Details,
    disconnection_reason=st.none()
    | st.sampled_from(
        ["user_hangup", "dial_busy", "dial_no_answer", "brand_new_reason", "user_requested_dnc", "error_retell"]
    ),
    started_at=MOMENTS,
    ended_at=MOMENTS,
    duration_ms=st.none() | st.integers(0, 2),
    cost_cents=st.none() | st.sampled_from([Decimal("0"), Decimal("1.5"), Decimal("2")]),
    transcript=TEXTS,
    recording_url=TEXTS,
    public_log_url=TEXTS,
    analysis=TEXTS,
)
REPORTS = st.builds(Report, rank=st.sampled_from(Rank), retell_call_id=st.just(RETELL_CALL_ID), details=DETAILS)


@st.composite
def calls(draw: st.DrawFn) -> CallState:
    """A call in any state, with whatever earlier reports have left in it."""
    told = reduce(merge, draw(st.lists(REPORTS, max_size=3)), NEW)
    known = draw(st.sampled_from([None, RETELL_CALL_ID])) if told == NEW else RETELL_CALL_ID
    return replace(told, status=draw(st.sampled_from(CallStatus)), retell_call_id=known)


def merge_all(call: CallState, reports: list[Report]) -> CallState:
    return reduce(merge, reports, call)


@st.composite
def runs(draw: st.DrawFn) -> tuple[CallState, list[Report], list[Report]]:
    """A call, its reports in order, and those reports shuffled, with repetitions, without those that add nothing."""
    call, ordered = draw(calls()), draw(st.lists(REPORTS, max_size=6))
    kept = [report for report in ordered if draw(st.booleans()) or is_witness(report, call, ordered)]
    repeated = kept + (draw(st.lists(st.sampled_from(kept), max_size=4)) if kept else [])
    return call, ordered, draw(st.permutations(repeated))


def is_witness(report: Report, call: CallState, all_reports: list[Report]) -> bool:
    """Whether the final call shows something that no report but this one may have told."""
    final = merge_all(call, all_reports)
    told = merge(replace(call, details=Details(), ranks=NO_RANKS), report)
    shows = any(
        getattr(report.details, name) is not None
        and final.ranks[index] == report.rank
        and getattr(final.details, name) == getattr(report.details, name)
        for index, name in enumerate(DETAIL_FIELDS)
    )
    return shows or told.status == final.status != call.status


@given(runs())
def test_any_order_repetition_and_loss_without_new_knowledge_leads_to_the_same_call(
    run: tuple[CallState, list[Report], list[Report]],
) -> None:
    call, ordered, received = run

    expected = merge_all(call, ordered)

    # The id is known with the first report, which may have been lost with all that it told.
    assert replace(merge_all(call, received), retell_call_id=None) == replace(expected, retell_call_id=None)


@given(calls(), REPORTS, REPORTS)
def test_two_reports_commute(call: CallState, one: Report, other: Report) -> None:
    assert merge(merge(call, one), other) == merge(merge(call, other), one)


@given(calls(), REPORTS)
def test_a_report_that_comes_again_changes_nothing(call: CallState, report: Report) -> None:
    once = merge(call, report)

    assert merge(once, report) == once


@given(calls(), st.lists(REPORTS, max_size=5), st.lists(REPORTS, max_size=5))
def test_reports_may_be_merged_in_two_batches_or_in_one(
    call: CallState, first: list[Report], second: list[Report]
) -> None:
    assert merge_all(merge_all(call, second), first) == merge_all(call, first + second)


@given(calls(), REPORTS)
def test_a_report_moves_the_status_along_an_arrow_or_not_at_all(call: CallState, report: Report) -> None:
    after = merge(call, report).status

    assert after == call.status or (call.status, after) in CALL.pairs()


@given(calls(), st.lists(REPORTS, max_size=5))
def test_an_ended_or_refused_call_keeps_its_status(call: CallState, reports: list[Report]) -> None:
    for status in (CallStatus.ENDED, CallStatus.REFUSED):
        assert merge_all(replace(call, status=status), reports).status == status


@given(calls(), REPORTS)
def test_a_null_never_overwrites_a_value_and_no_rank_goes_down(call: CallState, report: Report) -> None:
    after = merge(call, report)

    for index, name in enumerate(DETAIL_FIELDS):
        before, told = getattr(call.details, name), getattr(report.details, name)
        assert getattr(after.details, name) is not None or before is None
        assert after.ranks[index] >= call.ranks[index] or name == "disconnection_reason"
        if told is None:
            assert getattr(after.details, name) == before


@given(calls(), REPORTS)
def test_a_detail_of_a_higher_ranked_event_replaces_that_of_a_lower_one(call: CallState, report: Report) -> None:
    after = merge(call, report)

    for index, name in enumerate(DETAIL_FIELDS):
        told = getattr(report.details, name)
        if name != "disconnection_reason" and told is not None and report.rank > call.ranks[index]:
            assert getattr(after.details, name) == told
            assert after.ranks[index] == report.rank


@given(calls(), REPORTS)
def test_a_later_reason_never_makes_the_contact_be_called_sooner(call: CallState, report: Report) -> None:
    before, after = call.disposition, merge(call, report).disposition

    if before is not None:
        assert after is not None
        assert RELUCTANCE.index(after.retry_class) >= RELUCTANCE.index(before.retry_class)


@pytest.mark.parametrize(
    ("status", "rank", "reason", "after"),
    [
        ("placing", Rank.STARTED, None, "ongoing"),
        ("unknown", Rank.STARTED, None, "ongoing"),
        ("placed", Rank.STARTED, None, "ongoing"),
        ("ended", Rank.STARTED, None, "ended"),
        ("placing", Rank.ENDED, "user_hangup", "ended"),
        ("ongoing", Rank.ENDED, None, "ended"),
        ("placing", Rank.ANALYZED, "user_hangup", "ended"),
        ("placing", Rank.ANALYZED, None, "placed"),
        ("ongoing", Rank.ANALYZED, None, "ongoing"),
        ("released", Rank.STARTED, None, "released"),
        ("released", Rank.ENDED, "user_hangup", "ended"),
        ("review", Rank.STARTED, None, "review"),
        ("review", Rank.ENDED, "user_hangup", "ended"),
        ("refused", Rank.ENDED, "user_hangup", "refused"),
    ],
)
def test_the_status_follows_the_rank_and_never_goes_back(
    status: str, rank: Rank, reason: str | None, after: str
) -> None:
    call = replace(NEW, status=CallStatus(status))

    assert merge(call, Report(rank, RETELL_CALL_ID, Details(disconnection_reason=reason))).status == after


def test_an_analysis_that_comes_before_the_end_is_kept_and_the_end_still_ends_the_call() -> None:
    analyzed = merge(NEW, Report(Rank.ANALYZED, RETELL_CALL_ID, Details(analysis='{"summary":"ok"}')))
    ended = merge(analyzed, Report(Rank.ENDED, RETELL_CALL_ID, Details(disconnection_reason="user_hangup")))

    assert (analyzed.status, analyzed.disposition) == (CallStatus.PLACED, None)
    assert ended.status is CallStatus.ENDED
    assert ended.details.analysis == '{"summary":"ok"}'
    assert ended.disposition == DISPOSITIONS["user_hangup"]


def test_a_call_has_no_disposition_before_its_end_nor_before_its_reason_is_known() -> None:
    reason = Details(disconnection_reason="dial_busy")

    assert replace(NEW, status=CallStatus.ONGOING, details=reason).disposition is None
    assert replace(NEW, status=CallStatus.ENDED).disposition is None
    assert replace(NEW, status=CallStatus.ENDED, details=reason).disposition == DISPOSITIONS["dial_busy"]


def test_an_ended_call_with_a_reason_that_nobody_knows_is_held_for_a_person() -> None:
    strange = replace(NEW, status=CallStatus.ENDED, details=Details(disconnection_reason="brand_new_reason"))

    assert strange.disposition == Disposition(Outcome.UNKNOWN, RetryClass.HOLD)


def test_the_first_id_of_the_call_at_retell_stays() -> None:
    known = replace(NEW, retell_call_id="call_0")

    assert merge(NEW, Report(Rank.STARTED, RETELL_CALL_ID, Details())).retell_call_id == RETELL_CALL_ID
    assert merge(known, Report(Rank.STARTED, RETELL_CALL_ID, Details())).retell_call_id == "call_0"


def test_only_the_lifecycle_events_have_a_rank() -> None:
    assert RANK_OF_EVENT == {"call_started": 1, "call_ended": 2, "call_analyzed": 3}


def test_each_detail_is_ranked_once() -> None:
    names: list[Any] = [field.name for field in fields(Details)]

    assert list(DETAIL_FIELDS) == names
    assert len(NO_RANKS) == len(names)
