from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from outdial.host.pool.token_bucket import TokenBucket

rates = st.floats(0.1, 10_000)
bursts = st.floats(1, 1_000)
gaps = st.lists(st.floats(0, 3), min_size=1, max_size=200)


def test_a_burst_passes_at_once_and_the_next_request_gets_a_wait_time() -> None:
    bucket = TokenBucket(rate=10, burst=3)

    assert [bucket.take(100.0) for _ in range(3)] == [0, 0, 0]
    assert round(bucket.take(100.0), 6) == 0.1


def test_a_burst_of_less_than_one_lets_one_through() -> None:
    assert TokenBucket(rate=0.5, burst=0.5).take(0) == 0


@given(rates, bursts, gaps)
def test_no_interval_admits_more_than_rate_and_burst(rate: float, burst: float, gaps: list[float]) -> None:
    bucket, now, passed = TokenBucket(rate, burst), 1_000.0, []
    for gap in gaps:
        now += gap
        if bucket.take(now) == 0:
            passed.append(now)

    for first in range(len(passed)):
        for last in range(first, len(passed)):
            most = burst + rate * (passed[last] - passed[first] + 1e-4)
            assert last - first + 1 <= most + 1e-6


@given(rates, bursts, gaps)
def test_a_caller_that_waits_as_told_passes_and_an_earlier_one_does_not(
    rate: float, burst: float, gaps: list[float]
) -> None:
    bucket, now = TokenBucket(rate, burst), 1_000.0
    for gap in gaps:
        now += gap
        wait = bucket.take(now)
        if wait > 1e-3:
            assert bucket.take(now + wait / 2) > 0
        if wait:
            now += wait
            assert bucket.take(now) == 0


@given(rates, bursts)
def test_the_long_run_is_the_rate(rate: float, burst: float) -> None:
    bucket, now, passed = TokenBucket(rate, burst), 0.0, [0.0]
    for _ in range(int(burst) + 50):
        while wait := bucket.take(now):
            now += wait
        passed.append(now)

    steady = [later - earlier for earlier, later in pairwise(passed)][-20:]
    assert all(abs(step - 1 / rate) < 1e-4 for step in steady)
