"""Serves functions in one process, under the same URLs as Supabase."""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

import uvloop

from outdial import http
from outdial.clock import SystemClock
from outdial.domain.ids import new_id
from outdial.errors_http import SERVER_ERROR_CODES
from outdial.functions.errors import FunctionsError, HttpError
from outdial.functions.loading import LoadedFunction, load_functions
from outdial.functions.paths import HEALTH, PREFIX
from outdial.functions.request import Headers, Request
from outdial.functions.response import Response, preflight
from outdial.functions.runtime import Runtime
from outdial.http import CannotListen, HttpResponse, RequestHead
from outdial.net import is_loopback
from outdial.process import tune_gc
from outdial.settings import SettingError, read_environment

DEFAULT_PORT = 54321
_PREFIX_LENGTH = len(PREFIX)
_DRAIN_S = 10.0

_NOT_FOUND = Response.from_error(HttpError(404, "NOT_FOUND", "Requested function was not found"))
HEALTHY = Response.json({"message": "ok"})


class FunctionApp:
    """Routes requests to the functions of this process."""

    def __init__(self, functions: Mapping[str, LoadedFunction], runtime: Runtime) -> None:
        self.functions = dict(functions)
        self.runtime = runtime
        self._started: list[LoadedFunction] = []

    async def start(self) -> None:
        """Check settings and run the start hooks. When one raises, stop the functions already started."""
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
        """Wait for background tasks, run the stop hooks, and close the database pools."""
        await self.runtime.drain(_DRAIN_S)
        while self._started:
            function = self._started.pop()
            if function.stop is not None:
                try:
                    await function.stop()
                except Exception as error:
                    self.runtime.log.exception("functions.stop_failed", error, function=function.slug)
        await self.runtime.close()

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Return the body limit of the requested function, or the response when there is no such function."""
        function = self._function(head.path)
        if function is not None:
            return function.endpoint.max_body
        return self._respond_without_function(head).to_http(self._new_id())

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Return the function's response."""
        request_id = self._new_id()
        function = self._function(head.path)
        if function is None:
            return self._respond_without_function(head).to_http(request_id)
        path = unquote(head.path[_PREFIX_LENGTH - 1 :])
        request = Request(method=head.method, path=path, query=head.query, headers=head.headers, body=body)
        response = await function.endpoint.respond(request, self.runtime, function.slug, request_id)
        return response.to_http(request_id)

    def error(self, status: int, message: str) -> HttpResponse:
        """Return an error response of the HTTP server itself."""
        return Response.from_error(HttpError(status, SERVER_ERROR_CODES[status], message)).to_http(self._new_id())

    def _function(self, path: str) -> LoadedFunction | None:
        if not path.startswith(PREFIX):
            return None
        return self.functions.get(unquote(path[_PREFIX_LENGTH:]).partition("/")[0])

    def _respond_without_function(self, head: RequestHead) -> Response:
        if head.method == "OPTIONS":
            return preflight(Headers(head.headers).get("access-control-request-headers", ""))
        return HEALTHY if head.path == HEALTH and head.method in ("GET", "HEAD") else _NOT_FOUND

    def _new_id(self) -> str:
        return str(new_id(self.runtime.clock.now()))


@asynccontextmanager
async def serving(
    app: FunctionApp, *, host: str = "127.0.0.1", port: int = 0, behind_proxy: bool = False
) -> AsyncIterator[str]:
    """Serve `app` while the block runs and yield its base URL; port 0 picks a free one.

    Leaving the block finishes requests in flight. Raises CannotListen when the address is taken, or when it is open
    to the network without `behind_proxy`, which states that a proxy terminates TLS.
    """
    if not behind_proxy and not is_loopback(host):
        raise CannotListen(
            f"{host or 'every address'} is open to the network without TLS: "
            "pass --behind-proxy if a proxy terminates TLS"
        )
    listener = http.listen(host, port)
    try:
        await app.start()
    except BaseException:
        listener.close()
        raise
    try:
        url = http.url_of(listener)
        async with http.serving(app, listener, error_response=app.error, drain_s=_DRAIN_S):
            yield url
    finally:
        await app.stop()


async def serve(
    app: FunctionApp,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    behind_proxy: bool = False,
    stop: asyncio.Event | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve `app` until `stop` is set (default: by SIGINT or SIGTERM); `on_ready` receives the base URL."""
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(app, host=host, port=port, behind_proxy=behind_proxy) as url:
        on_ready(url)
        await stop.wait()


def run(
    directory: Path,
    env: Mapping[str, str] | None = None,
    *,
    entrypoints: Mapping[str, Path] = MappingProxyType({}),
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    behind_proxy: bool = False,
    on_ready: Callable[[str], None] = lambda url: None,
) -> int:
    """Serve the functions of `directory` and `entrypoints` until a signal arrives; return the exit status.

    On an invalid setting, function or address, writes one line to standard error and returns 1.
    """

    async def main() -> None:
        runtime = Runtime.from_env(read_environment() if env is None else env, SystemClock())
        app = FunctionApp(load_functions(directory, entrypoints), runtime)
        gc.collect()
        tune_gc()
        await serve(app, host=host, port=port, behind_proxy=behind_proxy, on_ready=on_ready)

    try:
        uvloop.run(main())
    except (SettingError, FunctionsError, CannotListen) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
