"""The nginx and Caddy files of docs/deploying.md, in front of a host that restarts under load."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from outdial.host.wire.config import MIB, FunctionConfig
from outdial.process import die_with_parent
from tests.host.test_tls import make_certificate
from tests.support.load import AT_ONCE, gateway_of, ledger, load_through, replaced
from tests.support.ports import reserved_port
from tests.support.processes import Launcher, until

pytestmark = pytest.mark.timeout(300)

PAGE = (Path(__file__).parents[2] / "docs" / "deploying.md").read_text()
NAME = "outdial.example.com"
SIZE = """
from outdial.functions import Context, Request, Response, with_supabase

@with_supabase(auth="none", methods=["POST"], max_body=8 * 1024 * 1024)
async def fetch(request: Request, ctx: Context) -> Response:
    return Response.json({"size": len(await request.body())})
"""
Command = Callable[[Path, int, int], list[str]]


def documented(language: str) -> str:
    [text] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(text)


def nginx(directory: Path, port: int, host: int) -> list[str]:
    """Write the file of the page for these ports, and return the command that serves it."""
    servers = documented("nginx").replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    servers = servers.replace("127.0.0.1:54321", f"127.0.0.1:{host}").replace("/etc/ssl/outdial", str(directory))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = "\n".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(
        f"daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log; {user}\n"
        f"events {{}}\nhttp {{ access_log off; {scratch}\n{servers} }}\n"
    )
    return ["nginx", "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(directory / "nginx.conf")]


def caddy(directory: Path, port: int, host: int) -> list[str]:
    """Write the file of the page for these ports, and return the command that serves it."""
    sites = documented("caddyfile").replace("127.0.0.1:54321", f"127.0.0.1:{host}")
    certificate = f"tls {directory}/chain.pem {directory}/key.pem\n\tbind 127.0.0.1\n"
    sites = re.sub(r"^([\w.]+) \{$", rf"https://\1:{port} {{\n\t{certificate}", sites, flags=re.MULTILINE)
    (directory / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{sites}")
    return ["caddy", "run", "--config", str(directory / "Caddyfile"), "--adapter", "caddyfile"]


class ThisMachine(AbstractResolver):
    """Resolves every name to this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the loopback address."""
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        """Release nothing."""


@pytest.fixture
def proxy_port() -> Iterator[int]:
    """A second reserved port."""
    with reserved_port() as reserved:
        yield reserved


@asynccontextmanager
async def running(command: list[str], directory: Path, port: int) -> AsyncIterator[aiohttp.ClientSession]:
    """Run a proxy during the block, and yield a client of it."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    env: dict[str, Any] = {"PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": str(directory)}
    with (directory / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=env, stdout=log, stderr=log, preexec_fn=die_with_parent(signal.SIGTERM)  # noqa: PLW1509
        )  # fmt: skip
    connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=tls, resolver=ThisMachine())
    try:
        async with aiohttp.ClientSession(f"https://{NAME}:{port}", connector=connector) as session:

            async def listens() -> bool:
                assert process.poll() is None, (directory / "proxy.log").read_text()
                try:
                    async with session.get("/functions/v1/_internal/health") as response:
                        return response.status == 200
                except aiohttp.ClientConnectorError:
                    return False

            await until(listens, "the proxy does not listen")
            yield session
    finally:
        process.terminate()
        process.wait(30)


proxies = pytest.mark.parametrize("write", [nginx, caddy])


def skip_without(write: Command) -> None:
    if shutil.which(write.__name__, path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(f"{write.__name__} is not installed")


@proxies
async def test_a_host_that_restarts_gets_each_request_once_and_loses_none(
    write: Command, launch: Launcher, port: int, proxy_port: int, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    skip_without(write)
    make_certificate(tmp_path)
    host = await launch.start("serve", "serve", f"--port={port}", "--behind-proxy").ready()

    async with (
        running(write(tmp_path, proxy_port, port), tmp_path, proxy_port) as session,
        load_through(session) as load,
    ):
        for _ in range(2):
            former = gateway_of(host)
            os.kill(host.pid, signal.SIGHUP)
            await replaced(host, former)
            await load.wait_for_more()

    assert (load.broken, load.refused) == ([], [])
    assert load.accepted <= await ledger(connection)
    assert await connection.fetchval("select sum(repeats) from webhook_events") == 0
    assert await host.terminate() == 0


@proxies
async def test_a_body_of_8_mib_passes_and_the_host_itself_refuses_a_larger_one(
    write: Command, launch: Launcher, port: int, proxy_port: int, tmp_path: Path
) -> None:
    skip_without(write)
    make_certificate(tmp_path)
    function = tmp_path / "supabase" / "functions" / "size"
    function.mkdir(parents=True)
    (function / "index.py").write_text(SIZE)
    (tmp_path / "supabase" / "config.toml").write_text("[functions.size]\nverify_jwt = false\n")
    launch.cwd = tmp_path
    host = await launch.start("serve", "serve", f"--port={port}", "--behind-proxy").ready()

    async with running(write(tmp_path, proxy_port, port), tmp_path, proxy_port) as session:
        async with session.post("/functions/v1/size", data=BytesIO(bytes(8 * MIB))) as response:
            assert (response.status, await response.json()) == (200, {"size": 8 * MIB})
        async with session.post("/functions/v1/size", data=BytesIO(bytes(8 * MIB + 1))) as response:
            assert (response.status, (await response.json())["code"]) == (413, "BODY_TOO_LARGE")
        # The host knows that the request came over https: it does not redirect.
        async with session.get("/functions/v1/size", allow_redirects=False) as response:
            assert response.status == 405
    assert await host.terminate() == 0


@pytest.mark.parametrize("language", ["nginx", "caddyfile"])
def test_the_proxy_waits_longer_than_a_function_may_take(language: str) -> None:
    functions = re.split("studio.example.com", documented(language))[0]

    timeouts = re.findall(r"(?:read_timeout|send_timeout|header_timeout) (\d+)s", functions)

    assert timeouts
    assert all(int(seconds) > FunctionConfig().wall_clock_s for seconds in timeouts)
