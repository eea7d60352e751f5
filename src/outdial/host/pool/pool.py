"""The workers of one version of a function: who gets the next request, and how many of them there are."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

from outdial.host.deployments.environment import EXECUTION_ID
from outdial.host.log.sink import LogSink
from outdial.host.pool.handle import WorkerHandle, WorkerSpawner
from outdial.host.pool.scaling import BootBackoff, PoolLoad, SaturationDetector, is_at_capacity, workers_to_start
from outdial.host.pool.spawning import WorkerSpec
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BootFailed
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import BootFailure, InvocationCompleted, InvocationOutcome, PoolOverloaded
from outdial.log import log

_TICK_S = 0.1
# A worker that is to be replaced is not ended in the gap between two requests.
_AT_REST_S = 1.0
# The kernel takes its time when a process has much memory to give back.
_KILLED_S = 5.0
_MOST_OF_AN_ANSWER = 1000
_GONE = BootFailure("the function was taken out of service")


@dataclass(frozen=True, slots=True)
class PoolStats:
    """What a pool has: `workers` processes, `idle` and `busy` ones that are ready, booting and retiring ones beside.

    `under_way` and `waiting` count requests; `started` and `killed` count workers since the pool was made.
    """

    workers: int
    idle: int
    busy: int
    under_way: int
    waiting: int
    started: int
    killed: int


@dataclass(slots=True)
class _Waiting:
    invocation: Invocation
    future: asyncio.Future[InvocationOutcome]
    since: float


class WorkerPool:
    """Answers invocations of one version of a function by its own workers.

    `env` is what its workers see (outdial.host.deployments.environment.worker_env), `clock` gives
    seconds and never goes back. Nothing is started before `start`, `prove` or the first request.
    """

    def __init__(
        self,
        bundle: Bundle,
        config: FunctionConfig,
        env: Mapping[str, str],
        spawner: WorkerSpawner,
        sink: LogSink,
        *,
        uid: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bundle, self.config = bundle, config
        self._env, self._uid = env, uid
        self._spawner, self._sink, self._clock = spawner, sink, clock
        self._concurrency = config.concurrency
        self._ready: list[WorkerHandle] = []
        self._booting: set[WorkerHandle] = set()
        self._worn: dict[WorkerHandle, str] = {}
        self._workers: set[WorkerHandle] = set()
        self._waiting: deque[_Waiting] = deque()
        self._boots: set[asyncio.Task[None]] = set()
        self._crowding, self._backoff = SaturationDetector(config), BootBackoff()
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._at_least = 0
        self._draining = self._closed = False
        self._successor: WorkerPool | None = None
        self._started = self._killed = 0

    async def invoke(self, invocation: Invocation) -> InvocationOutcome:
        """Return what became of the request. It is sent to one worker, and never to a second one."""
        worker = self._pick()
        if worker is not None:
            return await worker.invoke(invocation)
        return await self._wait_for_worker(invocation)

    async def start(self) -> None:
        """Keep `min_workers` from now on, and return when the first ones are ready or have failed."""
        if self._draining:
            return
        self._at_least = self.config.min_workers
        self._grow(self._clock())
        self._watch()
        await asyncio.gather(*(worker.booted for worker in self._workers))

    async def prove(self) -> None:
        """Start a worker and ask it for OPTIONS; raise BootFailed, with the traceback where there is one."""
        worker = self._launch()
        await worker.booted
        if worker.state != "ready":
            raise BootFailed(worker.failure or "it was stopped while it started")
        probe = Invocation(str(uuid4()), "OPTIONS", f"/{self.bundle.slug}", "", [], b"")
        try:
            async with asyncio.timeout(self.config.boot_timeout_s):
                outcome = await worker.invoke(probe)
        except TimeoutError:
            raise BootFailed(f"it did not answer OPTIONS within {self.config.boot_timeout_s:g} s") from None
        if not isinstance(outcome, InvocationCompleted):
            raise BootFailed(f"it did not answer OPTIONS: {outcome}")
        if outcome.status >= 500:
            said = outcome.body[:_MOST_OF_AN_ANSWER].decode(errors="replace")
            raise BootFailed(f"it answered OPTIONS with {outcome.status}: {said}")

    async def drain(self, timeout_s: float, *, successor: "WorkerPool | None" = None) -> None:
        """Answer what is under way and what waits, end the workers, and return; after `timeout_s` they are killed.

        Requests that come later, because they were meant for this pool before, are given to the `successor`.
        """
        self._draining, self._at_least, self._successor = True, 0, successor or self._successor
        self._finish()
        if await self._is_empty_within(timeout_s):
            return
        self._closed = True
        self._answer_waiting(_GONE)
        for worker in tuple(self._workers):
            worker.stop("it was not done in time when its version was taken out of service")
        self._finish()
        if not await self._is_empty_within(_KILLED_S):
            log("host.workers_left", level="error", function=self.bundle.slug, workers=len(self._workers))

    def stats(self) -> PoolStats:
        """Return what there is now."""
        idle = sum(not worker.pending for worker in self._ready)
        return PoolStats(
            workers=len(self._workers),
            idle=idle,
            busy=len(self._ready) - idle,
            under_way=sum(worker.busy for worker in self._workers),
            waiting=len(self._waiting),
            started=self._started,
            killed=self._killed,
        )

    def tick(self) -> None:
        """Look after deadlines, limits and the number of workers; called ten times a second while there are any."""
        now = self._clock()
        for worker in tuple(self._workers):
            worker.tick(now)
        self._expire_waiting(now)
        for worker in self._ready:
            if worker.served:
                self._backoff.answered(worker.ready_at)
        self._retire_idle(now)
        self._replace_worn(now)
        self._dispatch()
        self._grow(now)
        self._relieve(now)

    def freed(self) -> None:
        """A worker has room for one more request."""
        if self._waiting:
            self._dispatch()

    def changed(self, worker: WorkerHandle) -> None:
        """The state of `worker` is another."""
        now = self._clock()
        was_booting = worker in self._booting
        self._booting.discard(worker)
        if worker.state == "ready":
            self._on_ready(worker)
        else:
            self._on_loss(worker, now, did_not_boot=was_booting and bool(worker.failure))
        self._finish()

    async def _is_empty_within(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._empty.wait()
        except TimeoutError:
            return False

    def _on_ready(self, worker: WorkerHandle) -> None:
        self._ready.append(worker)
        self._dispatch()
        worn = next((other for other in self._ready if other in self._worn), None)
        if worn is not None:
            worn.retire(self._worn[worn])

    def _on_loss(self, worker: WorkerHandle, now: float, *, did_not_boot: bool) -> None:
        if worker in self._ready:
            self._ready.remove(worker)
        self._worn.pop(worker, None)
        self._killed += worker.state == "killed"
        if worker.state == "ended":
            self._workers.discard(worker)
        if did_not_boot:
            self._backoff.boot_failed(worker.failure, now)
        elif worker.crashed and not worker.served:
            self._backoff.crashed(worker.reason, now)
        if not self._backoff.blocks(now):
            self._grow(now)
        elif not self._ready and not self._booting:
            self._answer_waiting(BootFailure(self._backoff.reason))

    def _pick(self) -> WorkerHandle | None:
        best, least = None, self._concurrency
        for worker in self._ready:
            busy = len(worker.pending)
            if busy < least and not worker.stuck:
                best, least = worker, busy
        return best

    async def _wait_for_worker(self, invocation: Invocation) -> InvocationOutcome:
        now = self._clock()
        if self._closed:
            return _GONE if self._successor is None else await self._successor.invoke(invocation)
        if self._backoff.blocks(now) and not self._ready and not self._booting:
            return BootFailure(self._backoff.reason)
        if is_at_capacity(self.config, self._load()):
            return PoolOverloaded(len(self._workers), self.config.queue)
        waiting = _Waiting(invocation, asyncio.get_running_loop().create_future(), now)
        self._waiting.append(waiting)
        self._grow(now)
        self._watch()
        return await waiting.future

    def _dispatch(self) -> None:
        while self._waiting and (worker := self._pick()) is not None:
            waiting = self._waiting.popleft()
            if not waiting.future.done():
                cold = waiting.since <= worker.ready_at
                worker.invoke(waiting.invocation, waiting.future, cold=cold)
        self._finish()

    def _expire_waiting(self, now: float) -> None:
        while self._waiting:
            first = self._waiting[0]
            waited = now - first.since
            if not first.future.done():
                if waited <= self.config.queue_timeout_s:
                    break
                first.future.set_result(PoolOverloaded(len(self._workers), self.config.queue, waited))
            self._waiting.popleft()

    def _answer_waiting(self, outcome: InvocationOutcome) -> None:
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_result(outcome)

    def _load(self) -> PoolLoad:
        under_way = sum(len(worker.pending) for worker in self._ready)
        return PoolLoad(len(self._ready), len(self._booting), under_way, len(self._waiting))

    def _grow(self, now: float) -> None:
        if self._may_start(now):
            for _ in range(workers_to_start(self.config, self._load(), self._at_least)):
                self._launch()

    def _launch(self) -> WorkerHandle:
        execution_id = str(uuid4())
        env = {**self._env, EXECUTION_ID: execution_id}
        order = WorkerSpec(self.bundle.slug, execution_id, self.bundle, env, self.config, self._uid)
        worker = WorkerHandle(order, self._spawner, self._sink, self, self._clock)
        self._workers.add(worker)
        self._booting.add(worker)
        self._empty.clear()
        self._started += 1
        task = asyncio.get_running_loop().create_task(worker.boot(), name=f"boot {self.bundle.slug}")
        self._boots.add(task)
        task.add_done_callback(self._boots.discard)
        self._watch()
        return worker

    def _retire_idle(self, now: float) -> None:
        spare = len(self._ready) - self._at_least
        # The first one is given requests before the others, so the last one has been idle for longest.
        for worker in reversed(self._ready.copy()):
            if spare > 0 and not worker.pending and now - worker.active_at >= self.config.idle_timeout_s:
                worker.retire("idle")
                spare -= 1

    def _replace_worn(self, now: float) -> None:
        for worker in self._ready.copy():
            reason = worker.worn(now)
            if not reason:
                continue
            at_rest = not worker.pending and now - worker.active_at >= _AT_REST_S
            if at_rest and len(self._ready) > self._at_least:
                worker.retire(reason)
            else:
                self._worn[worker] = reason
        if self._worn and not self._booting and self._may_start(now):
            self._launch()

    def _relieve(self, now: float) -> None:
        load = self._load()
        if self._crowding.lasts(load, now) and load.workers < self.config.max_workers and self._may_start(now):
            self._launch()

    def _may_start(self, now: float) -> bool:
        return not self._closed and not self._backoff.blocks(now)

    def _finish(self) -> None:
        if self._draining and not self._waiting and not self._closed:
            self._closed = True
            for worker in tuple(self._workers):
                worker.retire("its version was taken out of service")
        if not self._workers and not self._waiting:
            self._empty.set()

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._workers or self._waiting or self._at_least:
            self._watch()
            self.tick()
