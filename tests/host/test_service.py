"""A complete host: real workers, a real listener, a database, and a clean shutdown."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import aiohttp
import asyncpg
import psutil
import pytest

from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.host.api.tokens import AccessTokens
from outdial.host.deployments.secrets import SecretKeys, SecretStore
from outdial.host.gateway.app import HostIdentity
from outdial.host.gateway.main import HostSettings, run_gateway
from outdial.http import listen
from outdial.settings import SettingError
from tests.support.hosting import HELLO, KEYS
from tests.support.postgres import Scratch

WITHIN_S = 30.0
SLOW = """
    import asyncio
    from outdial.functions import Context, Request, Response, with_supabase

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        print("begun", request.path)
        await asyncio.sleep(float(request.query.get("s", "0.5")))
        return Response("done")
"""
WHO = """
    from outdial.functions import Context, Request, Response, with_supabase

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        async with ctx.db() as connection:
            return Response.json({"user": await connection.fetchval("select session_user")})
"""
TELLS = """
    import os
    from outdial.functions import Context, Request, Response, with_supabase

    @with_supabase(auth="none")
    async def fetch(request: Request, ctx: Context) -> Response:
        print("printed", ctx.env["STRIPE"])
        os.write(1, f"written {ctx.env['STRIPE']}\\n".encode())
        return Response(ctx.env["STRIPE"])
"""
SECRETS_KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


@dataclass
class Running:
    """A running host."""

    url: str
    session: aiohttp.ClientSession
    stop: asyncio.Future[float]
    task: asyncio.Task[None]
    slugs: list[str]

    async def ask(self, path: str, method: str = "POST", **options: Any) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the response."""
        async with self.session.request(method, self.url + path, **options) as response:
            return response.status, dict(response.headers), await response.read()

    async def end(self, seconds: float = 20.0) -> None:
        """Stop the host and wait for its end."""
        if not self.stop.done():
            self.stop.set_result(seconds)
        await asyncio.wait_for(asyncio.shield(self.task), WITHIN_S)


@dataclass
class Hosts:
    """Starts hosts of one environment that serve the functions of `directory`."""

    directory: Path
    settings: HostSettings

    def write(self, slug: str, source: str, config: str = "") -> None:
        """Add a function to the source tree."""
        path = self.directory / "functions" / slug / "index.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source))
        with (self.directory / "config.toml").open("a") as file:
            file.write(f"[functions.{slug}]\nverify_jwt = false\n{config}\n")

    @asynccontextmanager
    async def running(self, **changes: Any) -> AsyncIterator[Running]:
        """Run a host for the length of the block."""
        listener = listen("127.0.0.1", 0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        told: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        stop: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        if changes.pop("reachable", False):
            changes["address"] = url
        host = run_gateway(replace(self.settings, **changes), listener, stop, told.set_result)
        task = asyncio.create_task(host)
        begun: list[asyncio.Future[Any]] = [task, told]
        await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        async with aiohttp.ClientSession() as session:
            running = Running(url, session, stop, task, told.result())
            try:
                yield running
            finally:
                # Otherwise the host would wait for more requests on idle connections.
                await session.close()
                await running.end()


@pytest.fixture
async def hosts(tmp_path: Path, database: Scratch) -> Hosts:
    env = {
        **KEYS,
        "SUPABASE_URL": "http://127.0.0.1:54321",
        "SUPABASE_DB_URL": database.dsn,
        "OUTDIAL_SECRETS_KEY": SECRETS_KEY,
    }
    directory = tmp_path / "supabase"
    directory.mkdir()
    settings = HostSettings(layers=[directory], home=tmp_path / "home", env=env, database_urls=await database.logins())
    return Hosts(directory, settings)


async def until(holds: Callable[[], Awaitable[object]], what: str) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_S):
            while not await holds():  # noqa: ASYNC110 - other processes bring it about
                await asyncio.sleep(0.05)
            return
    raise AssertionError(what)


