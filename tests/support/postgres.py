"""A throwaway Postgres server per test process, and a separate database per test."""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import asyncpg

from outdial.db.embedded import EmbeddedPostgres
from outdial.db.migrate import push
from outdial.db.passwords import renew_passwords
from tests.support.ports import reserved_port

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"
Filled = TypeVar("Filled")

TEMPLATE = "outdial_template"
FILLED_TEMPLATE = "outdial_filled_template"
_PREFIX = "outdial-tests-"
# A clone is a thousand small files: 16 ms in memory, 240 ms on a virtual machine's disk.
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 2 * 2**30
# An autovacuum worker in the template would delay every clone.
_SETTINGS = {"autovacuum": "off", "shared_buffers": "128MB", "max_wal_size": "512MB"}


@dataclass(frozen=True, slots=True)
class Scratch:
    """A database for one test, dropped afterwards."""

    server: EmbeddedPostgres
    name: str

    @property
    def dsn(self) -> str:
        """The superuser's URL, to arrange and inspect rows. Code under test never uses it."""
        return self.server.dsn_for("postgres", self.name)

    def dsn_for(self, role: str) -> str:
        """Return the URL for `role`."""
        return self.server.dsn_for(role, self.name)

    async def logins(self) -> dict[str, str]:
        """Set passwords for the roles. Return each role's TCP URL, for processes that may not use the socket."""
        assert self.server.tcp_dsn is not None
        return dict((await renew_passwords(f"{self.server.tcp_dsn.rpartition('/')[0]}/{self.name}")).urls)


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """Create a directory with a short path that the server's user can enter when the tests run as root."""
    remove_abandoned()
    path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_scratch_parents()[0]))
    path.chmod(0o711)
    unlocked = path / "in-use.new"
    with unlocked.open("w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        unlocked.rename(path / "in-use")
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def remove_abandoned() -> None:
    """Remove the directories of killed test runs: the kernel has released their locks."""
    for path in chain.from_iterable(parent.glob(f"{_PREFIX}*/in-use") for parent in _scratch_parents()):
        with suppress(OSError), path.open("r+") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # This fails while a server is still shutting down. The mark then stays for the next run.
            for home in path.parent.glob("home"):
                shutil.rmtree(home)
            shutil.rmtree(path.parent)


def _scratch_parents() -> list[Path]:
    """Where scratch directories may be, best first: in memory if it has room and programs may run there, on disk."""
    on_disk = Path(tempfile.gettempdir())
    with suppress(OSError):
        memory = os.statvfs(_MEMORY)
        roomy = memory.f_bavail * memory.f_frsize >= _MEMORY_BYTES
        if roomy and not memory.f_flag & os.ST_NOEXEC and os.access(_MEMORY, os.W_OK):
            return [_MEMORY, on_disk]
    return [on_disk]


@contextmanager
def server() -> Iterator[EmbeddedPostgres]:
    """Run a fast server without durability."""
    with (
        scratch_directory() as path,
        reserved_port() as port,
        EmbeddedPostgres(path / "home", durable=False, listen_port=port, settings=_SETTINGS) as running,
    ):
        yield running


async def make_template(server: EmbeddedPostgres) -> None:
    """Recreate the template from the migrations, and forbid connections to it so that it can be cloned."""
    await _administer(server, f"drop database if exists {TEMPLATE}")
    await _administer(server, f"create database {TEMPLATE}")
    await push(server.dsn_for("postgres", TEMPLATE), MIGRATIONS)
    await _administer(server, f"alter database {TEMPLATE} with is_template true allow_connections false")


async def make_filled_template(
    server: EmbeddedPostgres, fill: Callable[[Scratch, asyncpg.Connection], Awaitable[Filled]]
) -> Filled:
    """Create a second template from the first, with what `fill` inserts. Return the result of `fill`."""
    await _administer(server, f"drop database if exists {FILLED_TEMPLATE}")
    await _administer(server, f"create database {FILLED_TEMPLATE} template {TEMPLATE}")
    database = Scratch(server, FILLED_TEMPLATE)
    connection = await asyncpg.connect(database.dsn)
    try:
        filled = await fill(database, connection)
    finally:
        await connection.close()
    await _administer(server, f"alter database {FILLED_TEMPLATE} with is_template true allow_connections false")
    return filled


@asynccontextmanager
async def scratch(server: EmbeddedPostgres, *, template: str) -> AsyncIterator[Scratch]:
    """Clone `template`, which takes 16 ms in memory. Drop the clone afterwards, with all connections to it."""
    name = f"test_{uuid4().hex[:12]}"
    # One connection for both: a new one takes as long as half a clone.
    connection = await asyncpg.connect(server.dsn)
    try:
        await connection.execute(f"create database {name} template {template} strategy file_copy")
        try:
            yield Scratch(server, name)
        finally:
            if connection.is_closed():  # The test has restarted the server.
                connection = await asyncpg.connect(server.dsn)
            await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()


@contextmanager
def scratch_for_module(server: EmbeddedPostgres, templates: set[str]) -> Iterator[tuple[asyncio.Runner, Scratch]]:
    """Clone the template outside a test's event loop, with a runner for coroutines. `templates` lists existing ones."""
    with asyncio.Runner() as runner:
        if TEMPLATE not in templates:
            runner.run(make_template(server))
            templates.add(TEMPLATE)
        clone = scratch(server, template=TEMPLATE)
        database = runner.run(clone.__aenter__())
        try:
            yield runner, database
        finally:
            runner.run(clone.__aexit__(None, None, None))


async def until_one_waits(connection: asyncpg.Connection) -> None:
    """Wait until a backend in this connection's database waits for a lock."""
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    while not await connection.fetchval(waiting):  # noqa: ASYNC110 - no signal tells that a backend waits for a lock
        await asyncio.sleep(0)


async def _administer(server: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(server.dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
