"""Applies `supabase/migrations`. It writes the same history as the Supabase CLI, so that both tools can be used."""

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from outdial.database_url import hosts_of
from outdial.db.connect import connect_owner
from outdial.db.errors import (
    MigrationFailed,
    MigrationsLocked,
    MigrationsOutOfOrder,
    MisnamedMigration,
    OwnerBoundByPolicies,
    RemoteDatabaseRefused,
    UnknownRemoteMigrations,
)
from outdial.log import log
from outdial.net import is_loopback
from outdial.settings import read_environment

_BOOTSTRAP = Path(__file__).with_name("bootstrap.sql")
_FILE_NAME = re.compile(r"(\d{14})_(.+)\.sql", re.ASCII)
# An arbitrary number that all runners share.
_RUNNERS = 5_464_813_022
_HOLDER = """
select l.pid, coalesce(a.usename, 'another user') as usename, coalesce(host(a.client_addr), 'this machine') as address,
  coalesce(to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ'), 'an unknown time') as since
from pg_locks l left join pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.granted and (l.classid::bigint << 32 | l.objid::bigint) = $1
  and l.database = (select oid from pg_database where datname = current_database())
limit 1
"""
PATIENCE = timedelta(minutes=10)
_FIRST_WAIT = timedelta(seconds=1)
_NEXT_WAIT = timedelta(seconds=10)
_MILLISECOND = timedelta(milliseconds=1)

_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
create table if not exists supabase_migrations.seed_files (path text not null primary key, hash text not null);
"""
# If the schema auth is ours, an older version of bootstrap.sql may have created it.
_LACKS_AUTH = """
select to_regprocedure('auth.uid()') is null
  or coalesce(obj_description(to_regnamespace('auth'), 'pg_namespace') = 'made by outdial', false)
"""
_BOUND_OWNER = "select rolname from pg_roles where rolname = current_user and not (rolsuper or rolbypassrls)"
_CLEAR = """
drop schema if exists supabase_migrations, pgqueuer, host, private, public cascade;
create schema public;
grant usage on schema public to public;
"""


OnWait = Callable[[str], None]


def _log_wait(sentence: str) -> None:
    log("migrations.waiting", level="warning", reason=sentence)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a SQL file without its semicolon, and its first line."""

    sql: str
    line: int


@dataclass(frozen=True, slots=True, order=True)
class Migration:
    """A migration file. The version is the 14 digits of its name, `layer` the number of its directory."""

    layer: int
    version: str
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class AppliedFile:
    """A file that was applied, and its number of statements."""

    file: str
    statements: int


@dataclass(frozen=True, slots=True)
class MigrationState:
    """Whether a migration is in the local directory, in the database, or in both."""

    version: str
    name: str
    local: bool
    remote: bool


async def push(
    dsn: str,
    *migrations: Path,
    seed: Path | None = None,
    on_wait: OnWait = _log_wait,
    patience: timedelta = PATIENCE,
) -> list[AppliedFile]:
    """Apply pending migrations, oldest first, then `seed` if it never ran. Returns the applied files.

    With several directories of migrations, those of each directory come after all of the one before it: a project may
    build on Outdial's migrations, and an upgrade of Outdial may bring some that are older than the project's newest.
    Each file and its row of history are one transaction. Runners wait for each other, so several may start at once.
    `on_wait` is called every few seconds with a sentence about the runner that holds the lock; after `patience`,
    MigrationsLocked is raised. A pooler in transaction mode is refused with TransactionPooling.
    Plain Postgres first gets the schemas and roles that Supabase has. As with the Supabase CLI, a seed that has changed
    since it ran is recorded but not run again. Raises MigrationError before anything is applied if the migrations do
    not match the database, OwnerBoundByPolicies if the policies would apply to the login, and MigrationFailed for a
    failing statement. Earlier files stay applied.
    """
    async with _runner(dsn, on_wait, patience) as connection:
        return await _push(connection, read_migrations(*migrations), seed)


async def status(dsn: str, *migrations: Path) -> list[MigrationState]:
    """Return all local and applied migrations, oldest first, without changing the database."""
    local = {migration.version: migration.name for migration in read_migrations(*migrations)}
    connection = await connect_owner(dsn)
    try:
        remote = await _applied(connection)
    finally:
        await connection.close()
    return [
        MigrationState(version, local.get(version) or remote[version], version in local, version in remote)
        for version in sorted(local.keys() | remote.keys())
    ]


async def reset(
    dsn: str, *migrations: Path, seed: Path | None = None, on_wait: OnWait = _log_wait
) -> list[AppliedFile]:
    """Drop the schemas public, private, host, pgqueuer, supabase_migrations, and auth if it is ours. Then push.

    Raises RemoteDatabaseRefused before connecting, unless `dsn` names this machine or a Unix socket.
    """
    refuse_remote(dsn)
    local = read_migrations(*migrations)
    async with _runner(dsn, on_wait, PATIENCE) as connection:
        async with connection.transaction():
            await connection.execute("set local lock_timeout = '4s'")
            if await connection.fetchval("select obj_description(to_regnamespace('auth')) = 'made by outdial'"):
                await connection.execute("drop schema auth cascade")
            await connection.execute(_CLEAR)
        return await _push(connection, local, seed)