async def test_serves_logs_and_counts_requests(hosts: Hosts, connection: asyncpg.Connection) -> None:
    hosts.write("hello", HELLO)
    hosts.write("slow", SLOW)
    async with hosts.running(identity=HostIdentity("eu-west-1")) as host:
        assert host.slugs == ["hello", "slow"]
        status, headers, body = await host.ask("/functions/v1/hello/below")
        assert (status, json.loads(body)) == (200, {"hello": "/hello/below"})
        assert headers["x-sb-edge-region"] == "eu-west-1"
        await host.ask("/functions/v1/slow?s=0")
        await host.ask("/functions/v1/nothing")
        status, _, page = await host.ask("/metrics", "GET")
        assert status == 200
        assert b'outdial_function_invocations_total{code="",function="hello",status="2xx"} 1.0' in page
        _, _, numbers = await host.ask("/functions/v1/_internal/metric", "GET")
        assert json.loads(numbers)["active_user_workers_count"] == 2

    logged = await connection.fetch("select slug, status, execution_id, region from host.invocations order by at")
    assert [(row["slug"], row["status"], row["region"]) for row in logged] == [
        ("hello", 200, "eu-west-1"), ("slow", 200, "eu-west-1"), ("", 404, "eu-west-1"),
    ]  # fmt: skip
    assert str(logged[0]["execution_id"]) == headers["sb-execution-id"]
    printed = await connection.fetch("select text from host.log_lines where slug = 'slow' and kind = 'log'")
    assert [row["text"] for row in printed] == ["begun /slow"]


async def test_no_log_line_contains_a_deployed_secret(hosts: Hosts, connection: asyncpg.Connection) -> None:
    value = "four words of text"
    async with await Database.connect(hosts.settings.database_urls["outdial_host"], application_name="tests") as own:
        await SecretStore(own, SecretKeys.from_text(SECRETS_KEY)).put({"STRIPE": value}, SystemClock().now())
    hosts.write("tells", TELLS, 'secrets = ["STRIPE"]')
    async with hosts.running() as host:
        assert (await host.ask("/functions/v1/tells"))[2] == value.encode()

    lines = await connection.fetch("select text from host.log_lines where slug = 'tells' and kind = 'log'")
    assert sorted(row["text"] for row in lines) == ["printed [secret]", "written [secret]"]


async def test_a_function_logs_in_as_its_own_role(hosts: Hosts) -> None:
    hosts.write("who", WHO)
    hosts.write("webhook", WHO, 'database_role = "outdial_dialer"')
    async with hosts.running() as host:
        assert json.loads((await host.ask("/functions/v1/who"))[2]) == {"user": "outdial_api"}
        # This role may not act for callers: the transaction fails.
        assert (await host.ask("/functions/v1/webhook"))[0] in (403, 500, 503)


async def test_a_broken_function_is_reported_and_others_are_served(
    hosts: Hosts, connection: asyncpg.Connection
) -> None:
    hosts.write("hello", HELLO)
    hosts.write("broken", "raise RuntimeError('of the test')", "min_workers = 1")
    async with hosts.running() as host:
        status, headers, body = await host.ask("/functions/v1/broken")
        assert (status, headers["sb-error-code"]) == (503, "BOOT_ERROR")
        assert b"of the test" not in body
        assert (await host.ask("/functions/v1/hello"))[0] == 200

    told = await connection.fetchval("select text from host.log_lines where slug = 'broken' and kind = 'boot_failed'")
    assert "of the test" in told


async def test_functions_that_are_down_are_named_before_anyone_calls_them(
    hosts: Hosts, caplog: pytest.LogCaptureFixture
) -> None:
    hosts.write("hello", HELLO)
    hosts.write("broken", "raise RuntimeError('of the test')")
    hosts.write("roleless", HELLO, 'database_role = "nobody"')
    with caplog.at_level(logging.DEBUG, "outdial"):
        async with hosts.running() as host:

            async def names_them() -> bool:
                health = json.loads((await host.ask("/functions/v1/_internal/health", "GET"))[2])
                return bool(health == {"message": "degraded", "functions_down": ["broken", "roleless"]})

            await until(names_them, "health does not name the functions")
            for slug in ("broken", "roleless"):
                status, headers, _ = await host.ask(f"/functions/v1/{slug}")
                assert (status, headers["sb-error-code"]) == (503, "BOOT_ERROR")
                assert (await host.ask(f"/functions/v1/{slug}", "OPTIONS"))[0] == 204
            assert (await host.ask("/functions/v1/hello"))[0] == 200
            assert (await host.ask("/functions/v1/nothing"))[0] == 404

    errors = {
        (record.message, fields["function"])
        for record in caplog.records
        if record.levelno == logging.ERROR and "function" in (fields := getattr(record, "fields", {}))
    }
    assert errors == {("functions.boot_failed", "broken"), ("deployments.unusable", "roleless")}


