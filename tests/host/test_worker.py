"""A worker: one function, many requests at a time, and an end without loss."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from outdial.host.pool.spawning import ZygoteProcess
from outdial.host.wire import frames
from tests.support.hosting import KEYS, Talk, make_bundle

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAD = """
    import asyncio, os, sys, time
    from outdial.functions import Context, HttpError, Request, Response, Runtime, with_supabase
"""
ECHO = (
    HEAD
    + """
    @with_supabase(auth="none", max_body=16 << 20)
    async def fetch(request: Request, ctx: Context) -> Response:
        body = await request.body()
        about = {"method": request.method, "path": request.path, "query": request.query, "id": ctx.request_id}
        return Response.json(about) if len(body) < 100 else Response(body)
"""
)
MEETING = (
    HEAD
    + """
    came, all_here = [], asyncio.Event()

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        came.append(request.path)
        if len(came) == 100:
            all_here.set()
        await all_here.wait()
        return Response.json(len(came))
"""
)
WORDY = (
    HEAD
    + """
    import logging, warnings

    async def start(runtime):
        print("starting")

    async def stop():
        print("stopping")

    async def later():
        await asyncio.sleep(0.05)
        print("later")

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        print("printed")
        sys.stderr.write("complained\\n")
        ctx.log.warning("order.strange", secret=os.environ["OWN_SECRET"])
        logging.getLogger("library").error("failed")
        os.write(1, b"raw hunter2hunter2\\n")
        ctx.wait_until(later())
        return Response.json({})
"""
)


async def worker(
    zygote: ZygoteProcess, directory: Path, source: str, env: dict[str, str] | None = None, **config: Any
) -> Talk:
    talk = await Talk.begin(zygote, make_bundle(directory, source=source), env, **config)
    await talk.ready()
    return talk


async def test_a_request_gets_a_response(zygote: ZygoteProcess, tmp_path: Path) -> None:
    talk = await worker(zygote, tmp_path, ECHO)
    reply = await talk.ask("/hello/caf%C3%A9", b"?")
    assert reply.status == 200
    # The gateway adds the headers that are its own.
    assert not {b"sb-request-id", b"x-served-by"} & {name for name, _ in reply.headers}
    assert json.loads(reply.body) == {"method": "POST", "path": "/hello/café", "query": {}, "id": "request-1"}
    assert 0 < reply.cpu_us < 1_000_000
    talk.process.kill()


async def test_bodies_of_many_megabytes_go_both_ways(zygote: ZygoteProcess, tmp_path: Path) -> None:
    talk = await worker(zygote, tmp_path, ECHO)
    body = os.urandom(10 << 20)
    assert (await talk.ask(body=body)).body == body
    talk.process.kill()


async def test_a_response_too_large_to_send_is_an_error_of_the_function(zygote: ZygoteProcess, tmp_path: Path) -> None:
    source = (
        HEAD
        + """
    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        return Response(bytes(65 << 20))
"""
    )
    talk = await worker(zygote, tmp_path, source)
    assert (await talk.ask()).status == 500
    assert "more than can be sent" in (await talk.line("the response has")).text
    talk.process.kill()


@pytest.mark.parametrize("headers", ["{f'x-{n}': '' for n in range(1_001)}", "{'x': 'x' * (128 << 10)}"])
async def test_a_response_with_too_many_headers_is_an_error_of_the_function(
    zygote: ZygoteProcess, tmp_path: Path, headers: str
) -> None:
    source = (
        HEAD
        + f"""
    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        return Response(b"", headers={headers})
