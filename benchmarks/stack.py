"""The environment of a benchmark: a temporary durable Postgres, a cloned database per run, and processes."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from outdial.db.embedded import EmbeddedPostgres
from outdial.db.migrate import push
from outdial.db.passwords import renew_passwords

ROOT = Path(__file__).parents[1]
MIGRATIONS = ROOT / "supabase" / "migrations"

_READY_S = 60.0
_STOP_S = 20.0
_TEMPLATE = "bench_template"


@dataclass(frozen=True, slots=True)
class Clone:
    """The database of one run."""

    server: EmbeddedPostgres
    name: str

    def dsn(self, role: str = "postgres") -> str:
        """Return the DSN of `role` over the server's Unix socket."""
        return self.server.dsn_for(role, self.name)

    async def logins(self) -> dict[str, str]:
        """Set passwords for the roles; return the host's settings with each role's DSN over TCP.

        Functions on the host may not use the Unix socket, which requires no password.
        """
        assert self.server.tcp_dsn is not None
        logins = await renew_passwords(f"{self.server.tcp_dsn.rpartition('/')[0]}/{self.name}")
        return {f"{role.upper()}_DB_URL": url for role, url in logins.urls.items()}


@contextmanager
def postgres() -> Iterator[EmbeddedPostgres]:
    """Run a Postgres that syncs to disk on commit, in a directory that is removed after the block.

    SIGTERM ends the block like Ctrl-C, so that everything is cleaned up. Main thread only.
    """
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    home = Path(tempfile.mkdtemp(prefix="outdial-bench-"))
    # The server's user must pass through when the benchmark runs as root.
    home.chmod(0o711)
    try:
        with EmbeddedPostgres(home / "home", listen_port=_free_port()) as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port: int = holder.getsockname()[1]
    return port


async def make_template(
    server: EmbeddedPostgres, seed: Callable[[asyncpg.Connection], Awaitable[None]], *, name: str = _TEMPLATE
) -> None:
    """Create the template database: migrations, then `seed`, then statistics."""
    await _administer(server, f"create database {name}")
    await push(server.dsn_for("postgres", name), MIGRATIONS)
    connection = await asyncpg.connect(server.dsn_for("postgres", name))
    try:
        await seed(connection)
        await connection.execute("vacuum (analyze, freeze)")
    finally:
        await connection.close()
    await _administer(server, f"alter database {name} with is_template true allow_connections false")


@asynccontextmanager
async def clone(server: EmbeddedPostgres, name: str, *, template: str = _TEMPLATE) -> AsyncIterator[Clone]:
    """Clone a template, flush it to disk so that all runs start alike, and drop it after the block."""
    await _administer(server, f"create database {name} template {template} strategy file_copy", "checkpoint")
    try:
        yield Clone(server, name)
    finally:
        await _administer(server, f"drop database {name} with (force)")


async def _administer(server: EmbeddedPostgres, *statements: str) -> None:
    connection = await asyncpg.connect(server.dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


class NotReady(Exception):
    """A process ended or timed out before it was ready."""


@asynccontextmanager
async def process(command: Sequence[str | Path], env: Mapping[str, str]) -> AsyncIterator[tuple[str, psutil.Process]]:
    """Run `command` during the block; yield its first output line (its URL) and the process.

    Its standard error is inherited. It is stopped with SIGTERM, then SIGKILL. Raises NotReady.
    """
    running = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, env={**os.environ, **env}, cwd=ROOT
    )
    try:
        yield await _first_line(running, command), psutil.Process(running.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(running.wait(), _STOP_S)
        except TimeoutError:
            running.kill()
            await running.wait()


async def _first_line(running: asyncio.subprocess.Process, command: Sequence[str | Path]) -> str:
    assert running.stdout is not None
    try:
        line = await asyncio.wait_for(running.stdout.readline(), _READY_S)
    except TimeoutError:
        raise NotReady(f"{command[0]} said nothing for {_READY_S:.0f} s") from None
    if not line:
        raise NotReady(f"{command[0]} ended before it was ready")
    return line.decode().strip()
