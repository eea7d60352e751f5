"""The simulator as an ASGI application: Retell's API, and its own controls under /_sim."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.controls import Controls
from outdial.retell.simulator.endpoints import MAX_BODY_BYTES, Answer, refuse
from outdial.retell.simulator.runtime import Simulator

ABORT: Final = "outdial.abort"


def build_app(config: SimulatorConfig) -> Starlette:
    """Return the application; `app.state.simulator` is its Simulator, which runs during its lifespan.

    Losing a reply needs a server that offers the ASGI extension ABORT, as `server.running` does; on any other
    server a lost reply is a cut one.
    """
    simulator = Simulator(config)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with simulator.running():
            yield

    routes = [Mount("/_sim", routes=Controls(simulator).routes()), Mount("/", app=_Api(simulator))]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.simulator = simulator
    return app


class _Api:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _read(receive)
        if body is None:
            given = refuse(413)
        else:
            given = self._simulator.answer(scope["method"], scope["path"], body, _authorization(scope))
        if self._simulator.config.create_latency_s and scope["path"] == "/v2/create-phone-call":
            await asyncio.sleep(self._simulator.config.create_latency_s)
        if given.lost == "hang":
            await self._wait_for_end(receive)
        if given.lost:
            await _abort(scope, receive, send)
        else:
            await _respond(send, given)

    async def _wait_for_end(self, receive: Receive) -> None:
        leaving = asyncio.create_task(_left(receive))
        stopping = asyncio.create_task(self._simulator.stopping.wait())
        try:
            await asyncio.wait({leaving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            stopping.cancel()


def _authorization(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return str(value, "latin-1")
    return None


async def _read(receive: Receive) -> bytes | None:
    message = await receive()
    if not message.get("more_body"):
        whole: bytes = message.get("body", b"")
        return whole if len(whole) <= MAX_BODY_BYTES else None
    parts = bytearray(message["body"])
    while message.get("more_body"):
        message = await receive()
        parts += message.get("body", b"")
        if len(parts) > MAX_BODY_BYTES:
            return None
    return bytes(parts)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _abort(scope: Scope, receive: Receive, send: Send) -> None:
    abort: Callable[[], None] | None = scope.get("extensions", {}).get(ABORT, {}).get("abort")
    if abort is None:
        await send(_start(200, [(b"content-length", b"1000")]))
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        return
    abort()
    await _left(receive)


async def _respond(send: Send, given: Answer) -> None:
    headers = [(b"content-length", str(len(given.body)).encode())]
    if given.body:
        headers.append((b"content-type", given.content_type.encode()))
    if given.retry_after_s is not None:
        headers.append((b"retry-after", f"{given.retry_after_s:g}".encode()))
    await send(_start(given.status, headers))
    await send({"type": "http.response.body", "body": given.body})


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> Message:
    message: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers}
    return message
