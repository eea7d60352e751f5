"""A background duty: one class with `run_once`, which tests call, and a loop around it with `start` and `stop`."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

from outdial.log import log

AFTER_FAILURE = timedelta(seconds=1)


class Duty(Protocol):
    """Something that is done again and again."""

    async def run_once(self) -> int:
        """Do all that is due; return how much was done."""
        ...


class Repeating:
    """Runs a duty when woken, and after each `pause` in any case, because a signal may be lost."""

    def __init__(self, name: str, duty: Duty, pause: timedelta | Callable[[], timedelta]) -> None:
        self._name, self._duty, self._pause = name, duty, pause
        self._woken = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Run the duty soon."""
        self._woken.set()

    def start(self) -> None:
        """Begin to run the duty in the background."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Let the run under way end, and start no other."""
        self._stopping = True
        self._woken.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            pause = await self._run_once()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause.total_seconds()):
                    await self._woken.wait()

    async def _run_once(self) -> timedelta:
        try:
            await self._duty.run_once()
        except Exception as error:  # the database may be away for a while: a later run tries again
            log(f"{self._name}.failed", level="error", reason=str(error), error=error)
            return AFTER_FAILURE
        return self._pause if isinstance(self._pause, timedelta) else self._pause()
