"""Routing, starting and stopping."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outdial.clock import SystemClock
from outdial.functions import Context, Env, Request, Response, Runtime, with_supabase
from outdial.functions.loading import LoadedFunction
from outdial.functions.server import FunctionApp, serve, serving
from outdial.http import CannotListen
from outdial.settings import MissingSetting

Serve = Callable[..., AbstractAsyncContextManager[aiohttp.ClientSession]]

HELLO = """
from outdial.functions import Response, with_supabase
{start}
@with_supabase(auth="none")
async def fetch(request, ctx):
    return Response("hello")
"""


@with_supabase(auth="none")
async def hello(request: Request, ctx: Context) -> Response:
    return Response("hello")


def runtime(env: dict[str, str] | None = None) -> Runtime:
    return Runtime.from_env(env or {}, SystemClock())


@pytest.mark.parametrize("path", ["/functions/v1/hello", "/functions/v1/hello/", "/functions/v1/hello/a/b?c=d"])
async def test_a_function_is_served_at_its_slug_and_below(path: str, serve: Serve) -> None:
    async with serve(hello=hello) as client, client.get(path) as response:
        assert (response.status, await response.text()) == (200, "hello")
        assert response.headers["x-served-by"] == "outdial-functions"


@pytest.mark.parametrize(
    "path", ["/", "/hello", "/functions/v1", "/functions/v1/", "/functions/v1/hell", "/functions/v1//hello"]
)
async def test_everything_else_is_not_found(path: str, serve: Serve) -> None:
    message = "Requested function was not found"
    async with serve(hello=hello) as client, client.post(path) as response:
        assert response.status == 404
        assert await response.json() == {"error": message, "code": "NOT_FOUND", "message": message}
        assert response.headers["sb-error-code"] == "NOT_FOUND"


async def test_health_responds_to_get_and_head(serve: Serve) -> None:
    async with serve() as client:
        async with client.get("_internal/health") as response:
            assert await response.json() == {"message": "ok"}
        async with client.head("_internal/health") as response:
            assert (response.status, await response.read()) == (200, b"")


async def test_a_response_does_not_wait_for_an_acknowledgement(serve: Serve) -> None:
    now = asyncio.get_running_loop().time
    quick = 0
    async with serve(hello=hello) as client:
        for _ in range(100):
            began = now()
            async with client.post("hello", data=b"x" * 1000) as response:
                await response.read()
            quick += now() - began < 0.03
            if quick == 20:
                break

    # The first ones do not wait in any case, and a busy machine delays some.
    assert quick == 20, "Nagle's algorithm is on: each answer waits 40 ms"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
async def test_the_network_is_not_listened_to_without_a_proxy(host: str) -> None:
    with pytest.raises(CannotListen, match="open to the network"):
        async with serving(FunctionApp({}, runtime()), host=host):
            pass


async def test_behind_a_proxy_the_network_is_listened_to() -> None:
    async with serving(FunctionApp({}, runtime()), host="0.0.0.0", behind_proxy=True) as url:
        assert url.startswith("http://0.0.0.0:")


async def test_an_address_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}"):
            async with serving(FunctionApp({}, runtime()), port=port):
                pass


async def test_a_request_in_flight_finishes_before_the_stop() -> None:
    arrived, go_on, stop, ready = asyncio.Event(), asyncio.Event(), asyncio.Event(), asyncio.Queue[str]()

    @with_supabase(auth="none")
    async def slow(request: Request, ctx: Context) -> Response:
        arrived.set()
        await go_on.wait()
        return Response("done")

    app = FunctionApp({"slow": LoadedFunction("slow", slow)}, runtime())
    server = asyncio.create_task(serve(app, port=0, stop=stop, on_ready=ready.put_nowait))
    async with aiohttp.ClientSession(await ready.get()) as client:
        answer = asyncio.create_task(client.get("/functions/v1/slow"))
        await arrived.wait()
        stop.set()
        asyncio.get_running_loop().call_later(0.2, go_on.set)
        response = await answer
        assert await response.text() == "done"
    await server


async def test_a_response_does_not_wait_for_background_tasks(serve: Serve) -> None:
    told: list[str] = []
    go_on = asyncio.Event()

    @with_supabase(auth="none")
    async def later(request: Request, ctx: Context) -> Response:
        async def work() -> None:
            await go_on.wait()
            told.append("worked")

        ctx.wait_until(work())
        return Response("at once")

    async with serve(later=later) as client:
        async with client.get("later") as response:
            assert await response.text() == "at once"
        assert told == []
        go_on.set()

    assert told == ["worked"]


async def test_background_tasks_finish_before_the_stop_hooks_run() -> None:
    told: list[str] = []
    go_on = asyncio.Event()
    held = runtime()

    async def first() -> None:
        await go_on.wait()
        told.append("first")
        held.run_in_background(second(), held.log)

    async def second() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        told.append("second")

    async def stop() -> None:
        told.append("stopped")

    app = FunctionApp({"hello": LoadedFunction("hello", hello, stop=stop)}, held)
    await app.start()
    held.run_in_background(first(), held.log)
    stopping = asyncio.create_task(app.stop())
    for _ in range(10):
        await asyncio.sleep(0)
    assert told == []

    go_on.set()
    await stopping

    assert told == ["first", "second", "stopped"]


async def test_work_in_the_background_that_fails_is_logged_with_its_request(serve: Serve, lines: Any) -> None:
    async def fail() -> None:
        raise RuntimeError("the reason")

    @with_supabase(auth="none")
    async def later(request: Request, ctx: Context) -> Response:
        ctx.wait_until(fail())
        return Response("")

    async with serve(later=later) as client, client.get("later") as response:
        request_id = response.headers["sb-request-id"]

    [line] = [line for line in lines.lines if line["event"] == "functions.background_work_failed"]
    assert (line["function"], line["request_id"]) == ("later", request_id)
    assert "the reason" in line["traceback"]


async def test_endless_background_work_is_cancelled_and_logged(lines: Any) -> None:
    held = runtime()
    held.run_in_background(asyncio.Event().wait(), held.log)

    await held.drain(0.01)

    assert lines.events() == ["functions.background_work_cut"]


async def test_hooks_run_in_order_and_started_functions_stop_when_one_fails() -> None:
    told: list[str] = []

    def function(slug: str, error: Exception | None = None) -> LoadedFunction:
        async def start(runtime: Runtime) -> None:
            assert isinstance(runtime.env, Env)
            if error:
                raise error
            told.append(f"start {slug}")

        async def stop() -> None:
            told.append(f"stop {slug}")

        return LoadedFunction(slug, hello, start, stop)

    functions = [function("a"), function("b"), function("c", MissingSetting("X", "c needs it")), function("d")]
    with pytest.raises(MissingSetting):
        async with serving(FunctionApp({f.slug: f for f in functions}, runtime())):
            pass

    assert told == ["start a", "start b", "stop b", "stop a"]


@pytest.mark.parametrize(
    ("mode", "setting"),
    [
        ("user", "SUPABASE_JWT_SECRET"),
        ("secret", "SUPABASE_SERVICE_ROLE_KEY"),
        ("publishable", "SUPABASE_ANON_KEY"),
    ],
)
async def test_a_function_that_could_let_nobody_in_does_not_start(mode: str, setting: str) -> None:
    guarded = with_supabase(auth=mode)(hello.handler)

    with pytest.raises(MissingSetting, match=setting):
        await FunctionApp({"guarded": LoadedFunction("guarded", guarded)}, runtime()).start()


async def run_process(directory: Path) -> asyncio.subprocess.Process:
    program = (
        "import sys; from pathlib import Path; from outdial.functions.server import run;"
        "sys.exit(run(Path(sys.argv[1]), {}, port=0, on_ready=lambda url: print(url, flush=True)))"
    )
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", program, directory, stdout=pipe, stderr=pipe)


def write_function(directory: Path, text: str) -> None:
    (directory / "hello").mkdir()
    (directory / "hello" / "index.py").write_text(text)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_serves_until_it_is_told_to_stop(number: signal.Signals, tmp_path: Path) -> None:
    write_function(tmp_path, HELLO.format(start=""))
    process = await run_process(tmp_path)
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession(url) as client, client.get("/functions/v1/hello") as response:
        assert await response.text() == "hello"

    process.send_signal(number)

    assert await process.communicate() == (b"", b"")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            HELLO.format(
                start="from outdial.settings import require\nasync def start(r): require(r.env, 'X_KEY', 'why')"
            ),
            "X_KEY is not set: why",
        ),
        (HELLO.format(start="import no_such_module"), "no_such_module"),
    ],
)
async def test_a_process_that_cannot_start_says_why_in_one_line(text: str, line: str, tmp_path: Path) -> None:
    write_function(tmp_path, text)
    process = await run_process(tmp_path)

    out, err = await process.communicate()

    assert process.returncode == 1
    assert out == b""
    assert line in err.decode()
    assert err.count(b"\n") == 1
