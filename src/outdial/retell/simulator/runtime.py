"""A World in motion: its clock, the task that lets things happen, and the deliverer of its webhooks."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from outdial.retell.simulator.clock import SimulatorClock, wall_now
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.endpoints import Answer, Request, answer
from outdial.retell.simulator.webhooks import Deliverer
from outdial.retell.simulator.world import World

log = logging.getLogger(__name__)


class Simulator:
    """Answers requests at the simulated time, and sends webhooks while it is `running`."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.world = World(config)
        self.clock = SimulatorClock(config.start, config.speed)
        self.deliverer = Deliverer(config)
        self.stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._asleep_until = self.world.next_due()

    def answer(self, method: str, path: str, body: bytes, authorization: str | None) -> Answer:
        """Answer one request of the API now."""
        request = Request(method, path, body, authorization, now=self.clock.now(), arrived=wall_now())
        given = answer(self.world, request)
        due = self.world.next_due()
        if due is not None and (self._asleep_until is None or due < self._asleep_until):
            self._changed.set()
        return given

    def reset(self, seed: int | None) -> None:
        """Forget everything; with a new seed if given."""
        self.world.reset(self.config.seed if seed is None else seed)
        self.deliverer.clear()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let time pass inside the block; at its end no task is left."""
        tasks = [asyncio.create_task(self._let_happen()), asyncio.create_task(self.deliverer.run())]
        for task in tasks:
            task.add_done_callback(_report_failure)
        try:
            yield
        finally:
            self.stopping.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _let_happen(self) -> None:
        while True:
            self._changed.clear()
            for webhook in self.world.advance(self.clock.now()):
                await self.deliverer.put(webhook)
            self._asleep_until = self.world.next_due()
            wait_s = None if self._asleep_until is None else self.clock.seconds_until(self._asleep_until)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()


def _report_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the simulator has stopped sending webhooks", exc_info=error)
