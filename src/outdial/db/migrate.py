"""Applies `supabase/migrations` and keeps the Supabase CLI's own history, so that either tool can go on."""

import hashlib
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from outdial.db.errors import (
    MigrationFailed,
    MigrationsOutOfOrder,
    MisnamedMigration,
    OwnerBoundByPolicies,
    RemoteDatabaseRefused,
    UnknownRemoteMigrations,
)
from outdial.net import is_loopback
from outdial.settings import read_environment

_PACKAGE = Path(__file__).parents[1]
_BOOTSTRAP = Path(__file__).with_name("bootstrap.sql")
_FILE_NAME = re.compile(r"(\d{14})_(.+)\.sql", re.ASCII)
# Any number will do, as long as every runner uses the same one.
_RUNNERS = 5_464_813_022

_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
create table if not exists supabase_migrations.seed_files (path text not null primary key, hash text not null);
"""
# Where the schema auth is ours, another version's bootstrap may have made it.
_LACKS_AUTH = """
select to_regprocedure('auth.uid()') is null
  or coalesce(obj_description(to_regnamespace('auth'), 'pg_namespace') = 'made by outdial', false)
"""
_CLEAR = """
drop schema if exists supabase_migrations, pgqueuer, host, private, public cascade;
create schema public;
grant usage on schema public to public;
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a SQL file, without its semicolon, and the line on which it begins."""

    sql: str
    line: int


@dataclass(frozen=True, slots=True, order=True)
class Migration:
    """A migration file: its version is the 14 digits in front."""

    version: str
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Applied:
    """A file that a run brought to the database, and how many statements it held."""

    file: str
    statements: int


@dataclass(frozen=True, slots=True)
class MigrationState:
    """Where a migration is known: in the local directory, in the database, or in both."""

    version: str
    name: str
    local: bool
    remote: bool


def supabase_dir() -> Path:
    """Return the directory of migrations and functions: ./supabase, else the installed one, else the repository's."""
    candidates = (Path.cwd() / "supabase", _PACKAGE / "_supabase", _PACKAGE.parents[1] / "supabase")
    found = next((path for path in candidates if path.is_dir()), None)
    if found is None:
        raise FileNotFoundError("there is no supabase directory here, and none was installed with outdial")
    return found


async def push(dsn: str, migrations: Path, *, seed: Path | None = None) -> list[Applied]:
    """Apply what `migrations` has and the database lacks, oldest first, then `seed` if it never ran; return what ran.

    Each file is one transaction with its row of history. Runners wait for each other, so any number may start at once.
    Plain Postgres is first given what Supabase has. As with the Supabase CLI, a seed that changed after it ran is
    only marked as such. Raises MigrationError before anything is applied when the two sides do not fit together, and
    MigrationFailed for a statement that the database refused; the files before it stay applied.
    OwnerBoundByPolicies refuses a login that the policies would bind.
    """
    async with _runner(dsn) as connection:
        return await _push(connection, read_migrations(migrations), seed)


async def status(dsn: str, migrations: Path) -> list[MigrationState]:
    """Return every migration that either side knows, oldest first, without changing the database."""
    local = {migration.version: migration.name for migration in read_migrations(migrations)}
    connection = await asyncpg.connect(dsn)
    try:
        remote = await _applied(connection)
    finally:
        await connection.close()
    return [
        MigrationState(version, local.get(version) or remote[version], version in local, version in remote)
        for version in sorted(local.keys() | remote.keys())
    ]


async def reset(dsn: str, migrations: Path, seed: Path | None = None) -> list[Applied]:
    """Destroy the schemas public, private, host, pgqueuer, supabase_migrations, and auth where we made it; then push.

    Raises RemoteDatabaseRefused, before connecting, unless `dsn` names this machine or a Unix socket.
    """
    refuse_remote(dsn)
    local = read_migrations(migrations)
    async with _runner(dsn) as connection:
        async with connection.transaction():
            await connection.execute("set local lock_timeout = '4s'")
            if await connection.fetchval("select obj_description(to_regnamespace('auth')) = 'made by outdial'"):
                await connection.execute("drop schema auth cascade")
            await connection.execute(_CLEAR)
        return await _push(connection, local, seed)


def refuse_remote(dsn: str) -> None:
    """Raise RemoteDatabaseRefused unless every host that `dsn` may lead to is this machine."""
    parts, query = urlsplit(dsn), parse_qs(urlsplit(dsn).query)
    if "service" in query:
        raise RemoteDatabaseRefused(f"service {query['service'][0]}")
    in_address = parts.netloc.rpartition("@")[2]
    hosts = [_without_port(host) for host in in_address.split(",") if host]
    hosts += [host for value in query.get("host", []) for host in value.split(",")]
    for host in hosts or read_environment().get("PGHOST", "").split(","):
        if not _is_this_machine(host):
            raise RemoteDatabaseRefused(host)


def read_migrations(directory: Path) -> list[Migration]:
    """Return the migrations of `directory`, oldest first; raises MisnamedMigration for any other .sql file."""
    found, misnamed = {}, []
    for path in sorted(directory.iterdir()):
        match = _FILE_NAME.fullmatch(path.name)
        if match and match[1] not in found:
            found[match[1]] = Migration(match[1], match[2], path)
        elif path.suffix == ".sql":
            misnamed.append(path.name)
    if misnamed:
        raise MisnamedMigration(misnamed)
    return sorted(found.values())


