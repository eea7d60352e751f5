"""Prometheus metrics."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from outdial.host.gateway.metrics import HostMetrics
from outdial.host.pool.pool import PoolStats
from tests.support.function_log import WORKER, invocation, line

POOL = PoolStats(workers=5, idle=1, busy=3, under_way=40, waiting=7, started=9, killed=2)


def samples(metrics: HostMetrics) -> dict[str, float]:
    """All samples by name and labels, read with Prometheus' own parser."""
    page, kind = metrics.render()
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_counts_invocations_by_function_status_and_code() -> None:
    metrics = HostMetrics()
    for status in (200, 201, 404):
        metrics.invocation(invocation(status=status))
    for _ in range(2):
        metrics.invocation(invocation(status=429, code="RATE_LIMIT_EXCEEDED", execution_id=""))
    metrics.invocation(invocation("", status=404, code="NOT_FOUND", execution_id=""))

    found = samples(metrics)
    name = "outdial_function_invocations_total"
    assert {key: value for key, value in found.items() if key.startswith(name)} == {
        f"{name}{{code=,function=hello,status=2xx}}": 2,
        f"{name}{{code=,function=hello,status=4xx}}": 1,
        f"{name}{{code=RATE_LIMIT_EXCEEDED,function=hello,status=4xx}}": 2,
        f"{name}{{code=NOT_FOUND,function=,status=4xx}}": 1,
    }


def test_durations_cover_only_requests_that_reached_a_worker() -> None:
    metrics = HostMetrics()
    for ms in (1.0, 1.5, 400_000.0):
        metrics.invocation(invocation(ms=ms, cpu_us=500_000, cold=ms > 2))
    metrics.invocation(invocation(ms=0.1, execution_id="", status=503))

    found = samples(metrics)
    bucket = "outdial_function_duration_seconds_bucket{{function=hello,le={}}}"
    assert [found[bucket.format(le)] for le in ("0.001", "0.0025", "300.0", "+Inf")] == [1, 2, 2, 3]
    assert found["outdial_function_duration_seconds_sum{function=hello}"] == pytest.approx(400.0025)
    assert found["outdial_function_duration_seconds_count{function=hello}"] == 3
    assert found["outdial_function_cpu_seconds_total{function=hello}"] == 1.5
    assert found["outdial_function_cold_starts_total{function=hello}"] == 1
    assert found["outdial_function_request_bytes_total{function=hello}"] == 480
    assert found["outdial_function_response_bytes_total{function=hello}"] == 160


def test_counts_worker_starts_lines_and_dropped_entries() -> None:
    metrics = HostMetrics(dropped=lambda: {("hello", "lines"): 3})
    metrics.event("hello", 3, WORKER, "boot", {"boot_ms": 31.0})
    metrics.event("hello", 3, WORKER, "boot_failed", {"reason": "ImportError"})
    metrics.event("hello", 3, WORKER, "shutdown", {"reason": "idle"})
    metrics.lines("hello", 3, WORKER, [line(), line(), line(level="error")], 0)

    found = samples(metrics)
    assert found["outdial_function_boot_seconds_count{function=hello}"] == 1
    assert found["outdial_function_boot_seconds_bucket{function=hello,le=0.03}"] == 0
    assert found["outdial_function_boot_seconds_bucket{function=hello,le=0.05}"] == 1
    assert found["outdial_function_boot_failures_total{function=hello}"] == 1
    assert found["outdial_log_lines_total{function=hello,level=info}"] == 2
    assert found["outdial_log_lines_total{function=hello,level=error}"] == 1
    assert found["outdial_log_dropped_total{function=hello,what=lines}"] == 3


def test_reads_pool_stats_on_scrape() -> None:
    pools = {"hello": POOL}
    metrics = HostMetrics(lambda: pools)

    found = samples(metrics)
    workers = {
        state: found[f"outdial_function_workers{{function=hello,state={state}}}"] for state in ("idle", "busy", "other")
    }
    assert workers == {"idle": 1, "busy": 3, "other": 1}
    assert found["outdial_function_requests{function=hello,state=waiting}"] == 7
    assert found["outdial_function_requests{function=hello,state=under_way}"] == 40
    assert found["outdial_function_workers_started_total{function=hello}"] == 9
    assert found["outdial_function_workers_killed_total{function=hello}"] == 2
    pools.clear()
    assert not any("hello" in name for name in samples(metrics))


async def test_keeps_measuring_event_loop_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = asyncio.Event()

    class Noticed(HostMetrics):
        def _measure_lag(self, due: float) -> None:
            super()._measure_lag(due)
            if samples(self)["outdial_event_loop_lag_seconds_count{}"] == 3:
                self.stop()
                measured.set()

    monkeypatch.setattr("outdial.host.gateway.metrics._LAG_INTERVAL_S", 0.001)
    metrics = Noticed()
    metrics.start()
    async with asyncio.timeout(30):
        await measured.wait()

    assert samples(metrics)["outdial_event_loop_lag_seconds_sum{}"] < 10


def test_exposes_process_metrics() -> None:
    found = samples(HostMetrics())
    assert found["process_resident_memory_bytes{}"] > 1 << 20
    assert found["process_open_fds{}"] > 2


def test_two_hosts_in_one_process_have_separate_metrics() -> None:
    one, other = HostMetrics(), HostMetrics()
    one.invocation(invocation())

    assert "outdial_function_invocations_total{code=,function=hello,status=2xx}" in samples(one)
    assert "outdial_function_invocations_total{code=,function=hello,status=2xx}" not in samples(other)