"""
    )
    talk = await worker(zygote, tmp_path, source)
    assert (await talk.ask()).status == 500
    assert "more than can be sent" in (await talk.line("headers")).text
    talk.process.kill()


async def test_a_worker_serves_a_hundred_concurrent_requests(zygote: ZygoteProcess, tmp_path: Path) -> None:
    talk = await worker(zygote, tmp_path, MEETING)
    numbers = [talk.send() for _ in range(100)]
    assert {(await talk.outcome(number)).body for number in numbers} == {b"100"}
    talk.process.kill()


async def test_log_lines_carry_the_request_id_and_precede_the_response(zygote: ZygoteProcess, tmp_path: Path) -> None:
    talk = await worker(zygote, tmp_path, WORDY, {**KEYS, "OWN_SECRET": "hunter2hunter2"})
    reply = await talk.ask()
    before = [
        line for said in talk.said[: talk.said.index(reply)] if isinstance(said, frames.LogFrame) for line in said.lines
    ]
    spoken = {line.text: (line.level, line.request_id) for line in before if not line.text.startswith(("raw", "{"))}
    assert spoken == {
        "starting": ("info", ""),
        "printed": ("info", "request-1"),
        "complained": ("error", "request-1"),
        "library: failed": ("error", "request-1"),
    }
    logged = next(line for line in before if line.text.startswith("{"))
    assert (logged.level, json.loads(logged.text)["event"]) == ("warning", "order.strange")
    raw = await talk.line("raw")
    assert (raw.level, raw.request_id, raw.text) == ("info", "", "raw [secret]")
    assert not any("hunter2" in text for text in talk.texts)
    talk.process.kill()


async def test_a_retired_worker_finishes_its_requests(zygote: ZygoteProcess, tmp_path: Path) -> None:
    talk = await worker(zygote, tmp_path, WORDY, {**KEYS, "OWN_SECRET": "hunter2hunter2"})
    number = talk.send()
    talk.retire()
    assert (await talk.outcome(number)).status == 200
    ended = await talk.ended()
    assert (ended.status, ended.signal) == (0, 0)
    assert talk.texts[-2:] == ["later", "stopping"]


async def test_retired_it_does_not_wait_longer_than_the_wall_clock(zygote: ZygoteProcess, tmp_path: Path) -> None:
    source = (
        HEAD
        + """
    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        ctx.wait_until(asyncio.Event().wait())
        return Response.json({})
"""
    )
    talk = await worker(zygote, tmp_path, source, wall_clock_s=0.2)
    await talk.ask()
    talk.retire()
    assert (await talk.ended()).status == 0
    assert "functions.background_work_cut" in talk.texts[-1]


async def test_a_worker_sees_only_its_own_environment(
    zygote: ZygoteProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        HEAD
        + """
    at_import = dict(os.environ)

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        return Response.json({"import": at_import, "now": dict(os.environ), "ctx": dict(ctx.env)})
"""
    )
    monkeypatch.setenv("SECRET_OF_THE_GATEWAY", "x")
    env = {**KEYS, "OWN_SECRET": "own", "TZ": "Europe/Berlin"}
    talk = await worker(zygote, tmp_path, source, env)
    seen = json.loads((await talk.ask()).body)
    home = seen["now"]["HOME"]
    assert seen["import"] == seen["now"] == {**env, "HOME": home, "TMPDIR": home}
    assert seen["ctx"] == env
    talk.process.kill()


async def test_certificates_of_the_host_are_readable_and_private_keys_beside_them_are_not(
    zygote: ZygoteProcess, tmp_path: Path
) -> None:
    file, directory = tmp_path / "corporate.pem", tmp_path / "certificates"
    directory.mkdir()
    files = [file, directory / "one.pem", directory / "private.key", tmp_path / "other.pem"]
    for path in files:
        path.write_text("certificate")
    files[2].chmod(0o600)
    source = (
        HEAD
        + """
    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        def content(path):
            try:
                return open(path).read()
            except OSError as error:
                return type(error).__name__
        names = os.environ["SSL_CERT_FILE"], os.environ["SSL_CERT_DIR"]
        return Response.json([*map(content, await request.json()), *names])
