"""Prometheus metrics of a host. Requests count in plain dicts, which is cheap; a scrape turns them into metrics."""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from time import perf_counter
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from outdial.host.log.sink import EventKind, InvocationRecord
from outdial.host.pool.pool import PoolStats
from outdial.host.wire.frames import LogLine

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# Upper bounds, in ms.
_DURATIONS: Final = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 100_000, 300_000)
_BOOTS: Final = (5, 10, 20, 30, 50, 75, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
_LAGS: Final = (1, 2.5, 5, 10, 25, 50, 100, 250, 1_000)
_LAG_INTERVAL_S: Final = 0.5


class _Histogram:
    """Counts of durations in ms, by upper bound."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, ms: float) -> None:
        self._counts[bisect_left(self._bounds, ms)] += 1
        self._total += ms

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        names = [*(str(bound / 1000) for bound in self._bounds), "+Inf"]
        family.add_metric(labels, list(zip(names, accumulate(self._counts), strict=True)), self._total / 1000)


class _Sums:
    """Totals of the invocations of one function."""

    __slots__ = ("cold", "cpu_us", "durations", "request_bytes", "response_bytes")

    def __init__(self) -> None:
        self.durations = _Histogram(_DURATIONS)
        self.cold = 0
        self.cpu_us = 0
        self.request_bytes = 0
        self.response_bytes = 0


_TOTALS: Final[Sequence[tuple[str, str, Callable[[_Sums], float]]]] = (
    ("cold_starts", "Requests that started a worker.", lambda sums: sums.cold),
    ("cpu_seconds", "CPU time that requests used.", lambda sums: sums.cpu_us / 1e6),
    ("request_bytes", "Bytes of request bodies.", lambda sums: sums.request_bytes),
    ("response_bytes", "Bytes of response bodies.", lambda sums: sums.response_bytes),
)


class HostMetrics:
    """A sink that counts. `pools` returns the stats of each function's pool, `dropped` the losses of the log.

    The label `function` is empty for requests whose path names no function. Durations cover only requests that reached
    a worker. For other responses, the label `code` of the invocations has the reason, such as RATE_LIMIT_EXCEEDED.
    """

    def __init__(
        self,
        pools: Callable[[], Mapping[str, PoolStats]] = dict,
        dropped: Callable[[], Mapping[tuple[str, str], int]] = dict,
    ) -> None:
        self._pools = pools
        self._dropped = dropped
        self._responses: Counter[tuple[str, int, str]] = Counter()
        self._sums: dict[str, _Sums] = {}
        self._lines: Counter[tuple[str, str]] = Counter()
        self._boots: dict[str, _Histogram] = {}
        self._failed_boots: Counter[str] = Counter()
        self._lag = _Histogram(_LAGS)
        self._lag_timer: asyncio.TimerHandle | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def render(self) -> tuple[bytes, str]:
        """Return the metrics in Prometheus' text format, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE

    def start(self) -> None:
        """Start to measure the lag of the event loop."""
        self._lag_timer = asyncio.get_running_loop().call_later(
            _LAG_INTERVAL_S, self._measure_lag, perf_counter() + _LAG_INTERVAL_S
        )

    def stop(self) -> None:
        if self._lag_timer is not None:
            self._lag_timer.cancel()

    # LogSink.

    def invocation(self, record: InvocationRecord) -> None:
        slug = record.slug
        self._responses[slug, record.status, record.code] += 1
        sums = self._sums.get(slug)
        if sums is None:
            sums = self._sums[slug] = _Sums()
        sums.request_bytes += record.request_bytes
        sums.response_bytes += record.response_bytes
        if record.execution_id:
            sums.durations.add(record.ms)
            sums.cpu_us += record.cpu_us
            sums.cold += record.cold

    def lines(self, slug: str, version: int, execution_id: str, lines: Sequence[LogLine], dropped: int) -> None:
        for line in lines:
            self._lines[slug, line.level] += 1

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Count starts of workers and failed starts."""
        if kind == "boot_failed":
            self._failed_boots[slug] += 1
        elif kind == "boot" and isinstance(ms := fields.get("boot_ms"), int | float):
            self._boots.setdefault(slug, _Histogram(_BOOTS)).add(ms)

    # prometheus_client.registry.Collector.

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families."""
        yield from self._invocations()
        yield from self._workers()
        yield _counter("outdial_log_lines", "Lines that functions logged.", ("function", "level"), self._lines.items())
        lost = self._dropped().items()
        yield _counter("outdial_log_dropped", "Log entries that were dropped.", ("function", "what"), lost)
        lag = HistogramMetricFamily("outdial_event_loop_lag_seconds", "Lag of the gateway's event loop.", labels=[])
        self._lag.add_to(lag, [])
        yield lag

    def _invocations(self) -> Iterator[Metric]:
        responses: Counter[tuple[str, str, str]] = Counter()
        for (slug, status, code), count in self._responses.items():
            responses[slug, f"{status // 100}xx", code] += count
        labels = ("function", "status", "code")
        yield _counter("outdial_function_invocations", "Requests, by status and error code.", labels, responses.items())
        durations = HistogramMetricFamily(
            "outdial_function_duration_seconds", "Time until a worker's response.", labels=["function"]
        )
        for slug, sums in self._sums.items():
            sums.durations.add_to(durations, [slug])
        yield durations
        for name, text, value in _TOTALS:
            rows = [((slug,), value(sums)) for slug, sums in self._sums.items()]
            yield _counter(f"outdial_function_{name}", text, ("function",), rows)

    def _workers(self) -> Iterator[Metric]:
        boots = HistogramMetricFamily("outdial_function_boot_seconds", "Time to start a worker.", labels=["function"])
        for slug, distribution in self._boots.items():
            distribution.add_to(boots, [slug])
        yield boots
        failed = [((slug,), count) for slug, count in self._failed_boots.items()]
        yield _counter("outdial_function_boot_failures", "Failed starts of workers.", ("function",), failed)
        pools = self._pools()
        labels = ["function", "state"]
        workers = GaugeMetricFamily("outdial_function_workers", "Workers by state.", labels=labels)
        requests = GaugeMetricFamily("outdial_function_requests", "Requests in progress and waiting.", labels=labels)
        for slug, stats in pools.items():
            for state, count in (("idle", stats.idle), ("busy", stats.busy)):
                workers.add_metric([slug, state], count)
            workers.add_metric([slug, "other"], stats.workers - stats.idle - stats.busy)
            requests.add_metric([slug, "under_way"], stats.under_way)
            requests.add_metric([slug, "waiting"], stats.waiting)
        yield workers
        yield requests
        started = [((slug,), stats.started) for slug, stats in pools.items()]
        yield _counter("outdial_function_workers_started", "Workers started by the pool.", ("function",), started)
        killed = [((slug,), stats.killed) for slug, stats in pools.items()]
        yield _counter("outdial_function_workers_killed", "Workers killed by the pool.", ("function",), killed)

    def _measure_lag(self, due: float) -> None:
        self._lag.add(max(0.0, (perf_counter() - due) * 1000))
        self.start()


def _counter(
    name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in rows:
        family.add_metric(values, count)
    return family
