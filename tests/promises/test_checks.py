"""The audit reports no breach for a good run, and every breach of a bad one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from outdial.db.queries.evidence import (
    AccountLimits,
    CallEvidence,
    CampaignEvidence,
    ContactEvidence,
    EvidenceOfTestCall,
    NumberRest,
)
from outdial.promises.checks import LedgerRequest, ProviderCall, RunEvidence, audit, peak_in_window, peak_live, resolved

START = datetime(2026, 3, 10, 17, 0, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
CAMPAIGN = UUID(int=1)


def contact_id(number: int) -> UUID:
    return UUID(int=100 + number)


def call_id(number: int) -> UUID:
    return UUID(int=1000 + number)


def request(number: int, **changes: object) -> LedgerRequest:
    key = str(call_id(number))
    made = LedgerRequest(
        arrived_ms=START_MS + 1000 * number,
        result="accepted",
        reason=None,
        answered=True,
        call_id=f"call_{number}",
        to_number=f"+1212555010{number}",
        idempotency_key=key,
        metadata_call_id=key,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def provider_call(number: int, **changes: object) -> ProviderCall:
    made = ProviderCall(
        call_id=f"call_{number}",
        from_number="+12125550199",
        to_number=f"+1212555010{number}",
        created_ms=1000 * number,
        ended_ms=1000 * number + 900,
        disconnection_reason="user_hangup",
        transcript="Agent: Hello\n",
        analysis='{"call_successful":true}',
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def call(number: int, **changes: object) -> CallEvidence:
    made = CallEvidence(
        id=call_id(number),
        campaign_id=CAMPAIGN,
        campaign_contact_id=contact_id(number),
        credential="default",
        phone=f"+1212555010{number}",
        attempt_number=1,
        status="ended",
        retell_call_id=f"call_{number}",
        outcome="answered",
        disconnection_reason="user_hangup",
        requested_at=START + timedelta(seconds=number),
        transcript="Agent: Hello\n",
        analysis='{"call_successful":true}',
        callback_of=None,
        callback_late=None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def contact(number: int, **changes: object) -> ContactEvidence:
    return replace(
        ContactEvidence(
            id=contact_id(number),
            campaign_id=CAMPAIGN,
            status="completed",
            status_reason=None,
            attempts=1,
            call_count=1,
            earlier_calls=0,
            has_member_callback=False,
            changed_by_member_at=None,
        ),
        **changes,
    )  # type: ignore[arg-type]


def good_run() -> RunEvidence:
    """Three contacts, one call each; the response to the second was lost, so it was requested again."""
    return RunEvidence(
        requests=[
            request(0),
            request(1, answered=False),
            request(1, result="replayed", arrived_ms=START_MS + 5000),
            request(2),
        ],
        provider_calls=[provider_call(number) for number in range(3)],
        calls=[call(number) for number in range(3)],
        contacts=[contact(number) for number in range(3)],
        campaigns=[CampaignEvidence(id=CAMPAIGN, credential="default", status="completed")],
        limits=AccountLimits(credential="default", concurrency_limit=1, calls_per_second=1.0),
    )


TEST_ID = str(call_id(3))


def request_of_test(**changes: object) -> LedgerRequest:
    return request(3, **({"metadata_call_id": None, "metadata_test_call_id": TEST_ID} | changes))


def with_test_call(*more: LedgerRequest, **changes: object) -> Callable[[RunEvidence], RunEvidence]:
    """Add a test call, which no call of a campaign is about."""
    row = EvidenceOfTestCall(
        id=call_id(3),
        credential="default",
        phone="+12125550103",
        status="ended",
        retell_call_id="call_3",
        outcome="answered",
        disconnection_reason="user_hangup",
        transcript="Agent: Hello\n",
        analysis='{"call_successful":true}',
    )
    return lambda run: replace(
        run,
        requests=[*run.requests, request_of_test(), *more],
        provider_calls=[*run.provider_calls, provider_call(3, test_call_id=TEST_ID)],
        test_calls=[replace(row, **changes)],  # type: ignore[arg-type]
    )


def broken(evidence: RunEvidence) -> dict[int, list[str]]:
    return {check.promise: list(check.breaches) for check in audit(evidence) if not check.holds}


def test_a_good_run_has_no_breaches() -> None:
    checks = audit(good_run())
    assert [check.promise for check in checks] == [1, 3, 5, 6, 7, 14]
    assert [check.breaches for check in checks] == [[]] * 6


def test_a_test_call_is_no_breach() -> None:
    assert broken(with_test_call()(good_run())) == {}


def with_request(**changes: object) -> Callable[[RunEvidence], RunEvidence]:
    return lambda run: replace(run, requests=[request(0, **changes), *run.requests[1:]])


def with_another_request(number: int, **changes: object) -> Callable[[RunEvidence], RunEvidence]:
    return lambda run: replace(run, requests=[*run.requests, request(number, **changes)])


def with_provider_call(**changes: object) -> Callable[[RunEvidence], RunEvidence]:
    return lambda run: replace(run, provider_calls=[provider_call(0, **changes), *run.provider_calls[1:]])


def with_call(**changes: object) -> Callable[[RunEvidence], RunEvidence]:
    return lambda run: replace(run, calls=[call(0, **changes), *run.calls[1:]])


def with_contact(**changes: object) -> Callable[[RunEvidence], RunEvidence]:
    return lambda run: replace(run, contacts=[contact(0, **changes), *run.contacts[1:]])


@pytest.mark.parametrize(
    ("promise", "change", "message"),
    [
        (1, with_another_request(0, arrived_ms=START_MS + 9000), "was placed 2 times"),
        (1, with_request(idempotency_key=None), "no idempotency key"),
        (1, with_request(metadata_call_id=str(call_id(2))), f"carried the key {call_id(0)}"),
        (1, with_request(idempotency_key="other", metadata_call_id="other"), "no call in the database"),
        (1, with_request(to_number="+12125550199"), "a different phone"),
        (1, with_test_call(request_of_test(result="replayed")), "was requested 2 times"),
        (1, with_test_call(request_of_test(idempotency_key="other")), "the ids of another call"),
        (1, with_test_call(phone="+12125550199"), "a phone that no one requested"),
        (6, with_test_call(status="sent"), "status is 'sent' here"),
        (6, with_test_call(retell_call_id=None), "call_3 is missing from the database"),
        (6, lambda run: replace(with_test_call()(run), calls=[*run.calls, call(3)], test_calls=[]), "one side only"),
        (3, with_provider_call(to_number="+12125550101", ended_ms=1001), "had ended"),
        (3, with_provider_call(to_number="+12125550101", ended_ms=None), "had ended"),
        (5, with_contact(status="pending"), "1 open contacts"),
        (5, with_contact(status="calling"), "1 open contacts"),
        (5, with_contact(attempts=2), "charged 2 attempts, but 1 calls count"),
        (5, with_contact(call_count=2), "counts 2 calls but has 1"),
        (5, with_call(disconnection_reason="error_retell"), "charged 1 attempts, but 0 calls count"),
        (6, with_call(status="ongoing"), "status is 'ongoing' here"),
        (6, with_call(outcome="busy"), "outcome is 'busy' here"),
        (6, with_call(outcome=None, disconnection_reason=None), "disconnection_reason is None here"),
        (6, with_call(transcript=None), "transcript is None here"),
        (6, with_call(analysis=None), "analysis is None here"),
        (6, with_call(retell_call_id="call_9"), "call_0 is missing from the database"),
        (6, with_call(retell_call_id="call_9"), "call_9 is in the database but not"),
        (6, with_call(phone="+12125550199"), "phone is '+12125550199' here"),
        (7, with_provider_call(ended_ms=1500), "2 concurrent calls, 1 allowed"),
        (7, with_provider_call(ended_ms=None), "2 concurrent calls, 1 allowed"),
        (7, with_request(arrived_ms=START_MS + 1500), "2 starts were placed within a second"),
        (7, with_call(requested_at=START + timedelta(milliseconds=500)), "2 starts were planned within a second"),
        (
            7,
            with_request(result="refused", reason="concurrency", call_id=None),
            "while the account was at its concurrency limit",
        ),
    ],
)
def test_every_breach_is_reported(promise: int, change: Callable[[RunEvidence], RunEvidence], message: str) -> None:
    breaches = broken(change(good_run()))
    assert any(message in breach for breach in breaches.get(promise, [])), breaches


def test_a_request_that_the_provider_never_read_proves_nothing() -> None:
    never_read = with_another_request(
        0, result="refused", reason="fault", call_id=None, to_number=None, idempotency_key=None, metadata_call_id=None
    )
    assert broken(never_read(good_run())) == {}


def test_requests_refused_for_arriving_too_close_together_are_no_breach() -> None:
    assert broken(with_another_request(0, result="refused", reason="calls_per_second")(good_run())) == {}


def test_an_open_contact_of_a_running_campaign_is_no_breach() -> None:
    run = replace(
        with_contact(status="pending")(good_run()),
        campaigns=[CampaignEvidence(id=CAMPAIGN, credential="default", status="active")],
    )
    assert broken(run) == {}


def test_ambiguous_and_resolved_calls_are_counted() -> None:
    run = good_run()
    assert (resolved(run).ambiguous, resolved(run).resolved) == (1, 1)
    in_review = replace(run, calls=[call(0), call(1, status="unknown"), call(2)])
    assert (resolved(in_review).ambiguous, resolved(in_review).resolved) == (1, 0)


def test_peaks_are_counted_with_half_open_ends() -> None:
    assert peak_live([provider_call(0, ended_ms=1000), provider_call(1)]) == 1
    assert peak_live([]) == 0
    assert peak_in_window([0, 400, 999, 1000, 1001], 1000) == 4
    assert peak_in_window([0, 1000], 1000) == 1
    assert peak_in_window([], 1000) == 0


def test_a_call_from_a_resting_number_breaks_a_promise() -> None:
    since = datetime(2026, 3, 10, 17, tzinfo=UTC)
    rest = NumberRest(phone="+12125550100", since=since, until=since + timedelta(hours=24), calls=2)
    [check] = [each for each in audit(replace(good_run(), rests=[rest])) if each.promise == 14]
    assert list(check.breaches) == ["2 calls were claimed from +1212*****00 while it rested from 10 17:00"]
    [kept] = [each for each in audit(replace(good_run(), rests=[replace(rest, calls=0)])) if each.promise == 14]
    assert (kept.holds, kept.examined) == (True, "0 blocked calls; rests of caller numbers: 1")


def test_a_number_whose_calls_are_all_blocked_makes_three_in_a_day() -> None:
    def blocked(count: int, *, hours: int = 0) -> list[ProviderCall]:
        return [
            provider_call(n, disconnection_reason="marked_as_spam", created_ms=(n * hours * 3600 + n) * 1000)
            for n in range(count)
        ]

    def breaches(calls: list[ProviderCall]) -> list[str]:
        [check] = [each for each in audit(replace(good_run(), provider_calls=calls)) if each.promise == 14]
        return list(check.breaches)

    assert breaches(blocked(3)) == []
    assert breaches(blocked(4, hours=8)) == []
    assert breaches([*blocked(4), provider_call(4)]) == []
    [breach] = breaches(blocked(4))
    assert breach == "4 calls were made from +1212*****99 in a day, and each was blocked"
