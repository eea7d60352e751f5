"""Background tasks: a class with `run_once`, which tests call, and a loop that repeats it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Protocol, TypeVar

from outdial.log import log

Item = TypeVar("Item")

RETRY_DELAY = timedelta(seconds=1)


class BackgroundTask(Protocol):
    """Work that is repeated."""

    async def run_once(self) -> int:
        """Do everything that is due; return how much was done."""
        ...


class RepeatingTask:
    """Runs a task when woken, and after each `pause` in any case, because a wake-up can get lost.

    A woken run begins no sooner than `rest` after the one before, and serves all wake-ups until then.
    """

    def __init__(
        self,
        name: str,
        task: BackgroundTask,
        pause: timedelta | Callable[[], timedelta],
        *,
        rest: timedelta = timedelta(),
    ) -> None:
        self._name = name
        self._task = task
        self._pause = pause
        self._rest = rest
        self._woken = asyncio.Event()
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Run the task soon."""
        self._woken.set()

    def start(self) -> None:
        """Start the loop."""
        self._loop = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Let the current run finish, and start no other."""
        self._stopping = True
        self._woken.set()
        if self._loop is not None:
            await self._loop

    async def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            try:
                await self._task.run_once()
                pause = self._pause if isinstance(self._pause, timedelta) else self._pause()
            except Exception as error:  # such as a lost database connection: the next run tries again
                log(f"{self._name}.failed", level="error", reason=str(error), error=error)
                pause = RETRY_DELAY
            rested_at = asyncio.get_running_loop().time() + self._rest.total_seconds()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause.total_seconds()):
                    await self._woken.wait()
                    async with asyncio.timeout_at(rested_at):
                        await asyncio.Event().wait()


async def run_each(
    items: Iterable[Item],
    work: Callable[[Item], Awaitable[None]],
    *,
    at_once: int,
    on_error: Callable[[Item, Exception], None],
) -> None:
    """Work on every item, at most `at_once` at a time. An error goes to `on_error`, and does not stop the others."""
    gate = asyncio.Semaphore(at_once)

    async def run(item: Item) -> None:
        async with gate:
            try:
                await work(item)
            except Exception as error:
                on_error(item, error)

    await asyncio.gather(*(run(item) for item in items))
