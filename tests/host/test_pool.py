import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from outdial.host.pool.pool import PoolStats, WorkerPool
from outdial.host.pool.process import ProcessExit
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BootFailed, ZygoteLost
from outdial.host.wire.frames import InvokeFrame, LogFrame
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import (
    BootFailure,
    InvocationCompleted,
    InvocationOutcome,
    InvocationTimedOut,
    LimitExceeded,
    PoolOverloaded,
    WorkerCrashed,
)
from tests.support.hosting import RecordingSink
from tests.support.workers import FakeSpawner, FakeWorker, ManualClock, SpawnerFactory, keep, until

ENV = {"SUPABASE_URL": "https://project.example"}


def request(path: str = "/hello") -> Invocation:
    return Invocation("request", "GET", path, "", [], b"")


@dataclass
class Stage:
    pool: WorkerPool
    spawner: FakeSpawner
    clock: ManualClock
    kept: RecordingSink

    def ask(self, *paths: str) -> list[asyncio.Task[InvocationOutcome]]:
        return [asyncio.create_task(self.pool.invoke(request(path))) for path in paths]

    async def settle(self, condition: Callable[[PoolStats], bool]) -> PoolStats:
        await until(lambda: condition(self.pool.stats()))
        return self.pool.stats()

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.pool.tick()

    def keep_ticking(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.after(0.1)


Open = Callable[..., Stage]


@pytest.fixture
async def open_stage() -> AsyncIterator[Open]:
    spawners, stages = SpawnerFactory(), list[Stage]()

    def open_stage(spawner: FakeSpawner | None = None, **limits: Any) -> Stage:
        spawner, clock, kept = spawner or FakeSpawner(), ManualClock(), RecordingSink()
        spawners.add(spawner)
        pool = WorkerPool(
            Bundle("hello", 1, Path("code"), "index.py"),
            FunctionConfig(**limits),
            ENV,
            spawner=spawner,
            sink=kept,
            clock=clock,
        )
        stages.append(Stage(pool, spawner, clock, kept))
        return stages[-1]

    yield open_stage
    for stage in stages:
        await stage.pool.drain(0)
    spawners.close()


def bodies(outcomes: Iterable[InvocationOutcome]) -> list[str]:
    return [outcome.body.decode() for outcome in outcomes if isinstance(outcome, InvocationCompleted)]


async def test_the_first_request_starts_a_worker_and_the_next_one_finds_it(open_stage: Open) -> None:
    stage = open_stage()

    first = await stage.pool.invoke(request())
    second = await stage.pool.invoke(request())

    assert isinstance(first, InvocationCompleted)
    assert isinstance(second, InvocationCompleted)
    assert (first.cold, second.cold) == (True, False)
    assert first.execution_id == second.execution_id
    assert len(stage.spawner.workers) == 1


async def test_each_worker_knows_its_own_execution_id_and_sees_the_functions_environment(open_stage: Open) -> None:
    stage = open_stage(min_workers=2)
    await stage.pool.start()

    orders = [fake.spec for fake in stage.spawner.workers]
    assert [order.env for order in orders] == [{**ENV, "SB_EXECUTION_ID": order.execution_id} for order in orders]
    assert orders[0].execution_id != orders[1].execution_id


async def test_requests_go_to_the_least_busy_worker(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), min_workers=2, concurrency=10)
    await stage.pool.start()

    stage.ask("/1", "/2", "/3", "/4")
    await stage.settle(lambda stats: stats.under_way == 4)

    for fake in stage.spawner.workers:
        assert {(await fake.requests.get()).invocation.path for _ in range(2)} in ({"/1", "/3"}, {"/2", "/4"})


async def test_requests_over_the_concurrency_queue_in_order(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), max_workers=1, concurrency=2)

    asked = stage.ask("/1", "/2", "/3", "/4", "/5")
    await stage.settle(lambda stats: (stats.under_way, stats.waiting) == (2, 3))
    fake, order = stage.spawner.workers[0], []
    for _ in asked:
        received = await fake.requests.get()
        order.append(received.invocation.path)
        assert stage.pool.stats().under_way <= 2
        fake.respond(received)

    assert order == ["/1", "/2", "/3", "/4", "/5"]
    assert bodies(await asyncio.gather(*asked)) == order


async def test_a_full_queue_rejects_requests_at_once(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), max_workers=1, concurrency=2, queue=1)
    stage.ask("/1", "/2", "/3")
    await stage.settle(lambda stats: (stats.under_way, stats.waiting) == (2, 1))

    assert await stage.pool.invoke(request()) == PoolOverloaded(workers=1, limit=1)


