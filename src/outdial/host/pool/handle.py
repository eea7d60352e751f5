"""One worker as the gateway sees it: requests go in by number, answers come out, and limits are watched."""

import asyncio
import signal
from collections.abc import Callable
from typing import Literal, Protocol

from outdial.host.log.sink import EventKind, LogSink
from outdial.host.pool.spawning import ProcessExit, WorkerSpec
from outdial.host.pool.stats import LimitBreach, ProcessMonitor, ProcessUsage
from outdial.host.wire.errors import HostError
from outdial.host.wire.frames import (
    BootFailedFrame,
    InvokeFrame,
    LimitFrame,
    LogFrame,
    ReadyFrame,
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

# Between requests a worker is looked at this often.
_LOOK_IDLE_S = 1.0
# Memory that stays near the limit for this long, requests or not, is growth and no peak.
_HEAVY_FOR_S = 10.0
_HEAVY_WHEN_IDLE_S = 1.0


class ProcessControl(ProcessUsage, Protocol):
    """The process of a worker."""

    @property
    def pid(self) -> int:
        """The system's number of the process."""
        ...

    def send(self, frame: bytes) -> None:
        """Write a frame soon; nothing happens when the process has ended."""
        ...

    def kill(self) -> None:
        """End the process at once; nothing happens when it has ended."""
        ...


class WorkerSpawner(Protocol):
    """Starts processes of workers."""

    async def spawn(
        self, order: WorkerSpec, on_frame: Callable[[ToGateway], None], on_end: Callable[[ProcessExit], None]
    ) -> ProcessControl:
        """Start a worker; raise HostError or OSError. The callbacks may be called before this returns."""
        ...


class WorkerOwner(Protocol):
    """Whom a worker belongs to."""

    def freed(self) -> None:
        """A worker has room for one more request; called for each answer, so it must be quick."""
        ...

    def changed(self, worker: "WorkerHandle") -> None:
        """The state of `worker` is another."""
        ...


_Pending = tuple[asyncio.Future[InvocationOutcome], float, bool]


class WorkerHandle:
    """Starts one worker and talks to it. Its states only go forward: booting, ready, retiring, killed, ended.

    `pending` are the requests under way by number, in the order of their deadlines; `served` counts the answers;
    `stuck` tells that it spins, so that a new request would only wait; `active_at` is when it last had requests;
    `failure` tells why it did not start, `crashed` that it ended unbidden, and `reason` why it was to end or has ended.
    """

    def __init__(
        self, order: WorkerSpec, spawner: WorkerSpawner, sink: LogSink, owner: WorkerOwner, clock: Callable[[], float]
    ) -> None:
        self.execution_id = order.execution_id
        self.state: WorkerState = "booting"
        self.pending: dict[int, _Pending] = {}
        self.served = 0
        self.failure = ""
        self.crashed = self.stuck = False
        self.ready_at = self.active_at = self._started_at = clock()
        self.booted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order, self._config = order, order.config
        self._spawner, self._sink, self._owner, self._clock = spawner, sink, owner, clock
        self._create_future = asyncio.get_running_loop().create_future
        self._process: ProcessControl | None = None
        self._vitals: ProcessMonitor | None = None
        self._number = self._signs = self._served_before = 0
        self._looked_at = self._light_at = self._started_at
        self._wall_clock_s = order.config.wall_clock_s
        self._kill_at = float("inf")
        self._ready_frame: ReadyFrame | None = None
        self.reason = ""
        self._abandoned = False

    @property
    def busy(self) -> int:
        """The number of requests under way."""
        return len(self.pending)

    async def boot(self) -> None:
        """Start the process; `booted` is done when it is ready or has failed, which `failure` tells. Never raises."""
        try:
            process = await self._spawner.spawn(self._order, self._on_frame, self._on_end)
        except (HostError, OSError) as error:
            if self.state == "booting":
                self._fail_boot(str(error))
            return
        if self.state != "booting":
            process.kill()
            return
        self._process, self._vitals = process, ProcessMonitor(process, self._config)
        if self._ready_frame is not None:
            self._become_ready(process, self._ready_frame)

    def invoke(
        self, request: Invocation, future: asyncio.Future[InvocationOutcome] | None = None, *, cold: bool = False
    ) -> asyncio.Future[InvocationOutcome]:
        """Send a request and return where its outcome will be, `future` when given. Only for a worker that is ready."""
        assert self._process is not None
        self._number = number = self._number + 1
        frame = encode(InvokeFrame(number, request))
        if future is None:
            future = self._create_future()
        self.pending[number] = (future, self._clock() + self._wall_clock_s, cold)
        self._process.send(frame)
        return future

    def retire(self, reason: str, grace_s: float | None = None) -> None:
        """Send no more requests; it ends when all are answered and its background work is done, or is killed.

        `grace_s` defaults to the wall clock. A worker that is not ready yet is killed at once.
        """
        if self.state == "booting":
            self.stop(reason)
        elif self.state == "ready":
            assert self._process is not None
            self.reason = reason
            self._kill_at = self._clock() + (self._config.wall_clock_s if grace_s is None else grace_s)
            self._process.send(encode(RetireFrame()))
            self._enter("retiring")

    def stop(self, reason: str) -> None:
        """Kill it; what is under way has crashed."""
        if self.state not in ("killed", "ended"):
            self._kill(reason, WorkerCrashed(reason, self.execution_id))

    def tick(self, now: float) -> None:
        """Look after deadlines and limits; `now` is of the clock."""
        if self.state in ("killed", "ended"):
            return
        if self.pending or self.served != self._served_before:
            self._served_before, self.active_at = self.served, now
        self._expire(now)
        if self.state == "booting" and now - self._started_at > self._config.boot_timeout_s:
            self._fail_boot(f"it was not ready within {self._config.boot_timeout_s:g} s")
        elif self._abandoned and not self.pending:
            self.stop(self.reason)
        elif now >= self._kill_at:
            self.stop(f"{self.reason}, and it was not done in time")
        elif self.pending or now - self._looked_at >= _LOOK_IDLE_S:
            self._look(now)

    def worn(self, now: float) -> str:
        """Return why it should be replaced, or an empty text."""
        if self.served >= self._config.max_requests:
            return f"it has answered {self.served} requests"
        heavy_for = _HEAVY_WHEN_IDLE_S if now - self.active_at >= _HEAVY_WHEN_IDLE_S else _HEAVY_FOR_S
        if self._vitals is not None and now - self._light_at >= heavy_for and self._vitals.heavy:
            return f"its memory has grown to {self._vitals.memory_mb:.0f} MiB of {self._config.memory_mb} MiB"
        return ""

    def _look(self, now: float) -> None:
        if self._vitals is None:
            return
        self._looked_at = now
        excess = self._vitals.memory()
        if not self._vitals.heavy:
            self._light_at = now
        if excess is None and self.state != "booting":
            excess = self._vitals.cpu(now, self._signs, busy=bool(self.pending))
            self.stuck = self._vitals.stuck
        if excess is not None:
            self._over_limit(excess)

    def _over_limit(self, excess: LimitBreach) -> None:
        unit = "ms of CPU time" if excess.resource == "cpu" else "MiB of memory"
        reason = f"it used {excess.used} {unit}, and the limit is {excess.limit}"
        if self.state == "booting":
            self._fail_boot(reason)
        else:
            self._kill(reason, LimitExceeded(excess.resource, excess.limit, excess.used, self.execution_id))

    def _expire(self, now: float) -> None:
        expired = []
        for number, (_, deadline, _) in self.pending.items():
            if deadline > now:
                break
            expired.append(number)
        for number in expired:
            _settle(self.pending.pop(number)[0], InvocationTimedOut(self._config.wall_clock_s, self.execution_id))
        if expired:
            # What hangs cannot be ended from here without the rest, so the worker takes no more and ends after it.
            self._abandoned = True
            self.retire(f"a request was not answered within {self._config.wall_clock_s:g} s")

    def _kill(self, reason: str, outcome: InvocationOutcome) -> None:
        self.reason = reason
        if self._process is not None:
            self._process.kill()
        self._settle_all(outcome)
        self._enter("ended" if self._process is None else "killed")

    def _fail_boot(self, reason: str, traceback: str = "") -> None:
        self.failure = traceback or reason
        self._tell("boot_failed", reason=reason, traceback=traceback)
        self._kill(reason, WorkerCrashed(reason, self.execution_id))

    def _settle_all(self, outcome: InvocationOutcome) -> None:
        pending, self.pending = self.pending, {}
        for future, _, _ in pending.values():
            _settle(future, outcome)

    def _on_frame(self, frame: ToGateway) -> None:
        if type(frame) is ResponseFrame:
            self._on_reply(frame)
        elif type(frame) is LogFrame:
            self._on_lines(frame)
        elif type(frame) is LimitFrame:
            self._on_exceeded(frame)
        elif self.state == "booting":
            self._on_boot(frame)

    def _on_lines(self, frame: LogFrame) -> None:
        if frame.lines or frame.dropped:
            # No sign of life: a function that prints in an endless loop has them sent from within it.
            order = self._order
            self._sink.lines(order.slug, order.bundle.version, self.execution_id, frame.lines, frame.dropped)
        else:
            self._signs += 1

    def _on_reply(self, frame: ResponseFrame) -> None:
        self._signs += 1
        pending = self.pending.pop(frame.number, None)
        if pending is None:  # timed out
            return
        future, _, cold = pending
        self.served += 1
        if not future.done():
            execution_id = self.execution_id
            future.set_result(
                InvocationCompleted(frame.status, frame.headers, frame.body, frame.cpu_us, execution_id, cold)
            )
        self._owner.freed()

    def _on_exceeded(self, frame: LimitFrame) -> None:
        self._signs += 1
        pending = self.pending.pop(frame.number, None)
        if pending is not None:
            self.served += 1
            _settle(pending[0], LimitExceeded(frame.resource, frame.limit, frame.used, self.execution_id))
            if frame.resource == "memory":
                self.retire(f"a request met the memory limit of {frame.limit} MiB")
            self._owner.freed()

    def _on_boot(self, frame: ToGateway) -> None:
        if isinstance(frame, BootFailedFrame):
            self._fail_boot(frame.message, frame.traceback)
        elif isinstance(frame, ReadyFrame):
            self._ready_frame = frame
            if self._process is not None:
                self._become_ready(self._process, frame)

    def _become_ready(self, process: ProcessControl, ready: ReadyFrame) -> None:
        self.ready_at = self.active_at = self._light_at = self._clock()
        self._tell("boot", boot_ms=ready.boot_ms, pid=process.pid, missing=ready.missing)
        self._enter("ready")

    def _on_end(self, ended: ProcessExit) -> None:
        if self.state == "ended":
            return
        how = _describe(ended)
        if self.state == "booting":
            self._process = None
            self._fail_boot(f"it ended before it was ready: {how}")
            return
        self.crashed = self.state == "ready"
        if self.crashed or self.pending:
            self.reason = how if self.crashed else f"{how}, while it was to end since {self.reason}"
        self._settle_all(WorkerCrashed(self.reason, self.execution_id))
        self._tell("shutdown", reason=self.reason, ended=how, cpu_s=ended.cpu_s, served=self.served)
        self._enter("ended")

    def _tell(self, kind: EventKind, **fields: object) -> None:
        self._sink.event(self._order.slug, self._order.bundle.version, self.execution_id, kind, fields)

    def _enter(self, state: WorkerState) -> None:
        self.state = state
        if not self.booted.done():
            self.booted.set_result(None)
        self._owner.changed(self)


def _settle(future: asyncio.Future[InvocationOutcome], outcome: InvocationOutcome) -> None:
    if not future.done():
        future.set_result(outcome)


def _describe(ended: ProcessExit) -> str:
    if not ended.signal:
        return f"the process ended with status {ended.status}"
    name = signal.Signals(ended.signal).name
    return f"the process was ended by {name}"
