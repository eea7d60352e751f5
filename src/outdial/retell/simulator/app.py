"""The simulator as an ASGI application: Retell's API, and the controls under /_sim."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.controls import SimulatorControls
from outdial.retell.simulator.endpoints.exchange import error_response
from outdial.retell.simulator.endpoints.routing import MAX_BODY_BYTES
from outdial.retell.simulator.runtime import Simulator

ABORT: Final = "outdial.abort"


def build_app(config: SimulatorConfig) -> Starlette:
    """Return the application. Its Simulator is `app.state.simulator` and runs during the lifespan.

    To drop a response, the server must offer the ASGI extension ABORT, as `server.running` does. On other servers, a
    dropped response is a truncated one.
    """
    simulator = Simulator(config)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with simulator.running():
            yield

    routes = [Mount("/_sim", routes=SimulatorControls(simulator).routes()), Mount("/", app=_Api(simulator))]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.simulator = simulator
    return app


class _Api:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        authorization = headers[b"authorization"].decode("latin-1") if b"authorization" in headers else None
        body = await _read(receive)
        if body is None:
            response = error_response(413)
        else:
            response = self._simulator.handle(
                scope["method"],
                scope["path"],
                body,
                authorization=authorization,
                query=scope["query_string"].decode("latin-1"),
            )
        if self._simulator.config.create_latency_s and scope["path"] == "/v2/create-phone-call":
            await asyncio.sleep(self._simulator.config.create_latency_s)
        if response.lost:
            await self._lose_response(scope, receive, send, hang=response.lost == "hang")
            return
        pairs = [(b"content-length", str(len(response.body)).encode())]
        if response.body:
            pairs.append((b"content-type", response.content_type.encode()))
        if response.retry_after_s is not None:
            pairs.append((b"retry-after", f"{response.retry_after_s:g}".encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": pairs})
        await send({"type": "http.response.body", "body": response.body})

    async def _lose_response(self, scope: Scope, receive: Receive, send: Send, *, hang: bool) -> None:
        if hang:
            leaving = asyncio.create_task(_disconnected(receive))
            stopping = asyncio.create_task(self._simulator.stopping.wait())
            try:
                await asyncio.wait({leaving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                stopping.cancel()
        abort: Callable[[], None] | None = scope.get("extensions", {}).get(ABORT, {}).get("abort")
        if abort is not None:
            abort()
            await _disconnected(receive)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


async def _read(receive: Receive) -> bytes | None:
    message = await receive()
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        return body if len(body) <= MAX_BODY_BYTES else None
    parts = bytearray(message["body"])
    while message.get("more_body"):
        message = await receive()
        parts += message.get("body", b"")
        if len(parts) > MAX_BODY_BYTES:
            return None
    return bytes(parts)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
