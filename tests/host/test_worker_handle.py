import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from outdial.host.pool.handle import WorkerHandle
from outdial.host.pool.process import ProcessExit
from outdial.host.pool.spawning import WorkerSpec
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import ZygoteLost
from outdial.host.wire.frames import LimitFrame, LogFrame
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import InvocationCompleted, InvocationTimedOut, LimitExceeded, WorkerCrashed
from tests.support.hosting import RecordingSink
from tests.support.workers import FakeSpawner, FakeWorker, ManualClock, SpawnerFactory, keep, until

CONFIG = FunctionConfig(boot_timeout_s=10, wall_clock_s=300, cpu_ms=2_000, memory_mb=100)


class Owner:
    def __init__(self) -> None:
        self.room, self.states = 0, list[str]()
        self.over = asyncio.Event()

    def on_capacity(self) -> None:
        self.room += 1

    def on_state_change(self, worker: WorkerHandle) -> None:
        self.states.append(worker.state)
        if worker.state == "ended":
            self.over.set()


class Bench:
    """A worker at work, and all that surrounds it."""

    def __init__(self, spawner: FakeSpawner, config: FunctionConfig = CONFIG) -> None:
        self.spawner, self.clock, self.kept, self.owner = spawner, ManualClock(), RecordingSink(), Owner()
        spec = WorkerSpec(
            slug="hello",
            execution_id="execution",
            bundle=Bundle("hello", 3, Path("code"), "index.py"),
            env={},
            config=config,
        )
        self.worker = WorkerHandle(spec, spawner=spawner, sink=self.kept, owner=self.owner, clock=self.clock)

    async def boot(self) -> FakeWorker:
        await self.worker.boot()
        fake = await self.spawner.next()
        await self.worker.booted
        return fake

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.worker.tick(self.clock())


def request(path: str = "/hello") -> Invocation:
    return Invocation("request", "GET", path, "", [(b"accept", b"*/*")], b"body")


@pytest.fixture
async def spawners() -> AsyncIterator[SpawnerFactory]:
    spawners = SpawnerFactory()
    yield spawners
    spawners.close()


