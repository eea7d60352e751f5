"""Who may touch what hosts serve, and what the tables themselves refuse."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from outdial.db.queries.host import deployments, secrets
from outdial.db.session import Connection, Database
from tests.support.factories import NOW
from tests.support.postgres import Scratch

TABLES = {"functions", "function_versions", "function_files", "secrets", "access_tokens", "hosts"}
OTHERS = ("anon", "authenticated", "service_role", "outdial_api", "outdial_webhook", "outdial_dialer")
SHA256 = "a" * 64


@asynccontextmanager
async def acting(database: Scratch) -> AsyncIterator[Connection]:
    """A transaction of the host's own login."""
    pool = await Database.connect(database.dsn_for("outdial_host"), application_name="test")
    async with pool, pool.transaction() as connection:
        yield connection


async def deploy(connection: Connection, slug: str, *, active: bool = True) -> int:
    """Keep a version, and put it into service."""
    opened = await deployments.open_version(connection, slug=slug, name=slug, now=NOW)
    await deployments.add_version(
        connection,
        slug=slug,
        version=opened,
        entrypoint_path=f"supabase/functions/{slug}/index.py",
        static_patterns=[],
        verify_jwt=False,
        config=None,
        sha256=SHA256,
        now=NOW,
        created_by="test",
    )
    await deployments.add_files(connection, slug=slug, version=opened, paths=["a", "b"], contents=[b"1", b""])
    if active:
        await deployments.supersede_versions(connection, slugs=[slug])
        await deployments.activate_versions(connection, slugs=[slug], versions=[opened])
    return opened


async def test_only_the_host_may_use_its_tables(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "select c.relname::text, r.role from pg_class c, unnest($1::text[]) r (role)"
        " where c.relnamespace = 'host'::regnamespace and c.relname = any ($2)"
        " and (has_table_privilege(r.role, c.oid, 'select, insert, update, delete, truncate, references')"
        "   or has_any_column_privilege(r.role, c.oid, 'select, insert, update, references'))",
        list(OTHERS),
        list(TABLES),
    )

    # Which versions there are, for the studio's page; not their files.
    readable = {("functions", "service_role"), ("function_versions", "service_role")}
    assert {tuple(row) for row in rows} == readable
    written = await connection.fetchval(
        "select bool_or(has_table_privilege('service_role', 'host.' || t, 'insert, update, delete, truncate')"
        " or has_any_column_privilege('service_role', 'host.' || t, 'insert, update'))"
        " from unnest(array['functions', 'function_versions']) t"
    )
    assert written is False


async def test_the_host_may_not_use_the_tables_of_users(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v')"
        " and (has_table_privilege('outdial_host', oid, 'select, insert, update, delete, truncate')"
        "   or has_any_column_privilege('outdial_host', oid, 'select, insert, update'))"
    )
    functions = await connection.fetchval(
        "select count(*) from pg_proc where pronamespace = 'private'::regnamespace"
        " and has_function_privilege('outdial_host', oid, 'execute')"
    )

    assert rows == []
    assert functions == 0


async def test_every_table_of_the_host_has_row_security_enabled_and_forced(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "select relname::text, relrowsecurity and relforcerowsecurity as guarded from pg_class"
        " where relnamespace = 'host'::regnamespace and relkind in ('r', 'p')"
    )
    guarded = {row["relname"]: row["guarded"] for row in rows}

    assert guarded.keys() >= TABLES
    assert all(guarded.values())


async def test_a_function_has_at_most_one_active_version(database: Scratch) -> None:
    async with acting(database) as host:
        assert [await deploy(host, "hello"), await deploy(host, "hello", active=False)] == [1, 2]
        with pytest.raises(asyncpg.UniqueViolationError, match="function_versions_active"):
            await deployments.activate_versions(host, slugs=["hello"], versions=[2])


async def test_hosts_serve_active_versions_and_no_deleted_functions(database: Scratch) -> None:
    async with acting(database) as host:
        await deploy(host, "hello")
        await deploy(host, "hello")
        await deploy(host, "kept", active=False)
        await deploy(host, "gone")
        await deployments.supersede_versions(host, slugs=["gone"])
        await deployments.touch_functions(host, slugs=["gone"], now=NOW, deleted=True)

        rows = await deployments.list_deployments(host)
        listed = await deployments.active_functions(host, slug=None)

    assert [(row.slug, row.version) for row in rows] == [("gone", None), ("hello", 2)]
    assert [(row.slug, row.version) for row in listed] == [("hello", 2)]


