"""CPU time of a request: what its own steps used, whatever else the thread did meanwhile."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from outdial.host.worker.metering import CpuMeter, MeteredCoroutine

MS = 1_000_000


def burn(ms: float) -> None:
    until = time.thread_time_ns() + int(ms * MS)
    while time.thread_time_ns() < until:
        pass


def metered(coroutine: Coroutine[Any, Any, Any], limit_ms: int = 10_000) -> MeteredCoroutine[Any]:
    return MeteredCoroutine(coroutine, limit_ms * MS, CpuMeter())


async def test_the_result_and_exceptions_come_through() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("x")

    assert await metered(answer()) == 42
    with pytest.raises(LookupError):
        await metered(fail())


async def test_awaited_exceptions_can_be_handled() -> None:
    async def handler() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "never"

    assert await metered(handler()) == "timed out"


async def test_steps_count_and_waiting_does_not() -> None:
    async def handler() -> None:
        burn(20)
        await asyncio.to_thread(time.sleep, 0.2)
        burn(20)

    run = metered(handler())
    await run
    assert 40 * MS <= run.used_ns < 200 * MS


async def test_cpu_time_of_other_tasks_does_not_count() -> None:
    done = asyncio.Event()

    async def handler() -> None:
        await done.wait()
        burn(5)

    run = metered(handler())
    task = asyncio.ensure_future(asyncio.wait_for(run, None))
    await asyncio.sleep(0)
    burn(300)
    done.set()
    await task
    assert 5 * MS <= run.used_ns < 250 * MS


async def test_beyond_the_limit_it_is_cancelled_and_may_clean_up() -> None:
    cleaned = False

    async def handler() -> None:
        nonlocal cleaned
        try:
            while True:
                burn(5)
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
            cleaned = True

    run = metered(handler(), limit_ms=30)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(until_done(run))
    assert run.exceeded
    assert cleaned
    assert 30 * MS <= run.used_ns < 300 * MS


async def test_one_that_does_not_let_itself_be_cancelled_is_closed() -> None:
    async def handler() -> None:
        while True:
            burn(5)
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                continue

    run = metered(handler(), limit_ms=20)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(until_done(run))
    assert run.used_ns >= 40 * MS


async def test_a_request_cancelled_for_another_reason_has_not_exceeded() -> None:
    run = metered(asyncio.Event().wait())
    task = asyncio.create_task(until_done(run))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not run.exceeded


async def until_done(run: MeteredCoroutine[Any]) -> Any:
    return await run
