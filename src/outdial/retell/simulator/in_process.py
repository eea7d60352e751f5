"""A World behind the client's Transport, without a network: for tests under virtual time."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from outdial.retell.errors import TransportFailed
from outdial.retell.simulator.endpoints import Request, answer
from outdial.retell.simulator.world import World
from outdial.retell.wire import RetellResponse


class SimulatorTransport:
    """Hands each request to the world at the moment `now()`; a lost reply raises TransportFailed."""

    def __init__(self, world: World, now: Callable[[], datetime], api_key: str) -> None:
        self._world = world
        self._now = now
        self._authorization = f"Bearer {api_key}"

    async def send(self, method: str, path: str, body: bytes | None, timeout_s: float) -> RetellResponse:
        """Answer at once, after letting other tasks run."""
        await asyncio.sleep(0)
        now = self._now()
        request = Request(method, path, body or b"", self._authorization, now=now, arrived=now)
        given = answer(self._world, request)
        await asyncio.sleep(0)
        match given.lost:
            case "drop":
                raise TransportFailed("connection lost")
            case "hang":
                raise TransportFailed(f"no answer within {timeout_s:g} s")
        return RetellResponse(given.status, given.body, given.retry_after_s)

    async def close(self) -> None:
        """There is nothing to close."""
