"""Whatever workers and callers do, each request has one outcome, is sent once at most, and no bound is passed."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from outdial.host.pool.pool import WorkerPool
from outdial.host.pool.process import ProcessExit
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.frames import InvokeFrame
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import BootFailure, InvocationCompleted, InvocationOutcome, PoolOverloaded
from tests.support.hosting import RecordingSink
from tests.support.workers import FakeSpawner, FakeWorker, ManualClock

CONFIG = FunctionConfig(
    min_workers=1,
    max_workers=3,
    concurrency=2,
    queue=3,
    queue_timeout_s=5,
    idle_timeout_s=8,
    boot_timeout_s=3,
    wall_clock_s=10,
    max_requests=4,
)
events = st.sampled_from(["ask", "ask", "ask", "answer", "answer", "boot", "boot", "refuse", "crash", "spin", "leak"])
steps = st.tuples(events, st.integers(0, 5), st.sampled_from([0.0, 0.0, 0.2, 1.1, 4.0]))


@dataclass
class World:
    clock: ManualClock = field(default_factory=ManualClock)
    starting: list[FakeWorker] = field(default_factory=list)
    kept: list[tuple[FakeWorker, InvokeFrame]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    asked: list[asyncio.Task[InvocationOutcome]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spawner = FakeSpawner(self.receive, self.starting.append)
        self.pool = WorkerPool(
            Bundle("hello", 1, Path("code"), "index.py"),
            CONFIG,
            {},
            spawner=self.spawner,
            sink=RecordingSink(),
            clock=self.clock,
        )

    def receive(self, fake: FakeWorker, received: InvokeFrame) -> None:
        self.sent.append(received.invocation.path)
        self.kept.append((fake, received))

    def respond(self, fake: FakeWorker, received: InvokeFrame) -> None:
        self.sent.append(received.invocation.path)
        fake.respond(received)

    def step(self, event: str, which: int, seconds: float) -> None:
        if event == "ask":
            invocation = Invocation("request", "GET", f"/{len(self.asked)}", "", [], b"")
            self.asked.append(asyncio.create_task(self.pool.invoke(invocation)))
        elif event == "answer" and self.kept:
            fake, received = self.kept.pop(which % len(self.kept))
            fake.respond(received)
        elif event in ("boot", "refuse") and self.starting:
            fake = self.starting.pop(which % len(self.starting))
            fake.send_ready() if event == "boot" else fake.fail("E")
        elif self.spawner.alive:
            fake = self.spawner.alive[which % len(self.spawner.alive)]
            self.harm(fake, event)
        self.clock.advance(seconds)
        self.pool.tick()

    def harm(self, fake: FakeWorker, event: str) -> None:
        if event == "crash":
            fake.end(ProcessExit(1, 0, 0.1))
        elif event == "spin":
            fake.cpu += 1_500
        elif event == "leak":
            fake.memory += 90

    def check_bounds(self) -> None:
        stats = self.pool.stats()
        # One more while a worn worker waits for the one that takes its place.
        assert stats.idle + stats.busy <= CONFIG.max_workers + 1
        assert stats.waiting <= CONFIG.max_in_flight

    async def end(self) -> None:
        """Let everything boot and answer from now on, and take the pool out of service."""
        self.spawner.on_start, self.spawner.on_request = FakeWorker.send_ready, self.respond
        for fake in self.starting:
            fake.send_ready()
        for fake, received in self.kept:
            fake.respond(received)
        await self.pool.drain(10)
        self.spawner.close()


async def let_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def live(script: list[tuple[str, int, float]]) -> World:
    world = World()
    starting = asyncio.create_task(world.pool.start())
    for event, which, seconds in script:
        world.step(event, which, seconds)
        world.check_bounds()
        await let_run()
        world.check_bounds()
    await world.end()
    await starting
    return world


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=60))
def test_each_request_has_one_outcome_and_is_sent_once_at_most(script: list[tuple[str, int, float]]) -> None:
    world = asyncio.run(live(script))

    assert len(world.sent) == len(set(world.sent))
    for number, task in enumerate(world.asked):
        outcome, path = task.result(), f"/{number}"
        if isinstance(outcome, InvocationCompleted):
            assert outcome.body == path.encode()
        if isinstance(outcome, BootFailure | PoolOverloaded):
            assert path not in world.sent
    assert world.spawner.alive == []
    assert world.pool.stats().workers == 0
