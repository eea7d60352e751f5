"""The workers of one version of a function: routes requests to them and decides how many there are."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

from outdial.host.log.sink import LogSink
from outdial.host.pool.handle import WorkerHandle, WorkerSpawner
from outdial.host.pool.scaling import BootBackoff, PoolLoad, SaturationDetector, is_at_capacity, workers_to_start
from outdial.host.pool.spawning import WorkerSpec
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import EXECUTION_ID, FunctionConfig
from outdial.host.wire.errors import BootFailed
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import BootFailure, InvocationCompleted, InvocationOutcome, PoolOverloaded
from outdial.log import log
from outdial.process import wait_for_event

_TICK_S = 0.1
# A worker is replaced only after this long without requests, not in the gap between two of them.
_AT_REST_S = 1.0
# The kernel needs a while to end a process that has much memory to free.
_KILL_TIMEOUT_S = 5.0
_MAX_QUOTED_BODY = 1000
_OUT_OF_SERVICE = BootFailure("the function was taken out of service")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """Counts of a pool. `workers` counts processes: `idle` and `busy` ones are ready, others boot or retire.

    `under_way` and `waiting` count requests in flight and queued. `started` and `killed` count all workers so far.
    """

    workers: int
    idle: int
    busy: int
    under_way: int
    waiting: int
    started: int
    killed: int


@dataclass(slots=True)
class _QueuedInvocation:
    invocation: Invocation
    future: asyncio.Future[InvocationOutcome]
    since: float


class WorkerPool:
    """Runs invocations of one version of a function in its own workers.

    `env` is the environment of the workers (outdial.host.deployments.environment.worker_env). `clock` is monotonic, in
    seconds. No worker starts before `start`, `probe` or the first request.
    """

    def __init__(
        self,
        bundle: Bundle,
        config: FunctionConfig,
        env: Mapping[str, str],
        *,
        spawner: WorkerSpawner,
        sink: LogSink,
        uid: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bundle = bundle
        self.config = config
        self._env = env
        self._uid = uid
        self._spawner = spawner
        self._sink = sink
        self._clock = clock
        self._concurrency = config.concurrency
        self._ready: list[WorkerHandle] = []
        self._booting: set[WorkerHandle] = set()
        self._due_for_replacement: dict[WorkerHandle, str] = {}
        self._workers: set[WorkerHandle] = set()
        self._queue: deque[_QueuedInvocation] = deque()
        self._boots: set[asyncio.Task[None]] = set()
        self._saturation = SaturationDetector(config)
        self._backoff = BootBackoff()
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._minimum = 0
        self._draining = False
        self._closed = False
        self._successor: WorkerPool | None = None
        self._started = 0
        self._killed = 0

    async def invoke(self, invocation: Invocation) -> InvocationOutcome:
        """Run the invocation and return its outcome. It is sent to one worker, never to a second one."""
        worker = self._pick()
        if worker is not None:
            return await worker.invoke(invocation)
        now = self._clock()
        if self._closed:
            return _OUT_OF_SERVICE if self._successor is None else await self._successor.invoke(invocation)
        if self._backoff.is_paused(now) and not self._ready and not self._booting:
            return BootFailure(self._backoff.reason)
        if is_at_capacity(self.config, self._load()):
            return PoolOverloaded(len(self._workers), self.config.queue)
        queued = _QueuedInvocation(invocation, asyncio.get_running_loop().create_future(), now)
        self._queue.append(queued)
        self._grow(now)
        self._start_timer()
        return await queued.future

    async def start(self) -> None:
        """Keep `min_workers` from now on; return when the first ones are ready or have failed."""
        if self._draining:
            return
        self._minimum = self.config.min_workers
        self._grow(self._clock())
        self._start_timer()
        await asyncio.gather(*(worker.booted for worker in self._workers))

    async def probe(self) -> None:
        """Start a worker and send it OPTIONS. Raise BootFailed, with the traceback if there is one."""
        worker = self._launch()
        await worker.booted
        if worker.state != "ready":
            raise BootFailed(worker.failure or "it was stopped while it started")
        invocation = Invocation(str(uuid4()), "OPTIONS", f"/{self.bundle.slug}", "", headers=[], body=b"")
        try:
            async with asyncio.timeout(self.config.boot_timeout_s):
                outcome = await worker.invoke(invocation)
        except TimeoutError:
            raise BootFailed(f"it did not respond to OPTIONS within {self.config.boot_timeout_s:g} s") from None
        if not isinstance(outcome, InvocationCompleted):
            raise BootFailed(f"it did not respond to OPTIONS: {outcome}")
        if outcome.status >= 500:
            body = outcome.body[:_MAX_QUOTED_BODY].decode(errors="replace")
            raise BootFailed(f"it responded to OPTIONS with {outcome.status}: {body}")

    async def drain(self, timeout_s: float, *, successor: "WorkerPool | None" = None) -> None:
        """Finish requests in flight and queued ones, end the workers, and return; kill them after `timeout_s`.

        Requests that still arrive go to the `successor`.
        """
        self._draining = True
        self._minimum = 0
        self._successor = successor or self._successor
        self._finish_draining()
        if await wait_for_event(self._empty, timeout_s):
            return
        self._closed = True
        self._fail_queue(_OUT_OF_SERVICE)
        for worker in tuple(self._workers):
            worker.kill("it did not finish in time when its version was taken out of service")
        self._finish_draining()
        if not await wait_for_event(self._empty, _KILL_TIMEOUT_S):
            log("host.workers_left", level="error", function=self.bundle.slug, workers=len(self._workers))

    def stats(self) -> PoolStats:
        """Return the current counts."""
        idle = sum(not worker.pending for worker in self._ready)
        return PoolStats(
            workers=len(self._workers),
            idle=idle,
            busy=len(self._ready) - idle,
            under_way=sum(len(worker.pending) for worker in self._workers),
            waiting=len(self._queue),
            started=self._started,
            killed=self._killed,
        )

    def tick(self) -> None:
        """Enforce deadlines and limits and adjust the number of workers. Called ten times a second."""
        now = self._clock()
        for worker in tuple(self._workers):
            worker.tick(now)
        self._expire_queue(now)
        for worker in self._ready:
            if worker.served:
                self._backoff.on_response(worker.ready_at)
        spare = len(self._ready) - self._minimum
        # Requests go to the first workers first, so the last one has been idle for longest.
        for worker in reversed(self._ready.copy()):
            if spare > 0 and not worker.pending and now - worker.active_at >= self.config.idle_timeout_s:
                worker.retire("idle")
                spare -= 1
        self._replace_workers(now)
        self._dispatch()
        self._grow(now)
        load = self._load()
        is_saturated = self._saturation.is_sustained(load, now)
        if is_saturated and load.workers < self.config.max_workers and self._may_start(now):
            self._launch()

    def on_capacity(self) -> None:
        """Send a queued request to the worker that has capacity."""
        if self._queue:
            self._dispatch()

    def on_state_change(self, worker: WorkerHandle) -> None:
        """Update the pool when a worker becomes ready, retires, or ends."""
        now = self._clock()
        was_booting = worker in self._booting
        self._booting.discard(worker)
        if worker.state == "ready":
            self._ready.append(worker)
            self._dispatch()
            old = next((other for other in self._ready if other in self._due_for_replacement), None)
            if old is not None:
                old.retire(self._due_for_replacement[old])
            self._finish_draining()
            return
        if worker in self._ready:
            self._ready.remove(worker)
        self._due_for_replacement.pop(worker, None)
        self._killed += worker.state == "killed"
        if worker.state == "ended":
            self._workers.discard(worker)
        if was_booting and worker.failure:
            self._backoff.on_boot_failed(worker.failure, now)
        elif worker.crashed and not worker.served:
            self._backoff.on_crash(worker.reason, now)
        if not self._backoff.is_paused(now):
            self._grow(now)
        elif not self._ready and not self._booting:
            self._fail_queue(BootFailure(self._backoff.reason))
        self._finish_draining()

    def _pick(self) -> WorkerHandle | None:
        """Return the ready worker with the fewest requests in flight, if one has capacity."""
        best, least = None, self._concurrency
        for worker in self._ready:
            in_flight = len(worker.pending)
            if in_flight < least and not worker.spinning:
                best, least = worker, in_flight
        return best

    def _dispatch(self) -> None:
        while self._queue and (worker := self._pick()) is not None:
            queued = self._queue.popleft()
            if not queued.future.done():
                cold = queued.since <= worker.ready_at
                worker.invoke(queued.invocation, queued.future, cold=cold)
        self._finish_draining()

    def _expire_queue(self, now: float) -> None:
        while self._queue:
            first = self._queue[0]
            waited = now - first.since
            if not first.future.done():
                if waited <= self.config.queue_timeout_s:
                    break
                first.future.set_result(PoolOverloaded(len(self._workers), self.config.queue, waited))
            self._queue.popleft()

    def _fail_queue(self, outcome: InvocationOutcome) -> None:
        while self._queue:
            future = self._queue.popleft().future
            if not future.done():
                future.set_result(outcome)

    def _load(self) -> PoolLoad:
        in_flight = sum(len(worker.pending) for worker in self._ready)
        return PoolLoad(
            ready=len(self._ready), booting=len(self._booting), in_flight=in_flight, queued=len(self._queue)
        )

    def _grow(self, now: float) -> None:
        if self._may_start(now):
            for _ in range(workers_to_start(self.config, self._load(), self._minimum)):
                self._launch()

    def _launch(self) -> WorkerHandle:
        execution_id = str(uuid4())
        spec = WorkerSpec(
            slug=self.bundle.slug,
            execution_id=execution_id,
            bundle=self.bundle,
            env={**self._env, EXECUTION_ID: execution_id},
            config=self.config,
            uid=self._uid,
        )
        worker = WorkerHandle(spec, spawner=self._spawner, sink=self._sink, owner=self, clock=self._clock)
        self._workers.add(worker)
        self._booting.add(worker)
        self._empty.clear()
        self._started += 1
        task = asyncio.get_running_loop().create_task(worker.boot(), name=f"boot {self.bundle.slug}")
        self._boots.add(task)
        task.add_done_callback(self._boots.discard)
        self._start_timer()
        return worker

    def _replace_workers(self, now: float) -> None:
        for worker in self._ready.copy():
            reason = worker.replacement_reason(now)
            if not reason:
                continue
            at_rest = not worker.pending and now - worker.active_at >= _AT_REST_S
            if at_rest and len(self._ready) > self._minimum:
                worker.retire(reason)
            else:
                self._due_for_replacement[worker] = reason
        if self._due_for_replacement and not self._booting and self._may_start(now):
            self._launch()

    def _may_start(self, now: float) -> bool:
        return not self._closed and not self._backoff.is_paused(now)

    def _finish_draining(self) -> None:
        if self._draining and not self._queue and not self._closed:
            self._closed = True
            for worker in tuple(self._workers):
                worker.retire("its version was taken out of service")
        if not self._workers and not self._queue:
            self._empty.set()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._workers or self._queue or self._minimum:
            self._start_timer()
            self.tick()
