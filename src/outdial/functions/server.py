"""Serves functions in one process, under the URLs of Supabase."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
import uvloop

from outdial.clock import SystemClock
from outdial.domain.ids import new_id
from outdial.functions.asgi import Receive, Scope, Send
from outdial.functions.errors import CannotListen, ClientDisconnected, FunctionsError, HttpError
from outdial.functions.loading import Function, load_functions
from outdial.functions.request import Request
from outdial.functions.response import PREFLIGHT, Response
from outdial.functions.runtime import Runtime
from outdial.settings import SettingError, is_local

PREFIX = "/functions/v1/"
DEFAULT_PORT = 54321
_HEALTH = PREFIX + "_internal/health"
_PREFIX_LENGTH = len(PREFIX)
_DRAIN_S = 10.0
_KEEP_ALIVE_S = 75

_NOT_FOUND = Response.of(HttpError(404, "NOT_FOUND", "Requested function was not found"))
_HEALTHY = Response.json({"message": "ok"})


class App:
    """An ASGI application. Written by hand: it is on the path of each webhook, and routing is one dict."""

    def __init__(self, functions: Mapping[str, Function], runtime: Runtime) -> None:
        self.functions = dict(functions)
        self.runtime = runtime
        self._started: list[Function] = []

    async def start(self) -> None:
        """Check the settings and run the functions' start hooks; when one raises, what was started is stopped."""
        try:
            for function in self.functions.values():
                function.endpoint.check_settings(self.runtime)
            for function in self.functions.values():
                if function.start is not None:
                    await function.start(self.runtime)
                self._started.append(function)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Let work in the background end, run the stop hooks, and close the pools."""
        await self.runtime.drain(_DRAIN_S)
        while self._started:
            function = self._started.pop()
            if function.stop is not None:
                try:
                    await function.stop()
                except Exception as error:
                    self.runtime.log.exception("functions.stop_failed", error, function=function.slug)
        await self.runtime.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise ValueError(f"functions speak HTTP, not {scope['type']}")
        request_id = str(new_id(self.runtime.clock.now()))
        try:
            response = await self._answer(scope, receive, request_id)
        except ClientDisconnected:
            return
        await send(response.start(request_id))
        await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> Response:
        path: str = scope["path"]
        if path.startswith(PREFIX):
            slug = path[_PREFIX_LENGTH:].partition("/")[0]
            function = self.functions.get(slug)
            if function is not None:
                request = Request(scope, receive, path[_PREFIX_LENGTH - 1 :])
                return await function.endpoint.answer(request, self.runtime, slug, request_id)
        if scope["method"] == "OPTIONS":
            return PREFLIGHT
        return _HEALTHY if path == _HEALTH and scope["method"] in ("GET", "HEAD") else _NOT_FOUND


def build_app(functions: Mapping[str, Function], runtime: Runtime) -> App:
    """Return the ASGI application that answers /functions/v1/<slug> and below."""
    return App(functions, runtime)


@asynccontextmanager
async def serving(
    app: App, *, host: str = "127.0.0.1", port: int = 0, behind_proxy: bool = False
) -> AsyncIterator[str]:
    """Serve `app` while the block runs, and give its base URL; port 0 takes a free one.

    On leaving, requests under way are answered first. Raises CannotListen when the address is taken, or when it is
    open to the network and nothing says that a proxy ends TLS in front (`behind_proxy`).
    """
    listener = _listen(host, port, behind_proxy)
    try:
        await app.start()
    except BaseException:
        listener.close()
        raise
    server = _Server(_config(app))
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield _url(listener)
    finally:
        server.should_exit = True
        await task
        await app.stop()


async def serve(
    app: App,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    behind_proxy: bool = False,
    stop: asyncio.Event | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve `app` until `stop` is set, by default by SIGINT or SIGTERM; `on_ready` is told the base URL."""
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(app, host=host, port=port, behind_proxy=behind_proxy) as url:
        on_ready(url)
        await stop.wait()


def run(
    directory: Path,
    env: Mapping[str, str] = os.environ,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    behind_proxy: bool = False,
    on_ready: Callable[[str], None] = lambda url: None,
) -> int:
    """Serve the functions of `directory` until a signal comes; return the exit status.

    1, after one line on standard error that names the cause, when a setting, a function or the address is wrong.
    """

    async def main() -> None:
        runtime = Runtime.from_env(env, SystemClock())
        app = build_app(load_functions(directory), runtime)
        await serve(app, host=host, port=port, behind_proxy=behind_proxy, on_ready=on_ready)

    try:
        uvloop.run(main())
    except (SettingError, FunctionsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals belong to the process, which may run more than this server.
        yield


def _config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(_DRAIN_S),
    )


def _listen(host: str, port: int, behind_proxy: bool) -> socket.socket:
    name = f"[{host}]" if ":" in host else host
    # An empty host means every address, though an empty host in a URL means this machine.
    if not behind_proxy and not (host and is_local(f"http://{name}")):
        raise CannotListen(
            f"{host or 'every address'} is open to the network without TLS: put a proxy in front and say so"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise CannotListen(f"{name}:{port}: {error.strerror or error}") from error
    # asyncio leaves Nagle on for such a socket, and a header and a body sent apart then take 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
