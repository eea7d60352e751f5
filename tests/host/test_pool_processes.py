"""Pools of real processes, forked from a real zygote."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from outdial.host.log.sink import EventKind
from outdial.host.pool.pool import WorkerPool
from outdial.host.pool.spawning import ZygoteProcess
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BootFailed
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import (
    BootFailure,
    InvocationCompleted,
    InvocationOutcome,
    InvocationTimedOut,
    LimitExceeded,
    WorkerCrashed,
)
from tests.support.hosting import KEYS, PATIENCE_S, RecordingSink, make_bundle, misbehaving

SLOW = """
    import asyncio
    from outdial.functions import Context, Request, Response, with_supabase

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        await asyncio.sleep(0.01)
        return Response.json({"path": request.path})
"""
WORK_AFTERWARDS = """
    import asyncio
    from outdial.functions import Context, Request, Response, with_supabase

    async def work() -> None:
        await asyncio.sleep(0.05)
        print("worked")

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        ctx.wait_until(work())
        return Response.json({})
"""
COMPUTES = """
    import asyncio, time
    from outdial.functions import Context, Request, Response, with_supabase

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        for _ in range(2):
            until = time.thread_time() + 0.015
            while time.thread_time() < until:
                pass
            await asyncio.sleep(0)
        return Response.json({})
