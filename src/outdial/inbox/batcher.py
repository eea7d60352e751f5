"""Batches events: arrivals during a flush form the next batch, so batches grow with the load and need no timer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class EventBatcher(Generic[Item, Result]):
    """Flushes waiting items in batches of at most `max_batch`; each submitter gets its own result.

    An idle batcher flushes the first item at once. Items that arrive during a flush wait; when `concurrent_at` items
    wait, a second flush runs concurrently, so that Python works while the database does. There are never more than two.
    If a flush raises, every submitter in its batch gets the exception.
    """

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[Sequence[Result]]],
        *,
        max_batch: int = 256,
        concurrent_at: int = 16,
    ) -> None:
        self._flush = flush
        self._max_batch = max_batch
        # Measured at 32 connections: 2,780 events/s with one flush, 2,900 with a second at any size, 3,240 from 16 on.
        self._concurrent_at = concurrent_at
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._runners: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Result:
        """Return the result of `item` when its flush has finished."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._is_flush_due(running=len(self._runners)):
            self._runners.add(asyncio.create_task(self._run()))
        return await future

    async def drain(self) -> None:
        """Wait until no item waits and no flush runs."""
        while self._runners:
            await asyncio.wait(set(self._runners))

    def _is_flush_due(self, *, running: int) -> bool:
        return len(self._waiting) >= (1, self._concurrent_at, inf)[running]

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            while self._is_flush_due(running=len(self._runners) - 1):
                count = min(len(self._waiting), self._max_batch)
                batch = [self._waiting.popleft() for _ in range(count)]
                try:
                    results = await self._flush([item for item, _ in batch])
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                    continue
                for (_, future), result in zip(batch, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        finally:
            self._runners.discard(task)
