"""Keeps a zygote running and starts a new one when it is lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from outdial.host.pool.cgroups import WorkerCgroups
from outdial.host.pool.process import OnExit, OnFrame, WorkerProcess
from outdial.host.pool.spawning import WorkerSpec, ZygoteProcess
from outdial.log import log


class ZygoteSupervisor:
    """Spawns workers from the current zygote (an `outdial.host.pool.handle.WorkerSpawner`)."""

    def __init__(self, stack: AsyncExitStack, zygote: ZygoteProcess, cgroups: WorkerCgroups | None) -> None:
        self._stack = stack
        self._zygote = zygote
        self._cgroups = cgroups
        self._restarting = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def running(cls, cgroups: WorkerCgroups | None = None) -> AsyncIterator[Self]:
        """Keep a zygote running while the block runs. Raise ZygoteLost when the first one does not start."""
        async with AsyncExitStack() as stack:
            yield cls(stack, await stack.enter_async_context(ZygoteProcess.running(cgroups)), cgroups)

    @property
    def pid(self) -> int:
        """The pid of the zygote."""
        return self._zygote.pid

    @property
    def missing(self) -> Sequence[str]:
        """The sandbox layers that this machine lacks, with the reasons."""
        return self._zygote.missing

    async def spawn(self, spec: WorkerSpec, on_frame: OnFrame, on_exit: OnExit) -> WorkerProcess:
        """Start a worker. Raise CannotSpawn, or ZygoteLost when a new zygote does not start either."""
        if self._zygote.lost.is_set():
            async with self._restarting:
                if self._zygote.lost.is_set():
                    log("host.zygote_lost", level="error", pid=self._zygote.pid)
                    self._zygote = await self._stack.enter_async_context(ZygoteProcess.running(self._cgroups))
        return await self._zygote.spawn(spec, on_frame, on_exit)
