"""Batches follow the load: items that arrive during a flush wait for the next one."""

import asyncio

import pytest

from outdial.inbox.batcher import EventBatcher


class Slow:
    """A flush that blocks until released, and records its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = asyncio.Semaphore(0)
        self.go = asyncio.Semaphore(0)

    async def flush(self, items: list[int]) -> list[str]:
        """Return a text for each item."""
        self.batches.append(items)
        self.begun.release()
        await self.go.acquire()
        return [f"result {item}" for item in items]


async def test_an_idle_batcher_flushes_the_first_item_at_once_and_collects_meanwhile() -> None:
    slow = Slow()
    batcher = EventBatcher(slow.flush)
    first = asyncio.create_task(batcher.submit(1))
    await slow.begun.acquire()
    others = [asyncio.create_task(batcher.submit(n)) for n in (2, 3, 4)]
    await asyncio.sleep(0)
    assert slow.batches == [[1]]
    slow.go.release()
    await slow.begun.acquire()
    assert await first == "result 1"
    assert slow.batches == [[1], [2, 3, 4]]
    slow.go.release()
    assert await asyncio.gather(*others) == ["result 2", "result 3", "result 4"]


async def test_a_batch_has_at_most_max_batch_items_in_order() -> None:
    batches: list[list[int]] = []

    async def flush(items: list[int]) -> list[int]:
        batches.append(items)
        return [item * 10 for item in items]

    batcher = EventBatcher(flush, max_batch=4)
    results = await asyncio.gather(*(batcher.submit(n) for n in range(10)))
    assert results == [n * 10 for n in range(10)]
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_a_second_flush_runs_concurrently_when_enough_items_wait_and_never_a_third() -> None:
    slow = Slow()
    batcher = EventBatcher(slow.flush, max_batch=2, concurrent_at=2)
    submitted = [asyncio.create_task(batcher.submit(1))]
    await slow.begun.acquire()
    submitted.append(asyncio.create_task(batcher.submit(2)))
    await asyncio.sleep(0)
    assert slow.batches == [[1]]
    submitted += [asyncio.create_task(batcher.submit(n)) for n in (3, 4, 5, 6)]
    await slow.begun.acquire()
    for _ in range(3):
        await asyncio.sleep(0)
    assert slow.batches == [[1], [2, 3]]
    for _ in range(4):
        slow.go.release()
    assert await asyncio.gather(*submitted) == [f"result {n}" for n in range(1, 7)]
    assert slow.batches == [[1], [2, 3], [4, 5], [6]]


async def test_items_too_few_for_a_second_flush_are_taken_by_the_last_to_finish() -> None:
    slow = Slow()
    batcher = EventBatcher(slow.flush, concurrent_at=2)
    submitted = [asyncio.create_task(batcher.submit(1))]
    await slow.begun.acquire()
    submitted += [asyncio.create_task(batcher.submit(n)) for n in (2, 3)]
    await slow.begun.acquire()
    submitted.append(asyncio.create_task(batcher.submit(4)))
    await asyncio.sleep(0)
    slow.go.release()
    assert await submitted[0] == "result 1"
    assert slow.batches == [[1], [2, 3]]
    slow.go.release()
    slow.go.release()
    assert await asyncio.gather(*submitted) == [f"result {n}" for n in range(1, 5)]
    assert slow.batches == [[1], [2, 3], [4]]


async def test_when_a_flush_raises_its_submitters_get_the_exception_and_the_next_flush_runs() -> None:
    async def flush(items: list[int]) -> list[int]:
        if 1 in items:
            raise RuntimeError("the disk is full")
        return items

    batcher = EventBatcher(flush, max_batch=2)
    results = await asyncio.gather(*(batcher.submit(n) for n in (1, 2, 3)), return_exceptions=True)
    assert [str(result) for result in results] == ["the disk is full", "the disk is full", "3"]
    assert await batcher.submit(4) == 4


async def test_drain_returns_when_every_submitted_item_is_flushed() -> None:
    slow = Slow()
    batcher = EventBatcher(slow.flush)
    tasks = [asyncio.create_task(batcher.submit(n)) for n in (1, 2)]
    await slow.begun.acquire()
    drained = asyncio.create_task(batcher.drain())
    tasks.append(asyncio.create_task(batcher.submit(3)))
    await asyncio.sleep(0)
    assert not drained.done()
    slow.go.release()
    slow.go.release()
    await drained
    assert [task.done() for task in tasks] == [True, True, True]
    await batcher.drain()


async def test_cancelling_a_submitter_affects_no_item() -> None:
    slow = Slow()
    batcher = EventBatcher(slow.flush)
    gone, stays = (asyncio.create_task(batcher.submit(n)) for n in (1, 2))
    await slow.begun.acquire()
    gone.cancel()
    slow.go.release()
    assert await stays == "result 2"
    assert slow.batches == [[1, 2]]
    with pytest.raises(asyncio.CancelledError):
        await gone