def refuse_remote(dsn: str) -> None:
    """Raise RemoteDatabaseRefused unless every host in `dsn` is this machine."""
    query = parse_qs(urlsplit(dsn).query)
    if "service" in query:
        raise RemoteDatabaseRefused(f"service {query['service'][0]}")
    hosts = [host for host, _ in hosts_of(dsn)]
    for host in hosts or read_environment().get("PGHOST", "").split(","):
        # libpq connects to a Unix socket if there is no host, or if it is a path.
        is_socket = not host or host.startswith(("/", "@"))
        if not is_socket and not is_loopback(host):
            raise RemoteDatabaseRefused(host)


def is_remote(dsn: str) -> bool:
    """Return whether a host in `dsn` is another machine."""
    try:
        refuse_remote(dsn)
    except RemoteDatabaseRefused:
        return True
    return False


def read_migrations(*directories: Path) -> list[Migration]:
    """Return the migrations of each directory, oldest first, then those of the next one.

    A file with the name of one in an earlier directory takes its place. Raises MisnamedMigration for .sql files
    without 14 digits, and for those with the digits of another file.
    """
    found: dict[str, Migration] = {}
    misnamed = []
    for layer, directory in enumerate(directories):
        for path in sorted(directory.iterdir()):
            match = _FILE_NAME.fullmatch(path.name)
            known = found.get(match[1]) if match else None
            if match and (known is None or (known.layer < layer and known.name == match[2])):
                found[match[1]] = Migration(known.layer if known else layer, match[1], match[2], path)
            elif path.suffix == ".sql":
                misnamed.append(path.name)
    if misnamed:
        raise MisnamedMigration(misnamed)
    return sorted(found.values())


@asynccontextmanager
async def _runner(dsn: str, on_wait: OnWait, patience: timedelta) -> AsyncIterator[asyncpg.Connection]:
    """Connect twice: to apply files, and to hold the lock of all runners.

    The lock belongs to a transaction, so it ends with its connection, even if a pooler keeps the session of the server.
    """
    connection = await connect_owner(dsn)
    try:
        locker = await connect_owner(dsn)
        try:
            async with locker.transaction():
                await locker.execute(
                    "set local idle_in_transaction_session_timeout = 0; set local statement_timeout = 0"
                )
                await _lock_runners(locker, on_wait, patience)
                yield connection
        finally:
            await locker.close()
    finally:
        await connection.close()


async def _lock_runners(locker: asyncpg.Connection, on_wait: OnWait, patience: timedelta) -> None:
    waited = timedelta(0)
    while True:
        pause = min(_FIRST_WAIT if not waited else _NEXT_WAIT, patience - waited)
        try:
            async with locker.transaction():
                await locker.execute(f"set local lock_timeout = {max(pause // _MILLISECOND, 1)}")
                await locker.execute(f"select pg_advisory_xact_lock({_RUNNERS})")
                return
        except asyncpg.LockNotAvailableError:
            waited += pause
        holder = await locker.fetchrow(_HOLDER, _RUNNERS)
        if holder is None:
            continue
        session = f"session {holder['pid']} of {holder['usename']} from {holder['address']}, since {holder['since']}"
        if waited >= patience:
            raise MigrationsLocked(session, holder["pid"])
        on_wait(f"waiting for another outdial db push: {session}")


async def _push(connection: asyncpg.Connection, local: Sequence[Migration], seed: Path | None) -> list[AppliedFile]:
    # Importing PgQueuer takes half a second. Only commands that migrate need it.
    from outdial.db.queue import install_queue

    if name := await connection.fetchval(_BOUND_OWNER):
        raise OwnerBoundByPolicies(name)
    async with connection.transaction():
        await connection.execute("set local lock_timeout = '4s'")
        if await connection.fetchval(_LACKS_AUTH):
            await connection.execute(_BOOTSTRAP.read_text())
        await connection.execute(_HISTORY)
    done = [await _apply(connection, migration) for migration in _pending(local, await _applied(connection))]
    await _begin_session(connection)
    await install_queue(connection)
    seeded = await _run_seed(connection, seed) if seed is not None and seed.exists() else None
    return [*done, seeded] if seeded else done


async def _applied(connection: asyncpg.Connection) -> dict[str, str]:
    if await connection.fetchval("select to_regclass('supabase_migrations.schema_migrations') is null"):
        return {}
    rows = await connection.fetch(
        "select version, coalesce(name, '') as name from supabase_migrations.schema_migrations"
    )
    return {row["version"]: row["name"] for row in rows}


