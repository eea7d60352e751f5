"""Poolers: session mode works with stock settings, transaction mode is found, and no process gets more rights."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from outdial.clock import SystemClock
from outdial.database_url import names_transaction_pooler
from outdial.db.connect import connect_owner
from outdial.db.errors import RoleMissing, TooManyRights, TransactionPooling
from outdial.db.listen import Listener
from outdial.db.migrate import push, status
from outdial.db.passwords import ROLES, renew_passwords
from outdial.db.session import DIALER_TIMEOUTS, SERVICE, Database
from outdial.jobs.worker import JobWorker
from outdial.settings import DatabaseUrls, with_user
from tests.support.pgbouncer import PoolMode, needs_pgbouncer, pgbouncer
from tests.support.postgres import MIGRATIONS, Scratch

NOT_SESSIONS: tuple[PoolMode, ...] = ("transaction", "statement")
LOCKS = "select count(*) from pg_locks where locktype = 'advisory'"


@pytest.fixture
def session_pooler(database: Scratch) -> Iterator[str]:
    with pgbouncer(database, "session") as url:
        yield url


@needs_pgbouncer
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("as_owner", [True, False])
async def test_in_session_mode_each_process_has_its_role_and_timeouts(
    session_pooler: str, role: str, as_owner: bool
) -> None:
    dsn = session_pooler if as_owner else with_user(session_pooler, role)
    connecting = Database.connect(dsn, application_name="test", role=role, timeouts=DIALER_TIMEOUTS)
    async with await connecting as database:
        for _ in range(2):
            async with database.transaction() as connection:
                seen = await connection.fetchrow(
                    "select current_user::text, current_setting('lock_timeout'), current_setting('timezone')"
                )
                assert seen is not None
                assert tuple(seen) == (role, "1s", "UTC")


@needs_pgbouncer
async def test_in_session_mode_a_session_that_is_used_again_keeps_nothing(session_pooler: str) -> None:
    pool = await Database.connect(session_pooler, application_name="test", role="outdial_api")
    async with pool, pool.as_caller("service_role", SERVICE) as connection:
        assert await connection.fetchval("select current_user::text") == "service_role"
    connection = await connect_owner(session_pooler)
    assert await connection.fetchval("select current_user::text || current_setting('lock_timeout')") == "postgres0"
    await connection.close()


@needs_pgbouncer
async def test_in_session_mode_migrations_passwords_jobs_and_notifications_work(empty_database: Scratch) -> None:
    with pgbouncer(empty_database, "session") as url:
        applied = await push(url, MIGRATIONS)
        assert len(applied) == len(await status(url, MIGRATIONS))
        assert tuple((await renew_passwords(url)).urls) == ROLES
        async with await Database.connect(url, application_name="test", role="outdial_jobs") as database:
            worker = JobWorker(database, SystemClock(), role="outdial_jobs")
            await worker.run_once()
            told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            listener = Listener(url, {"outdial_test": told.set_result}, on_reconnect=list)
            await listener.start()
            async with database.transaction() as connection:
                await connection.execute("notify outdial_test, 'here'")
            assert await asyncio.wait_for(told, 30) == "here"
            await listener.stop()


@needs_pgbouncer
@pytest.mark.parametrize("mode", NOT_SESSIONS)
@pytest.mark.parametrize("settings", ["", "server_round_robin = 1\n"], ids=["", "round robin"])
async def test_a_process_does_not_start_behind_a_pooler_in_transaction_mode(
    database: Scratch, mode: PoolMode, settings: str
) -> None:
    with pgbouncer(database, mode, settings=settings) as url:
        if mode == "transaction":
            await busy_sessions(url)
        with pytest.raises(TransactionPooling) as refused:
            await Database.connect(url, application_name="test", role="outdial_dialer")
        with pytest.raises(TransactionPooling):
            await renew_passwords(url)

    assert "use its session mode, or the direct address of the database" in str(refused.value)
    assert "\n" not in str(refused.value)


@needs_pgbouncer
async def test_a_role_is_not_left_behind_in_a_session_of_a_transaction_pooler(database: Scratch) -> None:
    with pgbouncer(database, "transaction", "pool_size=1") as url:
        with pytest.raises(TransactionPooling):
            await Database.connect(url, application_name="test", role="outdial_dialer")
        other = await asyncpg.connect(url, statement_cache_size=0)
        assert await other.fetchval("select current_user::text || current_setting('lock_timeout')") == "postgres0"
        await other.close()


@needs_pgbouncer
@pytest.mark.parametrize("mode", NOT_SESSIONS)
async def test_a_push_behind_a_transaction_pooler_is_refused_and_leaves_no_lock(
    empty_database: Scratch, mode: PoolMode
) -> None:
    with pgbouncer(empty_database, mode) as url:
        for _ in range(2):
            with pytest.raises(TransactionPooling):
                await push(url, MIGRATIONS)
        direct = await asyncpg.connect(empty_database.dsn)
        assert await direct.fetchval(LOCKS) == 0
        assert await direct.fetchval("select to_regnamespace('supabase_migrations')") is None
        await direct.close()
        assert await push(empty_database.dsn, MIGRATIONS) != []


@needs_pgbouncer
async def test_a_pooler_that_serves_all_clients_as_a_superuser_is_refused(database: Scratch) -> None:
    told = "logs in as outdial_dialer, but the session belongs to postgres"
    with pgbouncer(database, "session", "user=postgres") as url, pytest.raises(TooManyRights, match=told):
        await Database.connect(with_user(url, "outdial_dialer"), application_name="test", role="outdial_dialer")


async def test_a_role_that_is_not_subject_to_the_policies_is_refused(
    database: Scratch, connection: asyncpg.Connection
) -> None:
    await connection.execute("alter role outdial_jobs bypassrls")
    try:
        with pytest.raises(TooManyRights, match="run alter role outdial_jobs nosuperuser nobypassrls"):
            await Database.connect(database.dsn, application_name="test", role="outdial_jobs")
    finally:
        await connection.execute("alter role outdial_jobs nobypassrls")


async def test_a_url_of_the_owner_for_one_role_gets_the_rights_of_the_role_only(database: Scratch) -> None:
    urls = DatabaseUrls.from_env(
        {"SUPABASE_DB_URL": database.dsn_for("outdial_host"), "OUTDIAL_DIALER_DB_URL": database.dsn}
    )
    dialer = await Database.connect(urls.dialer, application_name="test", role=urls.role("dialer"))
    async with dialer, dialer.transaction() as connection:
        assert await connection.fetchval("select current_user::text") == "outdial_dialer"


async def test_a_login_that_is_no_member_of_the_role_is_told_what_to_do(database: Scratch) -> None:
    with pytest.raises(RoleMissing, match="outdial_jobs may not assume the role outdial_dialer: set OUTDIAL_DIALER_DB"):
        await Database.connect(database.dsn_for("outdial_jobs"), application_name="test", role="outdial_dialer")


async def test_a_role_that_does_not_exist_needs_a_push(empty_database: Scratch) -> None:
    with pytest.raises(RoleMissing, match="the role outdial_absent does not exist: run outdial db push"):
        await Database.connect(empty_database.dsn, application_name="test", role="outdial_absent")


@pytest.mark.parametrize(
    "host", ["aws-0-eu-central-1.pooler.supabase.com", "db.abcdefgh.supabase.co", "DB.x.Supabase.co."]
)
async def test_the_port_of_supabases_transaction_pooler_is_refused_before_connecting(host: str) -> None:
    url = f"postgresql://postgres.project:secret@{host}:6543/postgres"
    for work in (Database.connect(url, application_name="test"), push(url, MIGRATIONS), renew_passwords(url)):
        with pytest.raises(TransactionPooling, match="port 6543 is that of Supabase's pooler") as refused:
            await work
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("host", ["db.example.com", "[2001:db8::1]", "supabase.co.example.com", "127.0.0.1", "@socket"])
def test_other_servers_may_listen_on_that_port(host: str) -> None:
    assert not names_transaction_pooler(f"postgresql://postgres:secret@{host}:6543/postgres")


async def busy_sessions(url: str) -> None:
    """Have the pooler keep several idle sessions of the server."""
    async with AsyncExitStack() as stack:
        for _ in range(5):
            client = await asyncpg.connect(url, statement_cache_size=0)
            stack.push_async_callback(client.close)
            await stack.enter_async_context(client.transaction())
