"""The runner of migrations: order, history, failures, and the splitting of SQL files."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.db import migrate
from outdial.db.errors import (
    MigrationFailed,
    MigrationsLocked,
    MigrationsOutOfOrder,
    MisnamedMigration,
    OwnerBoundByPolicies,
    RemoteDatabaseRefused,
    UnknownRemoteMigrations,
)
from outdial.db.migrate import AppliedFile, MigrationState, push, reset, split_statements, status
from outdial.project import migration_directories
from tests.support.postgres import MIGRATIONS, Scratch, until_one_waits

ONE, TWO, THREE = "20260101000000_one.sql", "20260102000000_two.sql", "20260103000000_three.sql"
HISTORY = "select version, name, statements from supabase_migrations.schema_migrations order by version"
BOOTSTRAP = Path(migrate.__file__).with_name("bootstrap.sql")

WriteFiles = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "migrations"
    path.mkdir()
    return path


async def fetch(dsn: str, query: str, *arguments: object) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


async def execute(dsn: str, script: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


async def test_an_empty_database_gets_every_file_in_order_and_its_history(
    empty_database: Scratch, folder: Path
) -> None:
    (folder / TWO).write_text("insert into things values (1);\n")
    (folder / ONE).write_text("-- Things.\ncreate table things (id int);\n\ncreate index on things (id);\n")

    applied = await push(empty_database.dsn, folder)

    assert applied == [AppliedFile(ONE, 2), AppliedFile(TWO, 1)]
    assert await fetch(empty_database.dsn, HISTORY) == [
        ("20260101000000", "one", ["-- Things.\ncreate table things (id int)", "create index on things (id)"]),
        ("20260102000000", "two", ["insert into things values (1)"]),
    ]


async def test_a_second_push_does_nothing_and_a_third_applies_the_new_file_only(
    empty_database: Scratch, folder: Path
) -> None:
    (folder / ONE).write_text("create table things (id int);")
    await push(empty_database.dsn, folder)

    assert await push(empty_database.dsn, folder) == []

    (folder / TWO).write_text("insert into things values (1);")
    assert await push(empty_database.dsn, folder) == [AppliedFile(TWO, 1)]
    assert await fetch(empty_database.dsn, "select id from things") == [(1,)]


async def test_a_file_that_fails_leaves_nothing_behind_and_names_its_statement(
    empty_database: Scratch, folder: Path
) -> None:
    (folder / ONE).write_text("create table things (id int);")
    (folder / TWO).write_text("create table others (id int);\n\ninsert into things\n  select missing\n  from others;\n")

    with pytest.raises(MigrationFailed) as caught:
        await push(empty_database.dsn, folder)

    assert str(caught.value).splitlines() == [
        f'{TWO}, statement 2 (line 4): column "missing" does not exist',
        "insert into things",
        "  select missing",
        "         ^",
    ]
    assert await fetch(empty_database.dsn, "select to_regclass('things')::text, to_regclass('others')::text") == [
        ("things", None)
    ]
    assert [row[0] for row in await fetch(empty_database.dsn, HISTORY)] == ["20260101000000"]


async def test_an_error_without_a_position_shows_the_whole_statement(empty_database: Scratch, folder: Path) -> None:
    (folder / ONE).write_text("select 1;\nselect 1 / 0;")

    with pytest.raises(MigrationFailed, match=r"statement 2 \(line 2\): division by zero\nselect 1 / 0$"):
        await push(empty_database.dsn, folder)


async def test_a_session_setting_of_one_file_does_not_affect_the_next(empty_database: Scratch, folder: Path) -> None:
    (folder / ONE).write_text("select set_config('search_path', '', false);")
    (folder / TWO).write_text("create table things (id int);")

    await push(empty_database.dsn, folder)

    assert await fetch(empty_database.dsn, "select to_regclass('public.things')::text") == [("things",)]


async def test_a_limit_of_the_login_on_statements_does_not_apply_to_migrations(
    empty_database: Scratch, folder: Path, tmp_path: Path
) -> None:
    # The limit of hosted Supabase.
    await execute(
        empty_database.dsn,
        "do $$ begin execute format('alter database %I set statement_timeout = ''2min''', current_database()); end $$",
    )
    note = "insert into limits default values;"
    (folder / ONE).write_text(f"create table limits (each text default current_setting('statement_timeout')); {note}")
    (folder / TWO).write_text(f"set statement_timeout = '1min'; {note}")
    (folder / THREE).write_text(note)
    (seed := tmp_path / "seed.sql").write_text(note)

    await push(empty_database.dsn, folder, seed=seed)

    assert await fetch(empty_database.dsn, "show statement_timeout") == [("2min",)]
    assert await fetch(empty_database.dsn, "select each from limits") == [("0",), ("1min",), ("0",), ("0",)]


async def test_a_login_that_is_subject_to_the_policies_is_rejected_before_anything_is_created(
    empty_database: Scratch, folder: Path
) -> None:
    await execute(
        empty_database.dsn, f"create role plain login; grant create on database {empty_database.name} to plain"
    )
    try:
        with pytest.raises(OwnerBoundByPolicies, match=r"'plain' would own .* alter role plain bypassrls") as refused:
            await push(empty_database.dsn_for("plain"), MIGRATIONS)
        assert "\n" not in str(refused.value)
        made = await fetch(empty_database.dsn, "select nspname from pg_namespace where nspname = 'supabase_migrations'")
        assert made == []
        await execute(empty_database.dsn, "alter role plain bypassrls")
        assert await push(empty_database.dsn_for("plain"), folder) == []
    finally:
        await execute(empty_database.dsn, "drop owned by plain; drop role plain")


async def test_twenty_runners_at_once_apply_each_file_once(empty_database: Scratch, folder: Path) -> None:
    (folder / ONE).write_text("create table things (id int);")
    (folder / TWO).write_text("insert into things values (1);")

    results = await asyncio.gather(*(push(empty_database.dsn, folder) for _ in range(20)))

    assert sorted(len(applied) for applied in results) == [0] * 19 + [2]
    assert await fetch(empty_database.dsn, "select count(*) from things") == [(1,)]


async def test_a_runner_that_waits_says_who_holds_the_lock_and_gives_up_at_last(
    empty_database: Scratch, folder: Path
) -> None:
    holder = await asyncpg.connect(empty_database.dsn)
    told: list[str] = []
    async with holder.transaction():
        await holder.execute(f"select pg_advisory_xact_lock({migrate._RUNNERS})")
        pid = holder.get_server_pid()

        with pytest.raises(MigrationsLocked) as refused:
            await push(
                empty_database.dsn,
                folder,
                on_wait=told.append,
                patience=migrate._FIRST_WAIT + timedelta(milliseconds=1),
            )

    assert refused.value.pid == pid
    assert f"select pg_terminate_backend({pid})" in str(refused.value)
    assert [line for line in told if f"waiting for another outdial db push: session {pid} of postgres" in line] == told
    assert told
    assert await push(empty_database.dsn, folder) == []
    await holder.close()


async def test_a_runner_whose_holder_dies_goes_on(empty_database: Scratch, folder: Path) -> None:
    (folder / ONE).write_text("create table things (id int);")
    holder = await asyncpg.connect(empty_database.dsn)
    await holder.execute(f"select pg_advisory_lock({migrate._RUNNERS})")

    pushed = await push(empty_database.dsn, folder, on_wait=lambda _: holder.terminate())

    assert pushed == [AppliedFile(ONE, 1)]


async def test_the_lock_of_a_killed_runner_is_free(empty_database: Scratch, folder: Path) -> None:
    (folder / ONE).write_text("select pg_advisory_xact_lock(1);")
    other = await asyncpg.connect(empty_database.dsn)
    await other.execute("select pg_advisory_lock(1)")
    runner = asyncio.create_task(push(empty_database.dsn, folder))
    await until_one_waits(other)

    runner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await runner

    await other.execute("select pg_advisory_unlock(1)")
    assert await push(empty_database.dsn, folder) == [AppliedFile(ONE, 1)]
    await other.close()


async def test_runners_on_two_new_databases_of_one_server_do_not_fail_each_other(
    empty_database: Scratch, folder: Path
) -> None:
    names = [f"{empty_database.name}_{n}" for n in range(4)]
    for name in names:
        await execute(empty_database.dsn, f"create database {name}")
    try:
        dsns = [empty_database.server.dsn_for("postgres", name) for name in names]
        await asyncio.gather(*(push(dsn, folder) for dsn in dsns))
    finally:
        for name in names:
            await execute(empty_database.dsn, f"drop database {name} with (force)")


async def test_a_migration_that_only_the_database_has_stops_the_push(empty_database: Scratch, folder: Path) -> None:
    (folder / ONE).write_text("create table things (id int);")
    await push(empty_database.dsn, folder)
    (folder / ONE).rename(folder / TWO)

    with pytest.raises(UnknownRemoteMigrations, match="migration repair --status reverted 20260101000000"):
        await push(empty_database.dsn, folder)


async def test_a_new_file_older_than_the_last_applied_one_stops_the_push(empty_database: Scratch, folder: Path) -> None:
    (folder / TWO).write_text("select 2;")
    await push(empty_database.dsn, folder)
    (folder / ONE).write_text("select 1;")

    with pytest.raises(MigrationsOutOfOrder, match=ONE):
        await push(empty_database.dsn, folder)


@pytest.mark.parametrize("name", ["first.sql", "2026_short.sql", "20260101000000.sql", "20260101000000_again.sql"])
async def test_a_misnamed_file_is_rejected_before_anything_runs(
    empty_database: Scratch, folder: Path, name: str
) -> None:
    (folder / ONE).write_text("select 1;")
    (folder / name).write_text("select 1;")

    with pytest.raises(MisnamedMigration) as caught:
        await push(empty_database.dsn, folder)

    assert "_" in str(caught.value)
    assert await fetch(empty_database.dsn, "select to_regnamespace('supabase_migrations')::text") == [(None,)]


async def test_status_shows_both_sides_and_changes_nothing(empty_database: Scratch, folder: Path) -> None:
    (folder / ONE).write_text("select 1;")

    assert await status(empty_database.dsn, folder) == [MigrationState("20260101000000", "one", True, False)]
    assert await fetch(empty_database.dsn, "select to_regnamespace('supabase_migrations')::text") == [(None,)]

    await push(empty_database.dsn, folder)
    (folder / ONE).rename(folder / TWO)

    assert await status(empty_database.dsn, folder) == [
        MigrationState("20260101000000", "one", False, True),
        MigrationState("20260102000000", "two", True, False),
    ]


async def test_a_seed_runs_once_and_later_changes_are_only_recorded(
    empty_database: Scratch, folder: Path, tmp_path: Path
) -> None:
    seed = tmp_path / "seed.sql"
    (folder / ONE).write_text("create table things (id int);")
    seed.write_text("insert into things values (1);")

    assert await push(empty_database.dsn, folder, seed=seed) == [AppliedFile(ONE, 1), AppliedFile("seed.sql", 1)]
    assert await push(empty_database.dsn, folder, seed=seed) == []
    seed.write_text("insert into things values (2);")
    assert await push(empty_database.dsn, folder, seed=seed) == []

    digest = hashlib.sha256(seed.read_bytes()).hexdigest()
    assert await fetch(empty_database.dsn, "select id from things") == [(1,)]
    assert await fetch(empty_database.dsn, "select path, hash from supabase_migrations.seed_files") == [
        ("supabase/seed.sql", digest)
    ]


async def test_a_reset_starts_again_from_nothing(empty_database: Scratch, folder: Path, tmp_path: Path) -> None:
    seed = tmp_path / "seed.sql"
    (folder / ONE).write_text("create schema private; create table things (id int);")
    seed.write_text("insert into things values (1);")
    await push(empty_database.dsn, folder, seed=seed)
    await execute(empty_database.dsn, "create table leftover (); insert into auth.users values (gen_random_uuid())")

    applied = await reset(empty_database.dsn, folder, seed=seed)

    assert applied == [AppliedFile(ONE, 2), AppliedFile("seed.sql", 1)]
    assert await fetch(empty_database.dsn, "select to_regclass('leftover')::text, count(*) from auth.users") == [
        (None, 0)
    ]
    assert await fetch(empty_database.dsn, "select id from things") == [(1,)]


async def test_a_reset_keeps_a_schema_auth_that_is_not_ours(empty_database: Scratch, folder: Path) -> None:
    await execute(
        empty_database.dsn,
        "create schema auth; create table auth.users (id int); insert into auth.users values (7);"
        "create function auth.uid() returns uuid language sql as 'select null::uuid'",
    )
    await push(empty_database.dsn, folder)

    await reset(empty_database.dsn, folder)

    assert await fetch(empty_database.dsn, "select * from auth.users") == [(7,)]


@pytest.mark.parametrize(
    ("dsn", "host"),
    [
        ("postgresql://postgres:secret@db.example.com:5432/postgres", "db.example.com"),
        ("postgresql://postgres:secret@127.0.0.1:5432,10.0.0.7:5432/postgres", "10.0.0.7"),
        ("postgresql://postgres:secret@[2001:db8::1]/postgres", "2001:db8::1"),
        ("postgresql://postgres:secret@/postgres?host=db.example.com", "db.example.com"),
        ("postgresql://postgres:secret@localhost.example.com/postgres", "localhost.example.com"),
        ("postgresql:///postgres?service=production", "service production"),
    ],
)
async def test_a_reset_of_a_remote_database_is_rejected_without_showing_the_password(
    folder: Path, dsn: str, host: str
) -> None:
    with pytest.raises(RemoteDatabaseRefused) as caught:
        await reset(dsn, folder)

    assert caught.value.host == host
    assert "secret" not in str(caught.value)


def test_pghost_applies_when_the_url_has_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")

    with pytest.raises(RemoteDatabaseRefused):
        migrate.refuse_remote("postgresql:///postgres")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://postgres@/postgres?host=/run/outdial&port=5432",
        "postgresql://postgres:postgres@127.0.0.1:54322/postgres",
        "postgresql://postgres@localhost/postgres",
        "postgresql://postgres@[::1]:5432/postgres",
        "postgresql:///postgres",
    ],
)
def test_a_url_on_this_machine_is_accepted(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGHOST", raising=False)

    migrate.refuse_remote(dsn)


async def test_the_bootstrap_may_run_repeatedly(empty_database: Scratch) -> None:
    for _ in range(3):
        await execute(empty_database.dsn, BOOTSTRAP.read_text())

    assert await fetch(
        empty_database.dsn,
        "select rolname::text, rolcanlogin, rolinherit, rolbypassrls from pg_roles"
        " where rolname in ('anon', 'authenticated', 'service_role') order by 1",
    ) == [
        ("anon", False, False, False),
        ("authenticated", False, False, False),
        ("service_role", False, False, True),
    ]


async def test_an_older_database_gets_the_current_auth_schema(empty_database: Scratch) -> None:
    await execute(empty_database.dsn, BOOTSTRAP.read_text())
    await execute(empty_database.dsn, "drop table auth.refresh_tokens, auth.sessions, auth.signing_keys, auth.attempts")

    await push(empty_database.dsn, MIGRATIONS)
    await push(empty_database.dsn, MIGRATIONS)

    assert await fetch(empty_database.dsn, "select to_regclass('auth.signing_keys') is not null") == [(True,)]


async def test_a_schema_auth_that_is_not_ours_is_left_alone(empty_database: Scratch) -> None:
    await execute(empty_database.dsn, BOOTSTRAP.read_text())
    theirs = "comment on schema auth is null; drop table auth.refresh_tokens, auth.signing_keys, auth.attempts"
    await execute(empty_database.dsn, theirs)
    objects = "select relname, relacl::text from pg_class where relnamespace = 'auth'::regnamespace order by 1"
    before = await fetch(empty_database.dsn, objects)

    await execute(empty_database.dsn, BOOTSTRAP.read_text())
    await push(empty_database.dsn, MIGRATIONS)

    assert await fetch(empty_database.dsn, objects) == before


async def test_the_functions_of_auth_read_the_claims_of_the_transaction(empty_database: Scratch) -> None:
    await execute(empty_database.dsn, BOOTSTRAP.read_text())
    claims = '{"sub": "018f3b5e-0000-7000-8000-000000000001", "role": "authenticated", "email": "a@example.com"}'
    ask = "select auth.uid()::text, auth.role(), auth.email(), auth.jwt() ->> 'sub'"
    connection = await asyncpg.connect(empty_database.dsn)
    async with connection.transaction():
        await connection.execute("select set_config('request.jwt.claims', $1, true)", claims)
        await connection.execute("set local role authenticated")
        inside = tuple(await connection.fetchrow(ask) or ())
    after = tuple(await connection.fetchrow(ask) or ())
    await connection.close()

    subject = "018f3b5e-0000-7000-8000-000000000001"
    assert inside == (subject, "authenticated", "a@example.com", subject)
    assert after == (None, None, None, None)


def test_migrations_of_a_project_come_after_those_of_outdial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert migration_directories() == [MIGRATIONS]

    project = tmp_path / "supabase" / "migrations"
    project.mkdir(parents=True)
    assert migration_directories() == [MIGRATIONS, project]

    monkeypatch.chdir(MIGRATIONS.parents[1])
    assert [path.resolve() for path in migration_directories()] == [MIGRATIONS]


async def test_an_upgrade_brings_migrations_older_than_those_of_the_project(
    empty_database: Scratch, folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / ONE).write_text("create table ours ()")
    (folder / "20270101000000_theirs.sql").write_text("create table theirs (like ours)")
    await push(empty_database.dsn, own, folder)
    (own / TWO).write_text("create table ours_too ()")

    assert await push(empty_database.dsn, own, folder) == [AppliedFile(TWO, 1)]


async def test_a_migration_of_a_project_may_have_an_earlier_date_than_the_one_it_builds_on(
    empty_database: Scratch, folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / TWO).write_text("create table ours ()")
    (folder / "20200101000000_theirs.sql").write_text("create table theirs (like ours)")

    applied = await push(empty_database.dsn, own, folder)

    assert applied == [AppliedFile(TWO, 1), AppliedFile("20200101000000_theirs.sql", 1)]


def test_a_file_of_the_project_takes_the_place_of_one_with_its_name(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for name in (ONE, TWO):
        (own / name).write_text("select 1")
    (folder / ONE).write_text("select 2")

    assert [found.path for found in migrate.read_migrations(own, folder)] == [folder / ONE, own / TWO]

    (folder / f"{TWO[:14]}_something_else.sql").write_text("select 3")
    with pytest.raises(MisnamedMigration, match="something_else"):
        migrate.read_migrations(own, folder)


@pytest.mark.parametrize(
    "statement",
    [
        "select ';'",
        "select 'it''s; fine'",
        r"select e'\'; still'",
        r"select '\', ';'",
        'select 1 as "a;""b;"',
        "select $$;$$",
        "select $a$ $b$;$$ $a$",
        "select $x$; -- not a comment\n';$x$, a$1 from b$2",
        "select 1 -- not here; nor here'\n + 1",
        "select /* ; /* ' nested; */ ; */ 1",
        "create rule r as on insert to t do (select 1; select 2)",
        "create function f() returns int begin atomic select case when true then 1 end; select 2; end",
        "do $body$ begin perform 1; end; $body$",
    ],
)
def test_a_semicolon_inside_a_statement_does_not_end_it(statement: str) -> None:
    assert [found.sql for found in split_statements(f"{statement};\nselect 2;")] == [statement, "select 2"]


def test_statements_have_the_line_on_which_they_begin() -> None:
    found = split_statements("\n-- one\nselect 1;;\n\n  select\n 2;\n")

    assert [(statement.line, statement.sql) for statement in found] == [
        (2, "-- one\nselect 1"),
        (5, "select\n 2"),
    ]


PIECES = st.sampled_from(
    ["a", "'b;'", "''", '"c;"', "$$;$$", "$t$'$t$", "--;'\n", "/*;/*'*/;*/", "(;)", "e'\\';'", " ", "\n", "$1", "é"]
)
STATEMENTS = st.lists(PIECES, min_size=1).map(" ".join).filter(lambda text: bool(text.strip()))


@given(st.lists(STATEMENTS))
def test_statements_joined_by_semicolons_are_split_again(statements: list[str]) -> None:
    text = ";\n".join(statements)

    assert [found.sql for found in split_statements(text)] == [statement.strip() for statement in statements]


@given(st.text(alphabet="a;'\"$/*-\\()\n e"))
def test_no_text_is_lost_or_invented(text: str) -> None:
    joined = "".join(found.sql for found in split_statements(text))

    def without(characters: str) -> str:
        return "".join(character for character in characters if character not in "; \n")

    assert without(joined) == without(text)


VERBS = {"create", "alter", "grant", "revoke", "comment", "do", "insert", "update", "delete", "drop", "select", "with"}


@pytest.mark.parametrize("path", sorted(MIGRATIONS.glob("*.sql")), ids=lambda path: path.stem)
def test_each_statement_of_our_migrations_begins_with_a_comment_or_a_verb(path: Path) -> None:
    for statement in split_statements(path.read_text()):
        code = "\n".join(line for line in statement.sql.splitlines() if not line.startswith("--"))
        assert code.split()[0] in VERBS
