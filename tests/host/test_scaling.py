import pytest

from outdial.host.pool.scaling import BootBackoff, PoolLoad, SaturationDetector, is_at_capacity, workers_to_start
from outdial.host.wire.config import FunctionConfig

CONFIG = FunctionConfig(max_workers=4, concurrency=10, queue=5)


@pytest.mark.parametrize(
    ("load", "minimum", "started"),
    [
        (PoolLoad(ready=0, booting=0, in_flight=0, queued=0), 0, 0),
        (PoolLoad(ready=0, booting=0, in_flight=0, queued=0), 2, 2),
        (PoolLoad(ready=0, booting=0, in_flight=0, queued=1), 0, 1),
        (PoolLoad(ready=0, booting=1, in_flight=0, queued=10), 0, 0),
        (PoolLoad(ready=0, booting=1, in_flight=0, queued=11), 0, 1),
        (PoolLoad(ready=1, booting=0, in_flight=10, queued=25), 0, 3),
        (PoolLoad(ready=4, booting=0, in_flight=40, queued=5), 0, 0),
        (PoolLoad(ready=5, booting=0, in_flight=40, queued=5), 0, 0),
    ],
)
def test_the_queue_determines_how_many_workers_start(load: PoolLoad, minimum: int, started: int) -> None:
    assert workers_to_start(CONFIG, load, minimum) == started


def test_requests_may_wait_for_workers_that_are_not_started_yet_beyond_the_queue() -> None:
    assert not is_at_capacity(CONFIG, PoolLoad(ready=0, booting=4, in_flight=0, queued=44))
    assert is_at_capacity(CONFIG, PoolLoad(ready=4, booting=0, in_flight=40, queued=5))


def test_saturation_must_be_sustained() -> None:
    saturation, busy, calm = (
        SaturationDetector(CONFIG),
        PoolLoad(ready=2, booting=0, in_flight=16, queued=0),
        PoolLoad(ready=2, booting=0, in_flight=14, queued=0),
    )

    assert not saturation.is_sustained(busy, 10.0)
    assert not saturation.is_sustained(calm, 10.9)
    assert not saturation.is_sustained(busy, 11.5)
    assert not saturation.is_sustained(busy, 12.4)
    assert saturation.is_sustained(busy, 12.5)
    assert not saturation.is_sustained(busy, 12.6)


def test_the_pause_after_a_failed_boot_doubles_up_to_half_a_minute() -> None:
    backoff, now, pauses = BootBackoff(), 0.0, []
    for _ in range(7):
        backoff.on_boot_failed("broken", now)
        began = now
        while backoff.is_paused(now):
            now += 0.5
        pauses.append(now - began)

    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert backoff.reason == "broken"


def test_the_third_crash_before_any_response_starts_a_pause() -> None:
    backoff = BootBackoff()

    backoff.on_crash("gone", 0.0)
    backoff.on_crash("gone", 1.0)
    assert not backoff.is_paused(1.0)
    backoff.on_crash("gone", 2.0)
    assert backoff.is_paused(2.9)
    assert not backoff.is_paused(3.0)


def test_a_response_of_a_newer_worker_resets_the_doubling() -> None:
    backoff = BootBackoff()
    for moment in (0.0, 10.0, 20.0):
        backoff.on_boot_failed("broken", moment)

    backoff.on_response(ready_at=5.0)
    backoff.on_boot_failed("broken", 30.0)
    assert backoff.is_paused(37.9)

    backoff.on_response(ready_at=40.0)
    backoff.on_boot_failed("broken", 50.0)
    assert not backoff.is_paused(51.0)
