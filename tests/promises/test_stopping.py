"""The check of a stop: the provider's record of requests decides, and a stop that never reads stopped is a breach."""

import pytest

from outdial.promises.stopping import ObservedStop, check_stops
from tests.promises.test_checks import request


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
    requests = [request(number, arrived_ms=at) for number, at in enumerate((900, 1500, 1999, 3000))]
    check = check_stops([stop], requests)

    assert (check.promise, list(check.breaches)) == (15, [] if breach is None else [breach])