async def test_a_queue_of_zero_still_lets_requests_wait_for_the_first_worker(open_stage: Open) -> None:
    stage = open_stage(max_workers=1, concurrency=2, queue=0)

    outcomes = await asyncio.gather(*stage.ask("/1", "/2", "/3"))

    assert outcomes[2] == PoolOverloaded(workers=1, limit=0)
    assert bodies(outcomes) == ["/1", "/2"]


async def test_no_request_waits_longer_than_the_queue_timeout(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), max_workers=1, concurrency=1, queue_timeout_s=10)
    first, second = stage.ask("/1", "/2")
    await stage.settle(lambda stats: (stats.under_way, stats.waiting) == (1, 1))

    stage.after(9.9)
    assert not second.done()
    stage.after(0.2)

    outcome = await second
    assert isinstance(outcome, PoolOverloaded)
    assert round(outcome.waited_s, 3) == 10.1
    assert not first.done()


async def test_a_burst_starts_as_many_workers_as_it_needs_and_no_more_than_allowed(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), max_workers=3, concurrency=2, queue=10)

    stage.ask(*"123")
    await stage.settle(lambda stats: stats.under_way == 3)
    assert len(stage.spawner.workers) == 2
    stage.ask(*"456789")
    await stage.settle(lambda stats: (stats.under_way, stats.waiting) == (6, 3))
    assert len(stage.spawner.workers) == 3


async def test_workers_that_are_nearly_full_for_a_while_get_another_beside_them(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), concurrency=4)
    stage.ask("/1", "/2", "/3")
    await stage.settle(lambda stats: stats.under_way == 3)

    stage.keep_ticking(0.9)
    assert stage.pool.stats().workers == 1
    stage.keep_ticking(0.3)
    assert (await stage.settle(lambda stats: stats.idle == 1)).workers == 2


async def test_idle_workers_end_down_to_the_least_number(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), min_workers=1, max_workers=3, concurrency=1, idle_timeout_s=60)
    await stage.pool.start()
    asked = stage.ask("/1", "/2", "/3")
    await stage.settle(lambda stats: stats.under_way == 3)
    for fake in stage.spawner.workers:
        fake.respond(await fake.requests.get())
    await asyncio.gather(*asked)

    stage.after(0.1)
    stage.after(59.8)
    assert stage.pool.stats().idle == 3
    stage.after(0.3)

    assert (await stage.settle(lambda stats: stats.workers == 1)).idle == 1
    stage.after(600)
    assert stage.pool.stats().idle == 1


async def test_without_a_least_number_the_last_idle_worker_ends_too(open_stage: Open) -> None:
    stage = open_stage(idle_timeout_s=60)
    await stage.pool.invoke(request())
    stage.after(0.1)
    stage.after(60.1)

    assert await stage.settle(lambda stats: stats.workers == 0) == PoolStats(
        workers=0, idle=0, busy=0, under_way=0, waiting=0, started=1, killed=0
    )
    assert isinstance(await stage.pool.invoke(request()), InvocationCompleted)


async def test_a_worker_is_replaced_only_when_its_successor_is_ready(open_stage: Open) -> None:
    stage = open_stage(max_workers=1, max_requests=2)
    for _ in range(2):
        await stage.pool.invoke(request())
    old, starts = stage.spawner.workers[0], stage.spawner.on_start
    stage.spawner.on_start = lambda fake: None

    stage.after(0.1)
    await stage.settle(lambda stats: len(stage.spawner.workers) == 2)
    stage.after(0.1)
    assert await stage.pool.invoke(request()) == InvocationCompleted(
        status=200, headers=[], body=b"/hello", cpu_us=7, execution_id=old.spec.execution_id, cold=False
    )
    assert not old.retired.is_set()

    starts(stage.spawner.workers[1])
    await old.retired.wait()
    answered = await stage.pool.invoke(request())
    assert isinstance(answered, InvocationCompleted)
    assert answered.execution_id == stage.spawner.workers[1].spec.execution_id


async def test_a_worker_whose_memory_has_grown_ends_when_it_rests(open_stage: Open) -> None:
    stage = open_stage(memory_mb=100)
    await stage.pool.invoke(request())
    stage.spawner.workers[0].memory = 90

    stage.keep_ticking(4)

    await stage.settle(lambda stats: stats.workers == 0)
    assert stage.kept.events[-1][2]["reason"] == "its memory has grown to 90 MiB of 100 MiB"


async def test_a_failed_boot_fails_queued_requests_and_those_during_the_pause(
    open_stage: Open,
) -> None:
    stage = open_stage(FakeSpawner(on_start=lambda fake: fake.fail("E", "Traceback: E")))

    assert await asyncio.gather(*stage.ask("/1", "/2")) == [BootFailure("Traceback: E")] * 2
    stage.after(0.9)
    assert await stage.pool.invoke(request()) == BootFailure("Traceback: E")
    assert len(stage.spawner.workers) == 1

    stage.after(0.2)
    stage.spawner.on_start = FakeWorker.send_ready
    assert isinstance(await stage.pool.invoke(request()), InvocationCompleted)


