"""A transport that calls a simulated workspace without a network, for tests with virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from outdial.retell.errors import TransportFailed
from outdial.retell.simulator.endpoints.exchange import SimulatedRequest
from outdial.retell.simulator.endpoints.routing import handle
from outdial.retell.simulator.workspace import SimulatedWorkspace
from outdial.retell.wire import RetellResponse


class SimulatorTransport:
    """Sends each request to the workspace at time `now()`. A lost response raises TransportFailed."""

    def __init__(self, workspace: SimulatedWorkspace, now: Callable[[], datetime], api_key: str) -> None:
        self._workspace = workspace
        self._now = now
        self._authorization = f"Bearer {api_key}"

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout_s: float,
        before_sending: Callable[[], Awaitable[None]] | None = None,
    ) -> RetellResponse:
        """Return the response after other tasks have run once."""
        if before_sending is not None:
            await before_sending()
        await asyncio.sleep(0)
        now = self._now()
        path, _, query = path.partition("?")
        request = SimulatedRequest(
            method=method,
            path=path,
            body=body or b"",
            authorization=self._authorization,
            now=now,
            arrived=now,
            query=query,
        )
        response = handle(self._workspace, request)
        await asyncio.sleep(0)
        match response.lost:
            case "drop":
                raise TransportFailed("connection lost")
            case "hang":
                raise TransportFailed(f"no response within {timeout_s:g} s")
        return RetellResponse(response.status, response.body, response.retry_after_s)

    async def close(self) -> None:
        """Do nothing."""