@asynccontextmanager
async def _runner(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        # Held until the connection closes.
        await connection.execute(f"select pg_advisory_lock({_RUNNERS})")
        yield connection
    finally:
        await connection.close()


async def _push(connection: asyncpg.Connection, local: Sequence[Migration], seed: Path | None) -> list[Applied]:
    await _check_owner(connection)
    await _prepare(connection)
    done = [await _apply(connection, migration) for migration in _pending(local, await _applied(connection))]
    await _install_queue(connection)
    seeded = await _sow(connection, seed) if seed is not None and seed.exists() else None
    return [*done, seeded] if seeded else done


async def _install_queue(connection: asyncpg.Connection) -> None:
    # PgQueuer takes half a second to import, which a command that migrates nothing need not spend.
    from outdial.db.queue import install_queue

    await install_queue(connection)


async def _check_owner(connection: asyncpg.Connection) -> None:
    bound = "select rolname from pg_roles where rolname = current_user and not (rolsuper or rolbypassrls)"
    if name := await connection.fetchval(bound):
        raise OwnerBoundByPolicies(name)


async def _prepare(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        await connection.execute("set local lock_timeout = '4s'")
        if await connection.fetchval(_LACKS_AUTH):
            await connection.execute(_BOOTSTRAP.read_text())
        await connection.execute(_HISTORY)


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
    late = [migration.path.name for migration in pending if migration.version < max(known, default="")]
    if late:
        raise MigrationsOutOfOrder(late)
    return pending


async def _apply(connection: asyncpg.Connection, migration: Migration) -> Applied:
    statements = split_statements(migration.path.read_text())
    # A file may have changed a setting of the session, such as search_path.
    await connection.execute("reset all")
    async with connection.transaction():
        await _execute_all(connection, migration.path.name, statements)
        await connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name, statements) values ($1, $2, $3)",
            migration.version,
            migration.name,
            [statement.sql for statement in statements],
        )
    return Applied(migration.path.name, len(statements))


async def _sow(connection: asyncpg.Connection, seed: Path) -> Applied | None:
    path, text = f"supabase/{seed.name}", seed.read_text()
    digest = hashlib.sha256(text.encode()).hexdigest()
    ran = await connection.fetchval("select hash from supabase_migrations.seed_files where path = $1", path)
    if ran == digest:
        return None
    statements = [] if ran else split_statements(text)
    await connection.execute("reset all")
    async with connection.transaction():
        await _execute_all(connection, seed.name, statements)
        await connection.execute(
            "insert into supabase_migrations.seed_files (path, hash) values ($1, $2)"
            " on conflict (path) do update set hash = excluded.hash",
            path,
            digest,
        )
    return Applied(seed.name, len(statements)) if statements else None


async def _execute_all(connection: asyncpg.Connection, file: str, statements: Sequence[Statement]) -> None:
    await connection.execute("set local lock_timeout = '4s'")
    for number, statement in enumerate(statements, start=1):
        try:
            await connection.execute(statement.sql)
        except asyncpg.PostgresError as error:
            raise _failure(file, number, statement, error) from error


def _failure(file: str, number: int, statement: Statement, error: asyncpg.PostgresError) -> MigrationFailed:
    position = int(getattr(error, "position", None) or 0)
    lines = statement.sql.split("\n")
    if not position:
        return MigrationFailed(file, number=number, line=statement.line, reason=str(error), excerpt=statement.sql)
    before = statement.sql[: position - 1]
    row, column = before.count("\n"), len(before) - before.rfind("\n") - 1
    excerpt = "\n".join([*lines[: row + 1], " " * column + "^"])
    return MigrationFailed(file, number=number, line=statement.line + row, reason=str(error), excerpt=excerpt)


def _without_port(host: str) -> str:
    return host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]


def _is_this_machine(host: str) -> bool:
    # Without a host, or with a path, libpq connects to a Unix socket.
    return not host or host.startswith(("/", "@")) or is_loopback(host)


# Where a semicolon ends no statement: quotes, comments, parentheses, and the bodies of standard SQL functions. What
# is not closed runs to the end of the text, as it does in Postgres.
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
    """Split a SQL text at the semicolons that end statements; a comment stays with the statement that follows it.

    Knows quotes, dollar quotes, nested comments, parentheses and `begin atomic` bodies.
    """
    statements, start = [], 0
    for end in [*_ends(sql), len(sql)]:
        text = sql[start:end].rstrip(";").rstrip()
        if body := text.lstrip():
            begin = start + len(text) - len(body)
            statements.append(Statement(body, sql.count("\n", 0, begin) + 1))
        start = end
    return statements


def _ends(sql: str) -> Iterator[int]:
    position, still_open = 0, list[str]()
    while match := _TOKEN.search(sql, position):
        position = _comment_end(sql, match.end()) if match["comment"] else match.end()
        mark = (match["mark"] or "").lower()
        if mark == ";" and not still_open:
            yield position
        elif mark == "(":
            still_open.append(mark)
        elif mark.startswith("begin") or (mark == "case" and "body" in still_open):
            still_open.append("body")
        elif still_open and still_open[-1] == _CLOSES.get(mark):
            still_open.pop()


def _comment_end(sql: str, position: int) -> int:
    depth = 1
    while depth and (edge := _COMMENT_EDGE.search(sql, position)):
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return len(sql) if depth else position