async def test_a_lost_zygote_is_a_boot_that_fails(open_stage: Open) -> None:
    stage = open_stage()
    stage.spawner.refusal = ZygoteLost()

    assert await stage.pool.invoke(request()) == BootFailure(str(ZygoteLost()))


async def test_the_least_number_of_workers_is_tried_again_after_the_pause(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(on_start=lambda fake: fake.fail("E")), min_workers=1)
    await stage.pool.start()
    stage.after(0.5)
    assert len(stage.spawner.workers) == 1

    stage.spawner.on_start = FakeWorker.send_ready
    stage.after(0.6)

    assert (await stage.settle(lambda stats: stats.idle == 1)).started == 2


async def test_a_failed_boot_beside_a_ready_worker_keeps_the_queue(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), concurrency=1, max_workers=2)
    first = stage.ask("/1")
    await stage.settle(lambda stats: stats.under_way == 1)
    stage.spawner.on_start = lambda fake: fake.fail("E")

    second = stage.ask("/2")
    await stage.settle(lambda stats: stats.started == 2 and stats.workers == 1)
    stage.keep_ticking(0.5)
    fake = stage.spawner.workers[0]
    for _ in range(2):
        fake.respond(await fake.requests.get())

    assert bodies(await asyncio.gather(*first, *second)) == ["/1", "/2"]
    assert stage.pool.stats().started == 2


async def test_a_crash_fails_its_own_requests_and_the_rest_get_a_new_worker(open_stage: Open) -> None:
    def crash_on_poison(fake: FakeWorker, received: InvokeFrame) -> None:
        if received.invocation.path == "/poison":
            fake.end(ProcessExit(1, 0, 0.1))
        else:
            fake.respond(received)

    stage = open_stage(FakeSpawner(crash_on_poison), max_workers=1, concurrency=1)

    outcomes = await asyncio.gather(*stage.ask("/1", "/poison", "/2"))

    first, second, third = outcomes
    assert isinstance(second, WorkerCrashed)
    assert bodies([first, third]) == ["/1", "/2"]
    assert len(stage.spawner.workers) == 2


async def test_a_function_that_crashes_on_every_request_is_given_a_pause(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(lambda fake, _: fake.end(ProcessExit(1, 0, 0.1))))

    outcomes = [await stage.pool.invoke(request()) for _ in range(4)]

    assert [type(outcome) for outcome in outcomes] == [WorkerCrashed, WorkerCrashed, WorkerCrashed, BootFailure]
    assert outcomes[3] == BootFailure("the process exited with status 1")
    assert len(stage.spawner.workers) == 3


async def test_a_spinning_worker_gets_no_new_requests_and_is_replaced(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), max_workers=2, min_workers=2)
    await stage.pool.start()
    spinning, healthy = stage.spawner.workers
    (spins,) = stage.ask("/spins")
    await spinning.requests.get()
    stage.after(0.1)
    spinning.cpu = 400
    stage.after(0.4)

    others = stage.ask("/1", "/2", "/3")
    for _ in others:
        healthy.respond(await healthy.requests.get())
    assert bodies(await asyncio.gather(*others)) == ["/1", "/2", "/3"]

    spinning.cpu = 2_100
    stage.after(1.7)
    outcome = await spins
    assert isinstance(outcome, LimitExceeded)
    assert (outcome.resource, outcome.limit, outcome.used) == ("cpu", 2_000, 2_100)
    assert (await stage.settle(lambda stats: stats.idle == 2)).killed == 1


async def test_a_worker_that_stops_spinning_gets_the_queued_requests(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), max_workers=1)
    stage.ask("/computes")
    await stage.settle(lambda stats: stats.under_way == 1)
    fake = stage.spawner.workers[0]
    stage.after(0.1)
    fake.cpu = 400
    stage.after(0.4)
    stage.ask("/waits")
    await stage.settle(lambda stats: stats.waiting == 1)

    fake.send_frame(LogFrame([], 0))
    fake.log("heard after it")
    await until(lambda: bool(stage.kept.kept_lines))
    stage.after(0.1)

    assert stage.pool.stats().waiting == 0