"""


class Told(RecordingSink):
    """Keeps what it is told, for whoever waits until a worker has ended."""

    def __init__(self) -> None:
        super().__init__()
        self._is_over = asyncio.Event()

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        super().event(slug, version, execution_id, kind, fields)
        if kind == "shutdown":
            self._is_over.set()

    async def end_of_worker(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._is_over.wait()


class Pools:
    def __init__(self, zygote: ZygoteProcess) -> None:
        self.kept, self.zygote = Told(), zygote
        self._open: list[WorkerPool] = []

    def open(self, bundle: Bundle, **limits: Any) -> WorkerPool:
        self._open.append(WorkerPool(bundle, FunctionConfig(**limits), KEYS, spawner=self.zygote, sink=self.kept))
        return self._open[-1]

    def pids(self) -> list[int]:
        return [fields["pid"] for _, kind, fields in self.kept.events if kind == "boot"]  # type: ignore[misc]

    async def close(self) -> None:
        await asyncio.gather(*(pool.drain(1) for pool in self._open))


@pytest.fixture
async def pools() -> AsyncIterator[Pools]:
    async with ZygoteProcess.running() as zygote:
        pools = Pools(zygote)
        yield pools
        await pools.close()


def ask(pool: WorkerPool, path: str = "/hello") -> asyncio.Task[InvocationOutcome]:
    return asyncio.create_task(pool.invoke(Invocation("request", "POST", path, "", [], b"{}")))


async def test_a_cold_start_and_warm_requests_get_responses(pools: Pools, tmp_path: Path) -> None:
    pool = pools.open(make_bundle(tmp_path))

    first, second = await ask(pool), await ask(pool)

    assert isinstance(first, InvocationCompleted)
    assert isinstance(second, InvocationCompleted)
    assert (first.body, first.cold, second.cold) == (b'{"hello":"/hello"}', True, False)


async def test_two_workers_serve_two_hundred_concurrent_requests(pools: Pools, tmp_path: Path) -> None:
    pool = pools.open(make_bundle(tmp_path, source=SLOW), concurrency=32, max_workers=2, queue=200)

    outcomes = await asyncio.gather(*(ask(pool, f"/hello/{n}") for n in range(200)))

    bodies = [outcome.body.decode() for outcome in outcomes if isinstance(outcome, InvocationCompleted)]
    assert bodies == [f'{{"path":"/hello/{n}"}}' for n in range(200)]
    assert len(pools.pids()) == 2


async def test_an_idle_pool_scales_down_to_nothing(pools: Pools, tmp_path: Path) -> None:
    pool = pools.open(make_bundle(tmp_path), idle_timeout_s=0.05)
    await ask(pool)
    (pid,) = pools.pids()

    await pools.kept.end_of_worker()

    assert pool.stats().workers == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_killing_a_worker_under_load_fails_only_its_own_requests(pools: Pools, tmp_path: Path) -> None:
    pool = pools.open(make_bundle(tmp_path, source=SLOW), concurrency=8, min_workers=2, max_workers=2, queue=500)
    await pool.start()
    asked = [ask(pool, f"/hello/{n}") for n in range(100)]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)

    os.kill(pools.pids()[0], signal.SIGKILL)
    outcomes = await asyncio.gather(*asked)

    crashed = [outcome for outcome in outcomes if isinstance(outcome, WorkerCrashed)]
    answered = [outcome for outcome in outcomes if isinstance(outcome, InvocationCompleted)]
    assert 1 <= len(crashed) <= 8
    assert {outcome.reason for outcome in crashed} == {"the process was killed by SIGKILL"}
    assert len(answered) + len(crashed) == 100
    assert isinstance(await ask(pool), InvocationCompleted)


async def test_draining_under_load_loses_nothing(pools: Pools, tmp_path: Path) -> None:
    pool = pools.open(make_bundle(tmp_path, source=SLOW), concurrency=8, max_workers=2, queue=500)
    asked = [ask(pool, f"/hello/{n}") for n in range(200)]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)

    await pool.drain(30)

    assert {type(task.result()) for task in asked} == {InvocationCompleted}
    assert pool.stats().workers == 0


async def test_work_in_the_background_is_done_before_a_worker_ends(pools: Pools, tmp_path: Path) -> None:
    pool = pools.open(make_bundle(tmp_path, source=WORK_AFTERWARDS))
    await ask(pool)

    await pool.drain(30)

    assert "worked" in [line.text for _, line in pools.kept.kept_lines]


@pytest.mark.parametrize("mode", ["", "/printing"])
async def test_a_function_that_spins_is_killed_and_others_stay_quick(pools: Pools, tmp_path: Path, mode: str) -> None:
    good = pools.open(make_bundle(tmp_path), min_workers=1)
    await good.start()
    spins = pools.open(misbehaving("spins"), cpu_ms=500, max_workers=1)

    spinning, served = ask(spins, f"/spins{mode}"), 0
    while not spinning.done():
        assert isinstance(await ask(good), InvocationCompleted)
        served += 1

    outcome = await spinning
    assert isinstance(outcome, LimitExceeded)
    assert (outcome.resource, outcome.limit) == ("cpu", 500)
    assert 500 < outcome.used < 5_000
    # A request takes some 2 ms. A worker that waited for the one that spins would have served one.
    assert served > 10
    assert isinstance(await ask(spins, "/spins/well"), InvocationCompleted)


async def test_many_requests_that_compute_a_little_each_are_not_taken_for_one_that_spins(
    pools: Pools, tmp_path: Path
) -> None:
    pool = pools.open(make_bundle(tmp_path, source=COMPUTES), cpu_ms=200, max_workers=1)

    outcomes = await asyncio.gather(*(ask(pool) for _ in range(20)))

    assert {type(outcome) for outcome in outcomes} == {InvocationCompleted}


async def test_a_function_over_its_memory_limit_continues_with_a_new_worker(pools: Pools) -> None:
    pool = pools.open(misbehaving("eats-memory"), memory_mb=64)

    for mode in ("", "/at-once"):
        outcome = await ask(pool, f"/eats-memory{mode}")
        assert isinstance(outcome, LimitExceeded), outcome
        assert (outcome.resource, outcome.limit) == ("memory", 64)
    assert isinstance(await ask(pool, "/eats-memory/well"), InvocationCompleted)


async def test_memory_counts_although_no_rlimit_does(pools: Pools) -> None:
    pool = pools.open(misbehaving("eats-memory"), memory_mb=64)
    await ask(pool, "/eats-memory/uncounted")

    await pools.kept.end_of_worker()

    assert pool.stats().killed == 1
    assert isinstance(await ask(pool, "/eats-memory/well"), InvocationCompleted)


@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel limits the threads of an ordinary user's workers")
async def test_threads_that_the_kernel_does_not_limit_end_the_worker(pools: Pools) -> None:
    pool = pools.open(misbehaving("starts-threads"), max_workers=1)
    outcome = await asyncio.wait_for(ask(pool, "/starts-threads/hold"), PATIENCE_S)
    assert isinstance(outcome, LimitExceeded)
    assert (outcome.resource, outcome.limit) == ("threads", 64)
    assert outcome.used > 64
    await pools.kept.end_of_worker()


async def test_forged_heartbeats_delay_the_limit_and_do_not_remove_it(pools: Pools) -> None:
    pool = pools.open(misbehaving("spins"), cpu_ms=300)

    async with asyncio.timeout(PATIENCE_S):
        outcome = await ask(pool, "/spins/forging")

    assert isinstance(outcome, LimitExceeded), outcome
    assert (outcome.resource, outcome.limit) == ("cpu", 300)
    assert 600 < outcome.used < 5_000
    assert isinstance(await ask(pool, "/spins/well"), InvocationCompleted)


@pytest.mark.parametrize("kind", ["another-response", "another-limit", "ready-again"])
async def test_frames_that_a_worker_must_not_send_now_kill_it(
    pools: Pools, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    pool = pools.open(misbehaving("writes-frames"))

    await ask(pool, f"/writes-frames/{kind}")
    await pools.kept.end_of_worker()

    assert "host.bad_frame" in [record.getMessage() for record in caplog.records]
    assert isinstance(await ask(pool, "/writes-frames/well"), InvocationCompleted)


async def test_a_hanging_function_times_out_and_frees_its_slot(pools: Pools) -> None:
    pool = pools.open(misbehaving("never-answers"), wall_clock_s=1, max_workers=1, concurrency=1)

    outcomes = await asyncio.gather(ask(pool, "/never-answers"), ask(pool, "/never-answers/well"))

    assert isinstance(outcomes[0], InvocationTimedOut)
    assert isinstance(outcomes[1], InvocationCompleted)
    await pools.kept.end_of_worker()
    assert pool.stats().killed == 1


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("", "the process exited with status 2"), ("/hard", "the process exited with status 3"), ("/crash", "SIGSEGV")],
)
async def test_a_function_that_exits_crashes_its_own_requests_only(pools: Pools, mode: str, reason: str) -> None:
    pool = pools.open(misbehaving("exits"))

    outcome = await ask(pool, f"/exits{mode}")

    assert isinstance(outcome, WorkerCrashed)
    assert reason in outcome.reason
    assert isinstance(await ask(pool, "/exits/well"), InvocationCompleted)


async def test_an_import_error_names_its_location(pools: Pools) -> None:
    pool = pools.open(misbehaving("fails-at-import"))

    with pytest.raises(BootFailed, match=r"Traceback[\s\S]*in prepare[\s\S]*LookupError: no table for nobody"):
        await pool.probe()
    assert isinstance(await ask(pool), BootFailure)


async def test_a_version_is_proved_by_a_worker_that_then_serves(pools: Pools, tmp_path: Path) -> None:
    pool = pools.open(make_bundle(tmp_path))
    await pool.probe()

    outcome = await ask(pool)

    assert isinstance(outcome, InvocationCompleted)
    assert not outcome.cold
