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
    CallDetails,
    CallReport,
    CallState,
    CallStatus,
    DisconnectionReason,
    ReportRank,
    merge,
)
from outdial.domain.outcomes import RELUCTANCE, Outcome, RetryClass

PROVIDER_CALL_ID = "call_1"
START = datetime(2026, 3, 10, 17, 0, tzinfo=UTC)
NEW = CallState(status=CallStatus.PLACING, provider_call_id=None, details=CallDetails(), ranks=NO_RANKS)

ANSWERED = DisconnectionReason("hangup", Outcome.ANSWERED)
BUSY = DisconnectionReason("busy", Outcome.BUSY)
NEW_REASON = DisconnectionReason("brand_new_reason", Outcome.UNKNOWN)
REASONS = [
    ANSWERED,
    BUSY,
    DisconnectionReason("no_answer", Outcome.NO_ANSWER),
    NEW_REASON,
    DisconnectionReason("requested_dnc", Outcome.DO_NOT_CALL),
    DisconnectionReason("platform_error", Outcome.PROVIDER_FAULT),
]

# Few values each, so that equal, smaller and greater ones meet.
MOMENTS = st.none() | st.integers(0, 3).map(lambda seconds: START + timedelta(seconds=seconds))
TEXTS = st.none() | st.sampled_from(["", "a", "b"])
DETAILS = st.builds(
    CallDetails,
    disconnection_reason=st.none() | st.sampled_from(REASONS),
    started_at=MOMENTS,
    ended_at=MOMENTS,
    duration_ms=st.none() | st.integers(0, 2),
    cost_cents=st.none() | st.sampled_from([Decimal("0"), Decimal("1.5"), Decimal("2")]),
    transcript=TEXTS,
    recording_url=TEXTS,
    public_log_url=TEXTS,
    analysis=TEXTS,
)
REPORTS = st.builds(
    CallReport, rank=st.sampled_from(ReportRank), provider_call_id=st.just(PROVIDER_CALL_ID), details=DETAILS
)


@st.composite
def calls(draw: st.DrawFn) -> CallState:
    """A call in any state, with whatever earlier reports have left in it."""
    told = reduce(merge, draw(st.lists(REPORTS, max_size=3)), NEW)
    known = draw(st.sampled_from([None, PROVIDER_CALL_ID])) if told == NEW else PROVIDER_CALL_ID
    return replace(told, status=draw(st.sampled_from(CallStatus)), provider_call_id=known)


def merge_all(call: CallState, reports: list[CallReport]) -> CallState:
    return reduce(merge, reports, call)


@st.composite
def runs(draw: st.DrawFn) -> tuple[CallState, list[CallReport], list[CallReport]]:
    """A call, its reports in order, and those reports shuffled, with repetitions, without those that add nothing."""
    call, ordered = draw(calls()), draw(st.lists(REPORTS, max_size=6))
    kept = [report for report in ordered if draw(st.booleans()) or is_witness(report, call, ordered)]
    repeated = kept + (draw(st.lists(st.sampled_from(kept), max_size=4)) if kept else [])
    return call, ordered, draw(st.permutations(repeated))


def is_witness(report: CallReport, call: CallState, all_reports: list[CallReport]) -> bool:
    """Whether the final call shows something that no report but this one may have told."""
    final = merge_all(call, all_reports)
    told = merge(replace(call, details=CallDetails(), ranks=NO_RANKS), report)
    shows = any(
        getattr(report.details, name) is not None
        and final.ranks[index] == report.rank
        and getattr(final.details, name) == getattr(report.details, name)
        for index, name in enumerate(DETAIL_FIELDS)
    )
    return shows or told.status == final.status != call.status


@given(runs())
def test_any_order_repetition_and_loss_without_new_knowledge_leads_to_the_same_call(
    run: tuple[CallState, list[CallReport], list[CallReport]],
) -> None:
    call, ordered, received = run

    expected = merge_all(call, ordered)

    # The id is known with the first report, which may have been lost with all that it told.
    assert replace(merge_all(call, received), provider_call_id=None) == replace(expected, provider_call_id=None)


@given(calls(), REPORTS, REPORTS)
def test_two_reports_commute(call: CallState, one: CallReport, other: CallReport) -> None:
    assert merge(merge(call, one), other) == merge(merge(call, other), one)


@given(calls(), REPORTS)
def test_a_report_that_comes_again_changes_nothing(call: CallState, report: CallReport) -> None:
    once = merge(call, report)

    assert merge(once, report) == once


@given(calls(), st.lists(REPORTS, max_size=5), st.lists(REPORTS, max_size=5))
def test_reports_may_be_merged_in_two_batches_or_in_one(
    call: CallState, first: list[CallReport], second: list[CallReport]
) -> None:
    assert merge_all(merge_all(call, second), first) == merge_all(call, first + second)


@given(calls(), REPORTS)
def test_a_report_moves_the_status_along_an_arrow_or_not_at_all(call: CallState, report: CallReport) -> None:
    after = merge(call, report).status

    assert after == call.status or (call.status, after) in CALL.pairs()