async def test_a_request_that_hangs_times_out_and_the_worker_makes_room_for_another(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), max_workers=1, wall_clock_s=5)
    (hangs,) = stage.ask("/hangs")
    await stage.settle(lambda stats: stats.under_way == 1)

    stage.after(5.1)

    assert isinstance(await hangs, InvocationTimedOut)
    stage.spawner.on_request = FakeWorker.respond
    assert bodies([await stage.pool.invoke(request("/next"))]) == ["/next"]
    stage.after(0.1)
    await stage.settle(lambda stats: stats.workers == 1)
    assert stage.spawner.workers[0].has_ended


async def test_cancelled_queued_requests_are_not_sent(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), max_workers=1, concurrency=1)
    first, gave_up, last = stage.ask("/1", "/gave-up", "/last")
    await stage.settle(lambda stats: stats.waiting == 2)
    gave_up.cancel()

    fake = stage.spawner.workers[0]
    for path in ("/1", "/last"):
        received = await fake.requests.get()
        assert received.invocation.path == path
        fake.respond(received)

    assert bodies(await asyncio.gather(first, last)) == ["/1", "/last"]


async def test_a_probe_succeeds_when_the_version_boots_and_responds_to_options(open_stage: Open) -> None:
    asked = []

    def note(fake: FakeWorker, received: InvokeFrame) -> None:
        asked.append((received.invocation.method, received.invocation.path))
        fake.respond(received, status=405)

    stage = open_stage(FakeSpawner(note))
    await stage.pool.probe()

    assert asked == [("OPTIONS", "/hello")]
    assert stage.pool.stats().idle == 1


async def test_a_version_that_does_not_boot_is_refused_with_its_traceback(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(on_start=lambda fake: fake.fail("E", "Traceback: E")))

    with pytest.raises(BootFailed, match=r"^Traceback: E$"):
        await stage.pool.probe()


async def test_a_failed_probe_raises_with_the_reason(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(lambda fake, received: fake.respond(received, 500, b"no keys")))
    with pytest.raises(BootFailed, match="it responded to OPTIONS with 500: no keys"):
        await stage.pool.probe()

    stage = open_stage(FakeSpawner(lambda fake, received: fake.end(ProcessExit(1, 0, 0.1))))
    with pytest.raises(BootFailed, match=r"it did not respond to OPTIONS: .*exited with status 1"):
        await stage.pool.probe()

    stage = open_stage(FakeSpawner(keep), boot_timeout_s=0.01)
    with pytest.raises(BootFailed, match=r"it did not respond to OPTIONS within 0\.01 s"):
        await stage.pool.probe()


async def test_draining_finishes_requests_in_flight_and_queued_ones(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), max_workers=1, concurrency=2)
    asked = stage.ask("/1", "/2", "/3", "/4")
    await stage.settle(lambda stats: (stats.under_way, stats.waiting) == (2, 2))

    draining = asyncio.create_task(stage.pool.drain(30))
    for _ in asked:
        fake = stage.spawner.workers[0]
        fake.respond(await fake.requests.get())
    await draining

    assert bodies(await asyncio.gather(*asked)) == ["/1", "/2", "/3", "/4"]
    assert stage.spawner.alive == []
    assert await stage.pool.invoke(request()) == BootFailure("the function was taken out of service")


async def test_a_drained_pool_passes_requests_to_its_successor(open_stage: Open) -> None:
    old, new = open_stage(), open_stage()
    await old.pool.invoke(request())

    await old.pool.drain(30, successor=new.pool)

    assert bodies([await old.pool.invoke(request("/late"))]) == ["/late"]
    assert len(new.spawner.workers) == 1


async def test_a_drain_kills_workers_after_its_timeout(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), max_workers=1, concurrency=1)
    under_way, waits = stage.ask("/1", "/2")
    await stage.settle(lambda stats: (stats.under_way, stats.waiting) == (1, 1))

    await stage.pool.drain(0.01)

    assert isinstance(await under_way, WorkerCrashed)
    assert await waits == BootFailure("the function was taken out of service")
    assert stage.spawner.alive == []


async def test_a_pool_can_be_drained_while_its_first_worker_starts(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(on_start=lambda fake: None), min_workers=1)
    starting = asyncio.create_task(stage.pool.start())
    await stage.spawner.next()

    await stage.pool.drain(30)
    await starting

    assert stage.spawner.alive == []


async def test_a_pool_ticks_on_its_own_timer(open_stage: Open) -> None:
    stage = open_stage(FakeSpawner(keep), wall_clock_s=1)
    (hangs,) = stage.ask("/hangs")
    await stage.settle(lambda stats: stats.under_way == 1)

    stage.clock.advance(2)

    assert isinstance(await hangs, InvocationTimedOut)


async def test_a_pool_that_was_drained_is_not_started_again(open_stage: Open) -> None:
    stage = open_stage(min_workers=1)
    await stage.pool.drain(1)

    await stage.pool.start()
    stage.after(1)

    assert stage.spawner.workers == []
