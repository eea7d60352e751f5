"""Each promise about calls is checked at the claim and where the request leaves; each check is broken once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from outdial.dialer.admission import LimitFacts
from outdial.dialer.invariants import OutstandingRequests, check_claim
from outdial.dialer.plan import PlannedCall
from outdial.domain.calling_hours import ALWAYS_OPEN, parse_calling_hours
from outdial.domain.campaign import CampaignStatus
from outdial.domain.errors import InvariantBroken
from outdial.domain.pacing import Pace
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.retell.client import create_call_body, read_call_body
from tests.support.dialing import ANY_TIME
from tests.support.rules import BOOK

NOW = datetime(2026, 3, 10, 17, 0, tzinfo=UTC)
TIMEOUT = timedelta(seconds=20)
LIMITS = LimitFacts(
    concurrency_limit=10,
    reserved_inbound=2,
    account_live=0,
    campaign_limit=None,
    campaign_live=0,
    batch_size=10,
    sharers=1,
    pace=Pace(1.0, 1.0, NOW, None),
)


CLOSED = BOOK.window(parse_calling_hours(ALWAYS_OPEN), Place("Europe/Madrid", "ES"), Purpose.SALES)
"""A place without a rule."""


def planned(number: int = 1, **changes: object) -> PlannedCall:
    """Return a call that keeps every promise, but for `changes`."""
    phone, start_at = f"+1212555{number:04}", NOW + number * timedelta(seconds=2)
    call = PlannedCall(
        id=UUID(int=number),
        organization_id=UUID(int=100),
        campaign_id=UUID(int=200),
        campaign_status=CampaignStatus.ACTIVE,
        provider_account_id=UUID(int=300),
        credential="default",
        phone=phone,
        start_at=start_at,
        deadline=start_at + timedelta(seconds=25),
        spacing=timedelta(seconds=1),
        body=body_of(number, phone),
        window=ANY_TIME,
        limits_at=NOW,
    )
    return replace(call, **changes)  # type: ignore[arg-type]


def body_of(number: int, phone: str) -> bytes:
    """Return the request of call `number` to `phone`."""
    return create_call_body(
        call_id=UUID(int=number),
        campaign_id=UUID(int=200),
        to_number=phone,
        from_number="+12125550100",
        agent_id="agent_1",
        dynamic_variables={},
    )


def test_a_claim_that_keeps_every_promise_passes() -> None:
    check_claim([planned(1), planned(2)], LIMITS, TIMEOUT, read_call_body)


@pytest.mark.parametrize(
    ("calls", "limits", "message"),
    [
        ([planned(1, body=body_of(2, "+12125550001"))], LIMITS, "promise 1: the request of call .* has the key"),
        ([planned(1, body=b"{}")], LIMITS, "promise 1: the request of call .* cannot be read"),
        ([planned(1, body=body_of(1, "+12125550002"))], LIMITS, "promise 3: .* goes to another phone"),
        (
            [planned(1), planned(2, phone="+12125550001", body=body_of(2, "+12125550001"))],
            LIMITS,
            "promise 3: two calls of one claim",
        ),
        ([planned(1, campaign_status=CampaignStatus.PAUSING)], LIMITS, "promise 4: .* campaign that is pausing"),
        ([planned(1, deadline=NOW + timedelta(seconds=21))], LIMITS, "promise 4: .* outlive its deadline"),
        ([planned(1), planned(2)], replace(LIMITS, account_live=7), "promise 7: 2 calls more"),
        ([planned(1)], replace(LIMITS, pace=Pace(1.0, 1.0, NOW + timedelta(seconds=3), None)), "promise 7: .* before"),
        ([planned(1), planned(2, start_at=NOW + timedelta(seconds=2.5))], LIMITS, "promise 7: .* too close together"),
        ([planned(1, window=CLOSED)], LIMITS, "promise 8: .* outside the hours of its place"),
    ],
)
def test_a_claim_that_breaks_a_promise_is_refused(calls: list[PlannedCall], limits: LimitFacts, message: str) -> None:
    with pytest.raises(InvariantBroken, match=message):
        check_claim(calls, limits, TIMEOUT, read_call_body)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (planned(1), "promise 1: a request for call .* is outstanding"),
        (planned(2, body=body_of(3, "+12125550002")), "promise 1: the request of call .* has the key"),
        (
            planned(2, phone="+12125550001", body=body_of(2, "+12125550001")),
            "promise 3: a request to the phone of call .* is outstanding",
        ),
        (planned(2, campaign_status=CampaignStatus.CANCELLED), "promise 4: .* campaign that is cancelled"),
        (planned(2, deadline=NOW + timedelta(seconds=23)), "promise 4: .* outlive its deadline"),
        (planned(2, start_at=NOW + timedelta(seconds=5)), "promise 7: .* leaves before its start time"),
        (planned(2, window=CLOSED), "promise 8: .* leaves outside the hours of its place"),
    ],
)
def test_a_request_that_breaks_a_promise_does_not_leave(call: PlannedCall, message: str) -> None:
    outstanding = OutstandingRequests(read_call_body)
    outstanding.begin(planned(1), NOW + timedelta(seconds=4), TIMEOUT)

    with pytest.raises(InvariantBroken, match=message):
        outstanding.begin(call, NOW + timedelta(seconds=4), TIMEOUT)


def test_a_call_may_be_sent_again_once_its_request_has_ended() -> None:
    outstanding = OutstandingRequests(read_call_body)
    for _ in range(2):
        outstanding.begin(planned(1), NOW + timedelta(seconds=2), TIMEOUT)
        outstanding.end(planned(1))