async def test_old_versions_are_deleted_with_their_files_except_the_active_one(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    async with acting(database) as host:
        await deploy(host, "hello")
        for _ in range(4):
            await deploy(host, "hello", active=False)
        await deployments.delete_old_versions(host, slug="hello", keep=2)
        kept = [row.version for row in await deployments.list_versions(host, slug="hello")]

    files = await connection.fetch("select distinct version from host.function_files order by version")
    assert kept == [5, 4, 1]
    assert [row["version"] for row in files] == [1, 4, 5]


async def test_a_version_that_was_active_before_is_not_marked_as_rejected(database: Scratch) -> None:
    async with acting(database) as host:
        await deploy(host, "hello")
        await deploy(host, "hello")
        await deploy(host, "hello", active=False)
        for version in (1, 2, 3):
            await deployments.reject_version(host, slug="hello", version=version, error="boom")
        rows = await deployments.list_versions(host, slug="hello")

    assert [(row.version, row.status, row.error) for row in rows] == [
        (3, "refused", "boom"),
        (2, "active", None),
        (1, "superseded", "boom"),
    ]


@pytest.mark.parametrize("name", ["SUPABASE_URL", "1A", "A-B", "", "A" * 257])
async def test_a_secret_with_an_invalid_name_is_rejected(database: Scratch, name: str) -> None:
    async with acting(database) as host:
        with pytest.raises(asyncpg.CheckViolationError):
            await secrets.set_secrets(host, names=[name], nonces=[bytes(12)], ciphertexts=[b"x"], now=NOW)


async def test_a_secret_that_was_changed_is_not_replaced_by_its_old_value(database: Scratch) -> None:
    async with acting(database) as host:
        await secrets.set_secrets(host, names=["A"], nonces=[b"1" * 12], ciphertexts=[b"newer"], now=NOW)
        touched = await secrets.reencrypt_secrets(
            host, names=["A"], old_nonces=[b"0" * 12], nonces=[b"2" * 12], ciphertexts=[b"older"]
        )
        rows = await secrets.list_secrets(host)

    assert touched == 0
    assert [row.ciphertext for row in rows] == [b"newer"]


async def test_a_revoked_token_is_not_found(database: Scratch) -> None:
    async with acting(database) as host:
        for name, sha256 in (("ci", b"1" * 32), ("ci", b"2" * 32), ("laptop", b"3" * 32)):
            await secrets.add_token(
                host, id=uuid4(), name=name, token_sha256=sha256, now=NOW, scopes=["logs"], expires_at=None
            )
        revoked = await secrets.revoke_tokens(host, given="ci", now=NOW)
        found = await secrets.find_tokens(host, hashes=[digit * 32 for digit in (b"1", b"2", b"3", b"4")])

    assert [token.name for token in revoked] == ["ci", "ci"]
    assert [(token.name, token.scopes) for token in found] == [("laptop", ["logs"])]


@pytest.mark.parametrize(
    ("scopes", "expires_at"), [([], None), (["admin"], None), (["logs"], NOW), (["logs"], NOW - timedelta(days=1))]
)
async def test_a_token_has_known_scopes_and_a_future(
    database: Scratch, scopes: list[str], expires_at: datetime | None
) -> None:
    async with acting(database) as host:
        with pytest.raises(asyncpg.CheckViolationError):
            await secrets.add_token(
                host,
                id=uuid4(),
                name="ci",
                token_sha256=b"1" * 32,
                now=NOW,
                scopes=scopes,
                expires_at=expires_at,
            )


async def test_a_host_without_a_recent_heartbeat_is_not_listed(database: Scratch) -> None:
    async with acting(database) as host:
        for id, seen_at in (("me", NOW), ("here", NOW), ("gone", NOW - timedelta(minutes=1))):
            await deployments.record_heartbeat(host, id=id, region="eu", address=f"http://{id}", now=seen_at)
        others = await deployments.list_other_hosts(host, id="me", since=NOW - timedelta(seconds=15))
        await deployments.remove_hosts(host, id="me", before=NOW - timedelta(seconds=30))
        left = await host.fetch("select id from host.hosts")

    assert [other.id for other in others] == ["here"]
    assert [row["id"] for row in left] == ["here"]