def _pending(local: Sequence[Migration], applied: Iterable[str]) -> list[Migration]:
    known = set(applied)
    unknown = known - {migration.version for migration in local}
    if unknown:
        raise UnknownRemoteMigrations(sorted(unknown))
    pending = [migration for migration in local if migration.version not in known]
    newest: dict[int, str] = {}
    for migration in local:
        if migration.version in known:
            newest[migration.layer] = migration.version
    late = [migration.path.name for migration in pending if migration.version < newest.get(migration.layer, "")]
    if late:
        raise MigrationsOutOfOrder(late)
    return pending


async def _begin_session(connection: asyncpg.Connection) -> None:
    """Undo the session settings of the file before, such as a search_path, and allow statements to take minutes.

    Hosted Supabase limits the statements of `postgres`.
    """
    await connection.execute("reset all; set statement_timeout = 0")


async def _apply(connection: asyncpg.Connection, migration: Migration) -> AppliedFile:
    statements = split_statements(migration.path.read_text())
    await _begin_session(connection)
    async with connection.transaction():
        await _execute_all(connection, migration.path.name, statements)
        await connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name, statements) values ($1, $2, $3)",
            migration.version,
            migration.name,
            [statement.sql for statement in statements],
        )
    return AppliedFile(migration.path.name, len(statements))


async def _run_seed(connection: asyncpg.Connection, seed: Path) -> AppliedFile | None:
    path, text = f"supabase/{seed.name}", seed.read_text()
    digest = hashlib.sha256(text.encode()).hexdigest()
    ran = await connection.fetchval("select hash from supabase_migrations.seed_files where path = $1", path)
    if ran == digest:
        return None
    statements = [] if ran else split_statements(text)
    await _begin_session(connection)
    async with connection.transaction():
        await _execute_all(connection, seed.name, statements)
        await connection.execute(
            "insert into supabase_migrations.seed_files (path, hash) values ($1, $2)"
            " on conflict (path) do update set hash = excluded.hash",
            path,
            digest,
        )
    return AppliedFile(seed.name, len(statements)) if statements else None


async def _execute_all(connection: asyncpg.Connection, file: str, statements: Sequence[Statement]) -> None:
    await connection.execute("set local lock_timeout = '4s'")
    for number, statement in enumerate(statements, start=1):
        try:
            await connection.execute(statement.sql)
        except asyncpg.PostgresError as error:
            line, excerpt = statement.line, statement.sql
            if position := int(getattr(error, "position", None) or 0):
                before = statement.sql[: position - 1]
                row, column = before.count("\n"), len(before) - before.rfind("\n") - 1
                line += row
                excerpt = "\n".join([*statement.sql.split("\n")[: row + 1], " " * column + "^"])
            raise MigrationFailed(file, number=number, line=line, reason=str(error), excerpt=excerpt) from error


# Where a semicolon does not end a statement: quotes, comments, parentheses and bodies of standard SQL functions.
# Anything unclosed runs to the end of the text, as in Postgres.
_TOKEN = re.compile(
    r"""
    --[^\n]* | (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*+'? | '(?:[^']|'')*+'? | "(?:[^"]|"")*+"?
    | (?<![\w$]) (?P<tag> \$(?:[^\W\d]\w*)?\$ ) .*? (?: (?P=tag) | \Z )
    | (?P<comment> /\* )
    | (?P<mark> [;()] | (?<![\w$]) (?: begin\s+atomic | case | end ) (?![\w$]) )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_CLOSES = {")": "(", "end": "body"}


def split_statements(sql: str) -> list[Statement]:
    """Split SQL into statements. A comment belongs to the statement that follows it.

    Handles quotes, dollar quotes, nested comments, parentheses and `begin atomic` bodies.
    """
    statements = []
    start = 0
    for end in [*_ends(sql), len(sql)]:
        text = sql[start:end].rstrip(";").rstrip()
        if body := text.lstrip():
            begin = start + len(text) - len(body)
            statements.append(Statement(body, sql.count("\n", 0, begin) + 1))
        start = end
    return statements


def _ends(sql: str) -> Iterator[int]:
    position = 0
    still_open: list[str] = []
    while match := _TOKEN.search(sql, position):
        position = match.end()
        if match["comment"]:
            depth = 1
            while depth and (edge := _COMMENT_EDGE.search(sql, position)):
                depth += 1 if edge[0] == "/*" else -1
                position = edge.end()
            position = len(sql) if depth else position
        mark = (match["mark"] or "").lower()
        if mark == ";" and not still_open:
            yield position
        elif mark == "(":
            still_open.append(mark)
        elif mark.startswith("begin") or (mark == "case" and "body" in still_open):
            still_open.append("body")
        elif still_open and still_open[-1] == _CLOSES.get(mark):
            still_open.pop()