async def test_a_request_reaches_the_worker_unchanged_and_its_response_returns(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()

    future = bench.worker.invoke(request("/hello/there"), cold=True)
    received = await fake.requests.get()
    fake.respond(received, 201, b"done")

    assert (received.invocation.path, received.invocation.headers, received.invocation.body) == (
        "/hello/there",
        [(b"accept", b"*/*")],
        b"body",
    )
    assert await future == InvocationCompleted(
        status=201, headers=[], body=b"done", cpu_us=7, execution_id="execution", cold=True
    )
    assert (len(bench.worker.pending), bench.worker.served, bench.owner.room) == (0, 1, 1)


async def test_responses_match_their_requests_in_any_order(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()

    futures = [bench.worker.invoke(request(f"/hello/{n}")) for n in range(50)]
    received = [await fake.requests.get() for _ in futures]
    for one in reversed(received):
        fake.respond(one)

    outcomes = await asyncio.gather(*futures)
    assert [outcome.body for outcome in outcomes if isinstance(outcome, InvocationCompleted)] == [
        f"/hello/{n}".encode() for n in range(50)
    ]


async def test_a_boot_that_fails_has_the_functions_traceback(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(on_start=lambda fake: fake.fail("SyntaxError", "Traceback: SyntaxError")))
    await bench.boot()
    await bench.owner.over.wait()

    assert bench.worker.failure == "Traceback: SyntaxError"
    assert bench.owner.states == ["killed", "ended"]
    assert bench.kept.events[0][1] == "boot_failed"


async def test_a_process_that_ends_while_it_starts_has_not_booted(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(on_start=lambda fake: fake.end(ProcessExit(3, 0, 0.1))))
    await bench.boot()

    assert bench.worker.failure == "it ended before it was ready: the process exited with status 3"
    assert bench.owner.states == ["ended"]


async def test_a_process_that_cannot_be_started_has_not_booted(spawners: SpawnerFactory) -> None:
    bench = Bench(spawner := spawners())
    spawner.refusal = ZygoteLost()

    await bench.worker.boot()

    assert bench.worker.failure == str(ZygoteLost())
    assert bench.worker.state == "ended"


async def test_a_worker_that_is_not_ready_in_time_is_killed(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(on_start=lambda fake: None))
    booting = asyncio.create_task(bench.worker.boot())
    fake = await bench.spawner.next()
    await booting

    bench.after(9.9)
    assert not bench.worker.booted.done()
    bench.after(0.2)

    assert bench.worker.failure == "it was not ready within 10 s"
    assert fake.has_ended


async def test_a_process_that_starts_after_the_boot_timeout_is_killed(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners())
    booting = asyncio.create_task(bench.worker.boot())
    bench.after(11)
    await booting

    assert bench.worker.failure == "it was not ready within 10 s"
    assert (await bench.spawner.next()).has_ended


async def test_a_ready_frame_may_arrive_before_the_process_is_known(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(on_start=FakeWorker.send_ready_directly))
    await bench.boot()

    assert isinstance(await bench.worker.invoke(request()), InvocationCompleted)


async def test_a_crash_fails_every_request_in_flight(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    futures = [bench.worker.invoke(request()) for _ in range(3)]
    await fake.requests.get()

    fake.end(ProcessExit(0, 11, 0.5))

    assert await asyncio.gather(*futures) == [WorkerCrashed("the process was killed by SIGSEGV", "execution")] * 3
    await bench.owner.over.wait()
    assert bench.worker.crashed
    assert bench.kept.events[-1] == (
        "hello",
        "shutdown",
        {"reason": "the process was killed by SIGSEGV", "ended": "the process was killed by SIGSEGV", "cpu_s": 0.5}
        | {"served": 0},
    )


async def test_responses_before_a_crash_are_not_lost(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    futures = [bench.worker.invoke(request()) for _ in range(2)]

    fake.respond(await fake.requests.get())
    fake.end(ProcessExit(1, 0, 0.1))

    assert [type(outcome) for outcome in await asyncio.gather(*futures)] == [InvocationCompleted, WorkerCrashed]


async def test_a_request_times_out_and_the_worker_ends_after_its_other_requests(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    hangs = bench.worker.invoke(request("/hello/hangs"))
    bench.after(200)
    later = bench.worker.invoke(request("/hello/later"))
    bench.after(99.9)
    assert not hangs.done()

    bench.after(0.2)

    assert await hangs == InvocationTimedOut(300, "execution")
    assert bench.worker.state == "retiring"
    await fake.retired.wait()
    await fake.requests.get()
    fake.respond(await fake.requests.get())
    assert isinstance(await later, InvocationCompleted)
    bench.after(0.1)
    assert fake.has_ended
    await bench.owner.over.wait()
    assert bench.owner.states == ["ready", "retiring", "killed", "ended"]


async def test_a_late_response_is_ignored(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    hangs = bench.worker.invoke(request())
    bench.after(299)
    other = bench.worker.invoke(request())
    bench.after(2)

    for _ in (hangs, other):
        fake.respond(await fake.requests.get())

    assert isinstance(hangs.result(), InvocationTimedOut)
    assert isinstance(await other, InvocationCompleted)


async def test_a_spinning_worker_is_killed_with_limit_and_usage(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    futures = [bench.worker.invoke(request()) for _ in range(2)]
    bench.after(0.1)

    fake.cpu = 1_500
    bench.after(1.5)
    assert bench.worker.spinning
    fake.log("a line from within the loop")
    fake.cpu = 2_050
    bench.after(0.6)

    assert (
        await asyncio.gather(*futures)
        == [LimitExceeded(resource="cpu", limit=2_000, used=2_050, execution_id="execution")] * 2
    )
    await bench.owner.over.wait()
    assert bench.kept.events[-1][2]["reason"] == "it used 2050 ms of CPU time, and the limit is 2000"


async def test_a_busy_worker_with_heartbeats_keeps_running(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    future = bench.worker.invoke(request())
    received = await fake.requests.get()
    for _ in range(2):
        bench.worker.invoke(request())
    for _ in range(5):
        fake.cpu += 1_900
        bench.kept.kept_lines.clear()
        fake.send_frame(LogFrame([], 0))
        fake.log("heard after it")
        await until(lambda: bool(bench.kept.kept_lines))
        bench.after(1.9)

    fake.respond(received)
    assert isinstance(await future, InvocationCompleted)


async def test_memory_beyond_the_limit_kills_the_worker(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    future = bench.worker.invoke(request())

    fake.memory = 120
    bench.after(0.1)

    assert await future == LimitExceeded(resource="memory", limit=100, used=120, execution_id="execution")
    assert fake.has_ended


async def test_a_worker_that_the_kernel_kills_for_its_memory_has_exceeded_its_limit(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    future = bench.worker.invoke(request())
    await fake.requests.get()

    fake.end(ProcessExit(0, 9, 0.1, memory_mb=164))

    assert await future == LimitExceeded(resource="memory", limit=100, used=164, execution_id="execution")
    assert bench.worker.reason == "the kernel killed the process at 164 MiB of memory"


async def test_more_threads_than_allowed_kill_the_worker(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    future = bench.worker.invoke(request())

    fake.thread_count = 3_000
    bench.after(0.1)

    assert await future == LimitExceeded(resource="threads", limit=128, used=3_000, execution_id="execution")
    assert fake.has_ended


async def test_memory_beyond_the_limit_while_it_starts_is_why_it_did_not(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(on_start=lambda fake: None))
    await bench.worker.boot()
    (await bench.spawner.next()).memory = 120

    bench.after(1.0)

    assert bench.worker.failure == "it used 120 MiB of memory, and the limit is 100"


async def test_a_request_that_the_worker_ended_itself_names_its_limit(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    futures = [bench.worker.invoke(request()) for _ in range(2)]

    fake.send_frame(LimitFrame((await fake.requests.get()).number, "cpu", 2_000, 2_010))
    assert await futures[0] == LimitExceeded(resource="cpu", limit=2_000, used=2_010, execution_id="execution")
    assert bench.owner.states == ["ready"]

    fake.send_frame(LimitFrame((await fake.requests.get()).number, "memory", 100, 99))
    assert await futures[1] == LimitExceeded(resource="memory", limit=100, used=99, execution_id="execution")
    assert bench.owner.states == ["ready", "retiring"]


async def test_growth_of_memory_wears_a_worker_out_sooner_when_it_is_at_rest(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    future = bench.worker.invoke(request())
    fake.memory = 90
    for _ in range(99):
        bench.after(0.1)
    assert bench.worker.replacement_reason(bench.clock()) == ""
    bench.after(0.2)
    assert bench.worker.replacement_reason(bench.clock()) == "its memory has grown to 90 MiB of 100 MiB"

    fake.memory = 50
    bench.after(0.1)
    assert bench.worker.replacement_reason(bench.clock()) == ""
    fake.memory = 90
    bench.after(9.9)
    assert bench.worker.replacement_reason(bench.clock()) == ""
    fake.memory = 50
    bench.after(0.1)
    fake.respond(await fake.requests.get())
    await future
    fake.memory = 90
    bench.after(0.1)
    bench.after(1.1)
    bench.after(1.1)
    assert bench.worker.replacement_reason(bench.clock()) != ""


async def test_a_worker_is_replaced_after_max_requests(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(), replace(CONFIG, max_requests=2))
    await bench.boot()
    for _ in range(2):
        assert bench.worker.replacement_reason(bench.clock()) == ""
        await bench.worker.invoke(request())

    assert bench.worker.replacement_reason(bench.clock()) == "it has served 2 requests"


async def test_a_retired_worker_is_killed_when_its_grace_period_ends(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    future = bench.worker.invoke(request())
    bench.worker.retire("idle", grace_s=5)
    await fake.retired.wait()

    bench.after(4.9)
    assert not future.done()
    bench.after(0.2)

    assert await future == WorkerCrashed("idle, and it did not finish in time", "execution")


async def test_lines_and_lifecycle_events_go_to_the_log(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners())
    fake = await bench.boot()
    fake.log("hello", "world")
    await bench.worker.invoke(request())
    bench.worker.retire("idle")
    await bench.owner.over.wait()

    assert [(slug, line.text) for slug, line in bench.kept.kept_lines] == [("hello", "hello"), ("hello", "world")]
    assert bench.kept.events == [
        ("hello", "boot", {"boot_ms": 1.5, "pid": fake.pid, "missing": []}),
        (
            "hello",
            "shutdown",
            {"reason": "idle", "ended": "the process exited with status 0", "cpu_s": 0.1, "served": 1},
        ),
    ]


async def test_a_cancelled_caller_does_no_harm(spawners: SpawnerFactory) -> None:
    bench = Bench(spawners(keep))
    fake = await bench.boot()
    future = bench.worker.invoke(request())
    future.cancel()
    other = bench.worker.invoke(request())

    for _ in range(2):
        fake.respond(await fake.requests.get())

    assert isinstance(await other, InvocationCompleted)
    assert len(bench.worker.pending) == 0
