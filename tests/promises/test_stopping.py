"""The check of a stop: the provider's record of requests decides, and a stop that never reads stopped is a breach."""

import pytest

from outdial.promises.checks import LedgerRequest
from outdial.promises.stopping import ObservedStop, check_stops


def request(arrived_ms: int) -> LedgerRequest:
    return LedgerRequest(
        arrived_ms=arrived_ms,
        result="accepted",
        reason=None,
        answered=True,
        call_id="call_1",
        to_number="+12125550123",
        idempotency_key="1",
        metadata_call_id="1",
    )


@pytest.mark.parametrize(
    ("stop", "breach"),
    [
        (ObservedStop(1000, 2000), "2 requests arrived while all calls read stopped, the first after 500 ms"),
        (ObservedStop(1501, 1998), None),
        (ObservedStop(2000, 3000), None),
        (ObservedStop(None, 3000), "after 45 s, the calls did not read stopped"),
    ],
)
def test_a_request_that_arrives_while_calls_read_stopped_breaks_the_promise(
    stop: ObservedStop, breach: str | None
) -> None:
    check = check_stops([stop], [request(900), request(1500), request(1999), request(3000)])

    assert (check.promise, list(check.breaches)) == (15, [] if breach is None else [breach])