"""
    )
    certificates = {"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": f"{directory}:{tmp_path / 'missing'}"}
    talk = await Talk.begin(zygote, make_bundle(tmp_path, source=source), {**KEYS, **certificates})
    read = json.loads((await talk.ask(body=json.dumps(list(map(str, files))).encode())).body)
    assert read == ["certificate", "certificate", "PermissionError", "PermissionError", *certificates.values()]


async def test_it_is_a_session_and_a_name_of_its_own(zygote: ZygoteProcess, tmp_path: Path) -> None:
    talk = await worker(zygote, tmp_path, ECHO)
    pid = talk.process.pid
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/comm").read_text() == "od:hello\n"
    talk.process.kill()


async def test_files_beside_it_are_read_and_imported(zygote: ZygoteProcess, tmp_path: Path) -> None:
    source = (
        HEAD
        + """
    from .store import name
    from shared.words import greeting

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        with open("store.py") as store:
            return Response.json([name, greeting, len(store.read())])
"""
    )
    bundle = make_bundle(tmp_path, source=source, store="name = 'own'")
    bundle.shared.mkdir()
    (bundle.shared / "words.py").write_text("greeting = 'hello'")
    talk = await Talk.begin(zygote, bundle)
    await talk.ready()
    assert json.loads((await talk.ask()).body) == ["own", "hello", 12]
    assert not list(bundle.root.rglob("__pycache__"))
    talk.process.kill()


async def test_a_setting_that_is_missing_is_named_without_a_traceback(zygote: ZygoteProcess, tmp_path: Path) -> None:
    source = ECHO.replace('auth="none"', 'auth="secret"')
    talk = await Talk.begin(zygote, make_bundle(tmp_path, source=source), {})
    failed = await talk.next(frames.BootFailedFrame)
    assert failed.message.startswith("SUPABASE_SERVICE_ROLE_KEY is not set")
    assert failed.traceback == ""
    assert (await talk.ended()).status == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import sys; sys.exit(3)", "sys.exit(3)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def fetch(:", "SyntaxError"),
        ("pass", "it must expose `fetch`"),
        (HEAD + ECHO + "    async def start(runtime): raise LookupError('no table')", "LookupError: no table"),
    ],
)
async def test_boot_failures_are_reported(zygote: ZygoteProcess, tmp_path: Path, source: str, message: str) -> None:
    talk = await Talk.begin(zygote, make_bundle(tmp_path, source=source))
    failed = await talk.next(frames.BootFailedFrame)
    assert message in failed.message
    assert (await talk.ended()).status == 1


async def test_any_exception_of_a_handler_becomes_a_response(zygote: ZygoteProcess, tmp_path: Path) -> None:
    source = (
        HEAD
        + """
    class Odd(BaseException):
        pass

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        raise {"odd": Odd, "cancelled": asyncio.CancelledError, "key": KeyError}[request.path[1:]]("strange")
"""
    )
    talk = await worker(zygote, tmp_path, source)
    for path in ("/odd", "/cancelled", "/key"):
        reply = await talk.ask(path)
        assert (reply.status, (b"sb-error-code", b"EDGE_FUNCTION_ERROR") in reply.headers) == (500, True)
        assert "strange" in talk.texts[-1]
        assert talk.lines[-1].level == "error"
    talk.process.kill()


async def test_endless_recursion_is_an_error_not_a_crash(zygote: ZygoteProcess, tmp_path: Path) -> None:
    source = (
        HEAD
        + """
    import json

    def dump(value):
        return json.dumps(value, default=dump)

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        if request.path == "/thread":
            await asyncio.to_thread(dump, object())
        dump(object())
"""
    )
    talk = await worker(zygote, tmp_path, source)
    for path in ("/loop", "/thread"):
        assert (await talk.ask(path)).status == 500
        assert "RecursionError" in talk.texts[-1]
    talk.process.kill()


async def test_untouched_memory_of_threads_does_not_count(zygote: ZygoteProcess, tmp_path: Path) -> None:
    source = (
        HEAD
        + """
    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        return Response.json(len(bytearray(24 << 20)))
"""
    )
    talk = await worker(zygote, tmp_path, source, memory_mb=32)
    assert (await talk.ask()).status == 200
    talk.process.kill()