async def test_a_killed_zygote_is_replaced(hosts: Hosts) -> None:
    hosts.write("hello", HELLO)
    async with hosts.running() as host:
        assert (await host.ask("/functions/v1/hello"))[0] == 200
        zygotes = [
            child for child in psutil.Process().children() if "outdial.host.worker.zygote" in " ".join(child.cmdline())
        ]
        for zygote in zygotes:
            os.kill(zygote.pid, signal.SIGKILL)

        async def answers() -> bool:
            return (await host.ask("/functions/v1/hello"))[0] == 200

        await until(answers, "no worker is started any more")


def of_the_host() -> set[int]:
    """Child processes of this one, except those of the database, which come and go."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if child.name() != "postgres":
                found.add(child.pid)
    return found


async def test_a_stop_finishes_requests_and_leaves_no_process(hosts: Hosts) -> None:
    hosts.write("slow", SLOW)
    before = of_the_host()
    async with hosts.running() as host:
        asked = asyncio.create_task(host.ask("/functions/v1/slow?s=3"))

        async def under_way() -> bool:
            return b'"under_way":1' in (await host.ask("/functions/v1/_internal/metric", "GET"))[2]

        await until(under_way, "the request did not arrive")
        await host.end()
        assert (await asked)[::2] == (200, b"done")
        with pytest.raises(aiohttp.ClientConnectorError):
            await host.ask("/functions/v1/slow")
    assert of_the_host() <= before


async def test_a_short_stop_aborts_long_requests(hosts: Hosts) -> None:
    hosts.write("slow", SLOW)
    async with hosts.running() as host:
        asked = asyncio.create_task(host.ask("/functions/v1/slow?s=60"))

        async def under_way() -> bool:
            return b'"under_way":1' in (await host.ask("/functions/v1/_internal/metric", "GET"))[2]

        await until(under_way, "the request did not arrive")
        await host.end(5.2)
        with pytest.raises(aiohttp.ClientError):
            await asked


async def test_a_local_host_reloads_changed_code(hosts: Hosts) -> None:
    hosts.write("hello", HELLO)
    async with hosts.running(local=True) as host:
        assert b"hello" in (await host.ask("/functions/v1/hello"))[2]
        index = hosts.directory / "functions" / "hello" / "index.py"
        index.write_text(dedent(HELLO).replace('"hello"', '"bonjour"'))

        async def is_new() -> bool:
            return b"bonjour" in (await host.ask("/functions/v1/hello"))[2]

        await until(is_new, "the new code is not served")


async def test_hosts_forward_requests_to_the_requested_region(hosts: Hosts) -> None:
    hosts.write("hello", HELLO)
    async with (
        hosts.running(identity=HostIdentity("us-east-1"), reachable=True) as there,
        hosts.running(identity=HostIdentity("eu-west-1"), reachable=True) as here,
    ):

        async def region() -> str:
            _, headers, _ = await here.ask("/functions/v1/hello", headers={"x-region": "us-east-1"})
            return headers["x-sb-edge-region"]

        async def is_there() -> bool:
            return await region() == "us-east-1"

        await until(is_there, "the other host is not known")
        await there.end()
        # The host has left. Until the other one knows, forwarding fails and everything else works.
        status, headers, _ = await here.ask("/functions/v1/hello", headers={"x-region": "us-east-1"})
        assert status == 200 or headers["x-relay-error"] == "true"


async def test_the_management_api_requires_an_access_token(hosts: Hosts, database: Scratch) -> None:
    hosts.write("hello", HELLO)
    async with (
        await Database.connect(database.dsn_for("outdial_host"), application_name="tests") as pool,
        hosts.running() as host,
    ):
        assert (await host.ask("/v1/projects", "GET"))[0] == 401
        token = await AccessTokens(pool, SystemClock()).create("tests")
        status, _, body = await host.ask("/v1/projects", "GET", headers={"authorization": f"Bearer {token}"})
        assert (status, len(json.loads(body)[0]["ref"])) == (200, 20)


async def test_an_invalid_setting_prevents_the_start(hosts: Hosts) -> None:
    with pytest.raises(SettingError, match="OUTDIAL_SECRETS_KEY"):
        async with hosts.running(env={**hosts.settings.env, "OUTDIAL_SECRETS_KEY": "short"}):
            pass