@given(calls(), st.lists(REPORTS, max_size=5))
def test_an_ended_or_refused_call_keeps_its_status(call: CallState, reports: list[CallReport]) -> None:
    for status in (CallStatus.ENDED, CallStatus.REFUSED):
        assert merge_all(replace(call, status=status), reports).status == status


@given(calls(), REPORTS)
def test_a_null_never_overwrites_a_value_and_no_rank_goes_down(call: CallState, report: CallReport) -> None:
    after = merge(call, report)

    for index, name in enumerate(DETAIL_FIELDS):
        before, told = getattr(call.details, name), getattr(report.details, name)
        assert getattr(after.details, name) is not None or before is None
        assert after.ranks[index] >= call.ranks[index] or name == "disconnection_reason"
        if told is None:
            assert getattr(after.details, name) == before


@given(calls(), REPORTS)
def test_a_detail_of_a_higher_ranked_event_replaces_that_of_a_lower_one(call: CallState, report: CallReport) -> None:
    after = merge(call, report)

    for index, name in enumerate(DETAIL_FIELDS):
        told = getattr(report.details, name)
        if name != "disconnection_reason" and told is not None and report.rank > call.ranks[index]:
            assert getattr(after.details, name) == told
            assert after.ranks[index] == report.rank


@given(calls(), REPORTS)
def test_a_later_reason_never_makes_the_contact_be_called_sooner(call: CallState, report: CallReport) -> None:
    before, after = call.outcome, merge(call, report).outcome

    if before is not None:
        assert after is not None
        assert RELUCTANCE.index(after.retry_class) >= RELUCTANCE.index(before.retry_class)


@pytest.mark.parametrize(
    ("status", "rank", "reason", "after"),
    [
        ("placing", ReportRank.STARTED, None, "ongoing"),
        ("unknown", ReportRank.STARTED, None, "ongoing"),
        ("placed", ReportRank.STARTED, None, "ongoing"),
        ("ended", ReportRank.STARTED, None, "ended"),
        ("placing", ReportRank.ENDED, ANSWERED, "ended"),
        ("ongoing", ReportRank.ENDED, None, "ended"),
        ("placing", ReportRank.ANALYZED, ANSWERED, "ended"),
        ("placing", ReportRank.ANALYZED, None, "placed"),
        ("ongoing", ReportRank.ANALYZED, None, "ongoing"),
        ("released", ReportRank.STARTED, None, "released"),
        ("released", ReportRank.ENDED, ANSWERED, "ended"),
        ("review", ReportRank.STARTED, None, "review"),
        ("review", ReportRank.ENDED, ANSWERED, "ended"),
        ("refused", ReportRank.ENDED, ANSWERED, "refused"),
    ],
)
def test_the_status_follows_the_rank_and_never_goes_back(
    status: str, rank: ReportRank, reason: DisconnectionReason | None, after: str
) -> None:
    call = replace(NEW, status=CallStatus(status))

    assert merge(call, CallReport(rank, PROVIDER_CALL_ID, CallDetails(disconnection_reason=reason))).status == after


def test_an_analysis_that_comes_before_the_end_is_kept_and_the_end_still_ends_the_call() -> None:
    analyzed = merge(NEW, CallReport(ReportRank.ANALYZED, PROVIDER_CALL_ID, CallDetails(analysis='{"summary":"ok"}')))
    ended = merge(analyzed, CallReport(ReportRank.ENDED, PROVIDER_CALL_ID, CallDetails(disconnection_reason=ANSWERED)))

    assert (analyzed.status, analyzed.outcome) == (CallStatus.PLACED, None)
    assert ended.status is CallStatus.ENDED
    assert ended.details.analysis == '{"summary":"ok"}'
    assert ended.outcome == Outcome.ANSWERED


def test_a_call_has_no_outcome_before_its_end_nor_before_its_reason_is_known() -> None:
    reason = CallDetails(disconnection_reason=BUSY)

    assert replace(NEW, status=CallStatus.ONGOING, details=reason).outcome is None
    assert replace(NEW, status=CallStatus.ENDED).outcome is None
    assert replace(NEW, status=CallStatus.ENDED, details=reason).outcome == Outcome.BUSY


def test_an_ended_call_with_an_unknown_reason_is_held_for_review() -> None:
    strange = replace(NEW, status=CallStatus.ENDED, details=CallDetails(disconnection_reason=NEW_REASON))

    assert strange.outcome is Outcome.UNKNOWN
    assert strange.outcome.retry_class is RetryClass.HOLD


def test_the_first_provider_call_id_stays() -> None:
    known = replace(NEW, provider_call_id="call_0")

    assert (
        merge(NEW, CallReport(ReportRank.STARTED, PROVIDER_CALL_ID, CallDetails())).provider_call_id == PROVIDER_CALL_ID
    )
    assert merge(known, CallReport(ReportRank.STARTED, PROVIDER_CALL_ID, CallDetails())).provider_call_id == "call_0"


def test_each_detail_is_ranked_once() -> None:
    names: list[Any] = [field.name for field in fields(CallDetails)]

    assert list(DETAIL_FIELDS) == names
    assert len(NO_RANKS) == len(names)
