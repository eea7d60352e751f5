"""An identity lasts as long as its transaction, and nothing of it stays on the connection that the pool lends next."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.db.session import SERVICE, Connection, Database, assert_no_transaction, encode_json
from tests.support.postgres import Scratch

IDENTITY = """select current_user::text, coalesce(current_setting('request.jwt.claims', true), ''),
  coalesce(current_setting('outdial.organization_id', true), '')"""


@pytest.fixture
async def api(database: Scratch) -> AsyncIterator[Database]:
    """The functions' pool, of a single connection: whatever one use leaves behind, the next one gets."""
    async with await Database.connect(database.dsn_for("outdial_api"), application_name="test", max_size=1) as pool:
        yield pool


@pytest.fixture
async def dialer(database: Scratch) -> AsyncIterator[Database]:
    async with await Database.connect(database.dsn_for("outdial_dialer"), application_name="test", max_size=1) as pool:
        yield pool


async def identity(connection: Connection) -> tuple[str, str, str]:
    row = await connection.fetchrow(IDENTITY)
    assert row is not None
    return row[0], row[1], row[2]


async def identity_after(database: Database) -> tuple[str, str, str]:
    async with database.pool.acquire() as connection:
        return await identity(connection)


async def test_role_and_claims_last_for_one_transaction(
    api: Database,
) -> None:
    user_id = uuid4()
    async with api.as_caller("authenticated", {"sub": str(user_id), "role": "authenticated"}) as connection:
        inside = await identity(connection)
        seen = await connection.fetchrow("select auth.uid(), auth.role()")

    assert inside == ("authenticated", f'{{"sub":"{user_id}","role":"authenticated"}}', "")
    assert seen is not None
    assert tuple(seen) == (user_id, "authenticated")
    assert await identity_after(api) == ("outdial_api", "", "")


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_an_identity_ends_with_a_transaction_that_fails(api: Database, error: type[BaseException]) -> None:
    with pytest.raises(error):
        async with api.as_caller("service_role", SERVICE):
            raise error

    assert await identity_after(api) == ("outdial_api", "", "")


async def test_an_identity_ends_with_a_statement_that_fails(api: Database) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with api.as_service() as connection:
            await connection.execute("select 1 / 0")

    assert await identity_after(api) == ("outdial_api", "", "")


async def test_callers_that_share_a_connection_do_not_see_each_others_rows(api: Database) -> None:
    async def ask(user_id: UUID) -> tuple[object, object]:
        async with api.as_caller("authenticated", {"sub": str(user_id)}) as connection:
            row = await connection.fetchrow("select auth.uid(), auth.jwt() ->> 'email'")
            assert row is not None
            return row[0], row[1]

    users = [uuid4() for _ in range(20)]

    assert await asyncio.gather(*(ask(user_id) for user_id in users)) == [(user_id, None) for user_id in users]


async def test_claims_are_data_and_never_sql(api: Database) -> None:
    claims = {"sub": str(uuid4()), "name": "'; reset role; --", "nested": {"deep": ['"', "\\", "\u2028", "é"]}}
    async with api.as_caller("anon", claims) as connection:
        told = await connection.fetchval("select auth.jwt() ->> 'name' || (auth.jwt() -> 'nested' -> 'deep' ->> 3)")
        assert (await identity(connection))[0] == "anon"

    assert told == "'; reset role; --é"


@pytest.mark.parametrize("role", ["postgres", "outdial_dialer", "outdial_api", "none", "", "authenticated; reset role"])
async def test_a_role_that_no_caller_may_assume_is_rejected_without_a_query(api: Database, role: str) -> None:
    await api.close()  # any query would now fail with another error

    with pytest.raises(ValueError, match="callers may not assume the role"):
        async with api.as_caller(role, {}):  # type: ignore[arg-type]
            pass

    assert api.pool.get_size() == 0


async def test_the_service_role_sees_every_organization(api: Database, connection: asyncpg.Connection) -> None:
    await connection.execute("insert into organizations (name) values ('Acme'), ('Globex')")

    async with api.as_service() as service:
        assert await service.fetchval("select count(*) from organizations") == 2


async def test_an_organization_is_declared_for_one_transaction_only(
    dialer: Database, connection: asyncpg.Connection
) -> None:
    ids = [
        row["id"] for row in await connection.fetch("insert into organizations (name) values ('A'), ('B') returning id")
    ]
    for organization_id in ids:
        async with dialer.for_organization(organization_id) as declared:
            assert await identity(declared) == ("outdial_dialer", "", str(organization_id))
            assert [row["id"] for row in await declared.fetch("select id from organizations")] == [organization_id]

    async with dialer.transaction() as undeclared:
        assert await undeclared.fetch("select id from organizations") == []


async def test_a_failed_transaction_is_rolled_back(api: Database, connection: asyncpg.Connection) -> None:
    async def write_and_fail() -> None:
        async with api.as_service() as service:
            await service.execute("insert into organizations (name) values ('Acme')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()

    assert await connection.fetchval("select count(*) from organizations") == 0


async def test_no_request_is_sent_inside_a_transaction(api: Database) -> None:
    assert_no_transaction()
    async with api.transaction():
        with pytest.raises(RuntimeError, match="while a transaction is open"):
            assert_no_transaction()
    assert_no_transaction()


async def test_a_transaction_is_open_until_the_outermost_one_has_ended(api: Database, dialer: Database) -> None:
    async with api.as_service():
        async with dialer.transaction():
            pass
        with pytest.raises(RuntimeError):
            assert_no_transaction()
    assert_no_transaction()


async def test_a_transaction_of_one_task_does_not_stop_the_requests_of_another(api: Database) -> None:
    inside, done = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with api.transaction():
            inside.set()
            await done.wait()

    holding = asyncio.create_task(hold())
    await inside.wait()
    assert_no_transaction()
    done.set()
    await holding


async def test_a_failed_transaction_no_longer_counts(api: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with api.transaction():
            raise ZeroDivisionError
    assert_no_transaction()


async def test_a_pool_may_connect_with_a_role_of_its_login(database: Scratch) -> None:
    dsn = database.dsn_for("outdial_api")
    async with await Database.connect(dsn, application_name="test", role="authenticated", max_size=1) as users:
        assert (await identity_after(users))[0] == "authenticated"
        async with users.as_caller("anon", {}) as connection:
            assert (await identity(connection))[0] == "anon"
        assert (await identity_after(users))[0] == "authenticated"


async def test_a_connection_has_an_application_name_and_uses_utc(database: Scratch) -> None:
    dsn = database.dsn_for("outdial_api")
    async with await Database.connect(dsn, application_name="outdial studio") as pool, pool.transaction() as connection:
        told = await connection.fetchrow("select current_setting('application_name'), current_setting('timezone')")

    assert told is not None
    assert tuple(told) == ("outdial studio", "UTC")


def test_json_parameters_are_text() -> None:
    assert encode_json({"a": [1, None], "b": "é"}) == '{"a":[1,null],"b":"é"}'


async def test_session_settings_of_a_function_do_not_affect_the_next_caller(api: Database) -> None:
    user, left_behind = uuid4(), uuid4()
    async with api.as_caller("authenticated", {"sub": str(left_behind)}) as connection:
        await connection.execute("select set_config('request.jwt.claim.sub', $1, false)", str(left_behind))

    async with api.as_caller("authenticated", {"sub": str(user)}) as connection:
        assert await connection.fetchval("select auth.uid()") == user
