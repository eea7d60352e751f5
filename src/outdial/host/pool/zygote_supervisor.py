"""Keeps a zygote alive: workers are ordered from the one at work, and another takes its place when it has ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from outdial.host.pool.process import OnExit, OnFrame, WorkerProcess
from outdial.host.pool.spawning import WorkerSpec, ZygoteProcess
from outdial.log import log


class ZygoteSupervisor:
    """Where workers come from (`outdial.host.pool.handle.WorkerSpawner`)."""

    def __init__(self, stack: AsyncExitStack, zygote: ZygoteProcess) -> None:
        self._stack, self._zygote = stack, zygote
        self._renewing = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        """Start a zygote, and keep one for the length of the block; raises ZygoteLost when the first does not start."""
        async with AsyncExitStack() as stack:
            yield cls(stack, await stack.enter_async_context(ZygoteProcess.running()))

    @property
    def pid(self) -> int:
        """The number of the zygote's process."""
        return self._zygote.pid

    async def spawn(self, order: WorkerSpec, on_frame: OnFrame, on_end: OnExit) -> WorkerProcess:
        """Start a worker; raises CannotSpawn, or ZygoteLost when no zygote could be started either."""
        if self._zygote.lost.is_set():
            async with self._renewing:
                if self._zygote.lost.is_set():
                    log("host.zygote_lost", level="error", pid=self._zygote.pid)
                    self._zygote = await self._stack.enter_async_context(ZygoteProcess.running())
        return await self._zygote.spawn(order, on_frame, on_end)
