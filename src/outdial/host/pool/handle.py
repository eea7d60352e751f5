"""One worker as the gateway sees it: sends invocations, receives responses, enforces limits."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from outdial.host.log.sink import EventKind, LogSink
from outdial.host.pool.process import OnExit, OnFrame, ProcessExit
from outdial.host.pool.spawning import WorkerSpec
from outdial.host.pool.stats import ProcessMonitor, ProcessUsage
from outdial.host.wire.errors import BadFrame, HostError
from outdial.host.wire.frames import (
    BootFailedFrame,
    InvokeFrame,
    LimitFrame,
    LogFrame,
    ReadyFrame,
    Resource,
    ResponseFrame,
    RetireFrame,
    ToGateway,
    encode,
)
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import (
    InvocationCompleted,
    InvocationOutcome,
    InvocationTimedOut,
    LimitExceeded,
    WorkerCrashed,
)

WorkerState = Literal["booting", "ready", "retiring", "killed", "ended"]

# How often an idle worker is checked.
_CHECK_IDLE_S = 1.0
# Memory near the limit for this long is a leak, not a peak.
_HEAVY_FOR_S = 10.0
_HEAVY_WHEN_IDLE_S = 1.0
_UNITS: Mapping[Resource, str] = {"cpu": "ms of CPU time", "memory": "MiB of memory", "threads": "threads"}


class ProcessControl(ProcessUsage, Protocol):
    """The process of a worker."""

    @property
    def pid(self) -> int:
        """The process id."""
        ...

    def send(self, frame: bytes) -> None:
        """Send a frame soon. No-op when the process has ended."""
        ...

    def kill(self) -> None:
        """Kill the process. No-op when it has ended."""
        ...


class WorkerSpawner(Protocol):
    """Starts worker processes."""

    async def spawn(self, spec: WorkerSpec, on_frame: OnFrame, on_exit: OnExit) -> ProcessControl:
        """Start a worker. Raise HostError or OSError. The callbacks may be called before this returns."""
        ...


class WorkerOwner(Protocol):
    """The owner of a worker, such as its pool."""

    def on_capacity(self) -> None:
        """A worker can take one more request. Called after every response, so it must be fast."""
        ...

    def on_state_change(self, worker: "WorkerHandle") -> None:
        """The state of `worker` has changed."""
        ...


@dataclass(slots=True)
class _PendingInvocation:
    future: asyncio.Future[InvocationOutcome]
    deadline: float
    cold: bool


class WorkerHandle:
    """Starts one worker and communicates with it. Its states only advance: booting, ready, retiring, killed, ended.

    `pending` holds requests in flight by number, ordered by deadline. `served` counts responses. `spinning` means that
    a new request would only wait. `active_at` is when the worker last had requests. `failure` is why it did not start.
    `crashed` means that it ended on its own. `reason` is why it ends or has ended.
    """

    def __init__(
        self, spec: WorkerSpec, *, spawner: WorkerSpawner, sink: LogSink, owner: WorkerOwner, clock: Callable[[], float]
    ) -> None:
        loop, now = asyncio.get_running_loop(), clock()
        self.execution_id = spec.execution_id
        self.state: WorkerState = "booting"
        self.pending: dict[int, _PendingInvocation] = {}
        self.served = 0
        self.failure = ""
        self.reason = ""
        self.crashed = False
        self.spinning = False
        self.ready_at = now
        self.active_at = now
        self.booted: asyncio.Future[None] = loop.create_future()
        self._spec = spec
        self._config = spec.config
        self._spawner = spawner
        self._sink = sink
        self._owner = owner
        self._clock = clock
        self._create_future = loop.create_future
        self._process: ProcessControl | None = None
        self._monitor: ProcessMonitor | None = None
        self._last_number = 0
        # Requests that timed out: the worker may still respond to them.
        self._expired: set[int] = set()
        self._finished = 0
        self._heartbeats = 0
        self._served_before = 0
        self._started_at = now
        self._checked_at = now
        self._light_at = now
        self._wall_clock_s = spec.config.wall_clock_s
        self._kill_at = float("inf")
        self._ready_frame: ReadyFrame | None = None
        self._has_timed_out = False

    async def boot(self) -> None:
        """Start the process. `booted` is done when it is ready or has failed with `failure`. Never raises."""
        try:
            process = await self._spawner.spawn(self._spec, self._on_frame, self._on_exit)
        except (HostError, OSError) as error:
            if self.state == "booting":
                self._fail_boot(str(error))
            return
        if self.state != "booting":
            process.kill()
            return
        self._process = process
        self._monitor = ProcessMonitor(process, self._config)
        if self._ready_frame is not None:
            self._on_ready(process, self._ready_frame)

    def invoke(
        self, invocation: Invocation, future: asyncio.Future[InvocationOutcome] | None = None, *, cold: bool = False
    ) -> asyncio.Future[InvocationOutcome]:
        """Send a request to a ready worker. Return the future of its outcome, `future` if given."""
        assert self._process is not None
        self._last_number = number = self._last_number + 1
        frame = encode(InvokeFrame(number, invocation))
        if future is None:
            future = self._create_future()
        self.pending[number] = _PendingInvocation(future, self._clock() + self._wall_clock_s, cold)
        self._process.send(frame)
        return future

    def retire(self, reason: str, grace_s: float | None = None) -> None:
        """Send no more requests. The worker exits after its requests and background tasks, or is killed.

        `grace_s` defaults to the wall clock limit. A booting worker is killed at once.
        """
        if self.state == "booting":
            self.kill(reason)
        elif self.state == "ready":
            assert self._process is not None
            self.reason = reason
            self._kill_at = self._clock() + (self._config.wall_clock_s if grace_s is None else grace_s)
            self._process.send(encode(RetireFrame()))
            self._set_state("retiring")

    def kill(self, reason: str) -> None:
        """Kill the worker. Its requests in flight have crashed."""
        if self.state not in ("killed", "ended"):
            self._kill(reason, WorkerCrashed(reason, self.execution_id))

    def tick(self, now: float) -> None:
        """Enforce deadlines and limits; `now` is the clock's time."""
        if self.state in ("killed", "ended"):
            return
        if self.pending or self.served != self._served_before:
            self._served_before = self.served
            self.active_at = now
        self._time_out_requests(now)
        if self.state == "booting" and now - self._started_at > self._config.boot_timeout_s:
            self._fail_boot(f"it was not ready within {self._config.boot_timeout_s:g} s")
        elif self._has_timed_out and not self.pending:
            self.kill(self.reason)
        elif now >= self._kill_at:
            self.kill(f"{self.reason}, and it did not finish in time")
        elif self.pending or now - self._checked_at >= _CHECK_IDLE_S:
            self._check_limits(now)

    def replacement_reason(self, now: float) -> str:
        """Return why the worker should be replaced, or an empty string."""
        if self.served >= self._config.max_requests:
            return f"it has served {self.served} requests"
        heavy_for = _HEAVY_WHEN_IDLE_S if now - self.active_at >= _HEAVY_WHEN_IDLE_S else _HEAVY_FOR_S
        if self._monitor is not None and now - self._light_at >= heavy_for and self._monitor.is_heavy:
            return f"its memory has grown to {self._monitor.memory_mb:.0f} MiB of {self._config.memory_mb} MiB"
        return ""

    def _check_limits(self, now: float) -> None:
        if self._monitor is None:
            return
        self._checked_at = now
        breach = self._monitor.check_memory_and_threads()
        if not self._monitor.is_heavy:
            self._light_at = now
        if breach is None and self.state != "booting":
            breach = self._monitor.check_cpu(
                now, finished=self._finished, heartbeats=self._heartbeats, in_flight=len(self.pending)
            )
            self.spinning = self._monitor.spinning
        if breach is None:
            return
        reason = f"it used {breach.used} {_UNITS[breach.resource]}, and the limit is {breach.limit}"
        if self.state == "booting":
            self._fail_boot(reason)
            return
        outcome = LimitExceeded(
            resource=breach.resource, limit=breach.limit, used=breach.used, execution_id=self.execution_id
        )
        self._kill(reason, outcome)

    def _time_out_requests(self, now: float) -> None:
        expired = []
        for number, pending in self.pending.items():
            if pending.deadline > now:
                break
            expired.append(number)
        for number in expired:
            _set_outcome(
                self.pending.pop(number).future, InvocationTimedOut(self._config.wall_clock_s, self.execution_id)
            )
        if expired:
            self._expired.update(expired)
            # A hanging request can only be ended with its worker, which therefore ends after its other requests.
            self._has_timed_out = True
            self.retire(f"a request got no response within {self._config.wall_clock_s:g} s")

    def _kill(self, reason: str, outcome: InvocationOutcome) -> None:
        self.reason = reason
        if self._process is not None:
            self._process.kill()
        self._set_all_outcomes(outcome)
        self._set_state("ended" if self._process is None else "killed")

    def _fail_boot(self, reason: str, traceback: str = "") -> None:
        self.failure = traceback or reason
        self._log_event("boot_failed", reason=reason, traceback=traceback)
        self._kill(reason, WorkerCrashed(reason, self.execution_id))

    def _set_all_outcomes(self, outcome: InvocationOutcome) -> None:
        all_pending, self.pending = self.pending, {}
        for pending in all_pending.values():
            _set_outcome(pending.future, outcome)

    def _on_frame(self, frame: ToGateway) -> None:
        # By frequency.
        if type(frame) is ResponseFrame:
            self._on_response(frame)
        elif type(frame) is LogFrame:
            if frame.lines or frame.dropped:
                # Lines are no heartbeat: a function that prints in an endless loop sends them too.
                self._sink.lines(
                    self._spec.slug,
                    self._spec.bundle.version,
                    self.execution_id,
                    lines=frame.lines,
                    dropped=frame.dropped,
                )
            else:
                self._heartbeats += 1
        elif type(frame) is LimitFrame:
            self._on_limit(frame)
        elif self.state == "booting" and self._ready_frame is None:
            if isinstance(frame, BootFailedFrame):
                self._fail_boot(frame.message, frame.traceback)
            elif isinstance(frame, ReadyFrame):
                self._ready_frame = frame
                if self._process is not None:
                    self._on_ready(self._process, frame)
        else:
            self._reject("it reports its start, which is over")

    def _on_response(self, frame: ResponseFrame) -> None:
        pending = self.pending.pop(frame.number, None)
        if pending is None:
            self._on_late_outcome(frame.number)
            return
        self._finished += 1
        self.served += 1
        if not pending.future.done():
            outcome = InvocationCompleted(
                status=frame.status,
                headers=frame.headers,
                body=frame.body,
                cpu_us=frame.cpu_us,
                execution_id=self.execution_id,
                cold=pending.cold,
            )
            pending.future.set_result(outcome)
        self._owner.on_capacity()

    def _on_limit(self, frame: LimitFrame) -> None:
        pending = self.pending.pop(frame.number, None)
        if pending is None:
            self._on_late_outcome(frame.number)
            return
        self._finished += 1
        self.served += 1
        outcome = LimitExceeded(
            resource=frame.resource, limit=frame.limit, used=frame.used, execution_id=self.execution_id
        )
        _set_outcome(pending.future, outcome)
        if frame.resource == "memory":
            self.retire(f"a request exceeded the memory limit of {frame.limit} MiB")
        self._owner.on_capacity()

    def _on_late_outcome(self, number: int) -> None:
        """Ignore the outcome of a request that timed out; reject any other."""
        if number in self._expired:
            self._expired.remove(number)
            self._finished += 1
        else:
            self._reject(f"it responds to request {number}, which is not in flight")

    def _reject(self, reason: str) -> None:
        # Frames of a worker that has been killed are already on the way.
        if self.state not in ("killed", "ended"):
            raise BadFrame(reason)

    def _on_ready(self, process: ProcessControl, ready: ReadyFrame) -> None:
        now = self._clock()
        self.ready_at = now
        self.active_at = now
        self._light_at = now
        self._log_event("boot", boot_ms=ready.boot_ms, pid=process.pid, missing=ready.missing)
        self._set_state("ready")

    def _on_exit(self, result: ProcessExit) -> None:
        if self.state == "ended":
            return
        how = f"the process exited with status {result.status}"
        if result.signal:
            how = f"the process was killed by {signal.Signals(result.signal).name}"
        if result.memory_mb:
            how = f"the kernel killed the process at {result.memory_mb} MiB of memory"
        if self.state == "booting":
            self._process = None
            self._fail_boot(f"it ended before it was ready: {how}")
            return
        self.crashed = self.state == "ready"
        if self.crashed or self.pending:
            self.reason = how if self.crashed else f"{how}, while it was retiring: {self.reason}"
        outcome: InvocationOutcome = WorkerCrashed(self.reason, self.execution_id)
        if result.memory_mb:
            limit = self._config.memory_mb
            outcome = LimitExceeded(
                resource="memory", limit=limit, used=result.memory_mb, execution_id=self.execution_id
            )
        self._set_all_outcomes(outcome)
        self._log_event("shutdown", reason=self.reason, ended=how, cpu_s=result.cpu_s, served=self.served)
        self._set_state("ended")

    def _log_event(self, kind: EventKind, **fields: object) -> None:
        spec = self._spec
        self._sink.event(spec.slug, spec.bundle.version, self.execution_id, kind=kind, fields=fields)

    def _set_state(self, state: WorkerState) -> None:
        self.state = state
        if not self.booted.done():
            self.booted.set_result(None)
        self._owner.on_state_change(self)


def _set_outcome(future: asyncio.Future[InvocationOutcome], outcome: InvocationOutcome) -> None:
    if not future.done():
        future.set_result(outcome)
