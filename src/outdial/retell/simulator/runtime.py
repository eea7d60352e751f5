"""Runs a simulated workspace: its clock, the task that advances it, and the sender of its webhooks."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from outdial.retell.simulator.clock import SimulatorClock, wall_now
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.endpoints.exchange import SimulatedRequest, SimulatedResponse
from outdial.retell.simulator.endpoints.routing import handle
from outdial.retell.simulator.webhook_sender import WebhookSender
from outdial.retell.simulator.workspace import SimulatedWorkspace

log = logging.getLogger(__name__)


class Simulator:
    """Handles requests at the simulated time, and sends webhooks while `running`."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.workspace = SimulatedWorkspace(config)
        self.clock = SimulatorClock(config.start, config.speed)
        self.deliverer = WebhookSender(config, self.workspace)
        self.stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._asleep_until = self.workspace.next_due()

    def handle(
        self, method: str, path: str, body: bytes, *, authorization: str | None, query: str = ""
    ) -> SimulatedResponse:
        """Handle one API request now."""
        request = SimulatedRequest(
            method=method,
            path=path,
            body=body,
            authorization=authorization,
            now=self.clock.now(),
            arrived=wall_now(),
            query=query,
        )
        response = handle(self.workspace, request)
        due = self.workspace.next_due()
        if due is not None and (self._asleep_until is None or due < self._asleep_until):
            self._changed.set()
        return response

    def reset(self, seed: int | None) -> None:
        """Reset the workspace, optionally with a new seed."""
        self.workspace.reset(self.config.seed if seed is None else seed)
        self.deliverer.clear()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Advance the workspace and send webhooks during the block."""
        tasks = [asyncio.create_task(self._advance()), asyncio.create_task(self.deliverer.run())]
        for task in tasks:
            task.add_done_callback(_log_failure)
        try:
            yield
        finally:
            self.stopping.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _advance(self) -> None:
        while True:
            self._changed.clear()
            for webhook in self.workspace.advance(self.clock.now()):
                await self.deliverer.put(webhook)
            self._asleep_until = self.workspace.next_due()
            wait_s = None if self._asleep_until is None else self.clock.seconds_until(self._asleep_until)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the simulator stopped sending webhooks", exc_info=error)
