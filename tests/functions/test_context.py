"""`ctx.db()` acts as the caller under row level security, `ctx.admin_db()` as the service, on the real database."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest

from outdial.auth import mint_jwt
from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.db.session import assert_no_transaction
from outdial.functions import Context, Endpoint, HttpError, Request, Response, with_supabase
from tests.support.postgres import Scratch

Serve = Callable[..., AbstractAsyncContextManager[aiohttp.ClientSession]]

KEYS = {
    "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
    "SUPABASE_ANON_KEY": LOCAL_PUBLISHABLE_KEY,
    "SUPABASE_SERVICE_ROLE_KEY": LOCAL_SECRET_KEY,
}
AUTH = ["user", "secret", "publishable"]


@with_supabase(auth=AUTH)
async def whoami(request: Request, ctx: Context) -> Response:
    async with ctx.db() as connection:
        row = await connection.fetchrow("select session_user, current_user, auth.uid() as uid, auth.role() as role")
    return Response.json(dict(row or {}))


@with_supabase(auth=AUTH)
async def names(request: Request, ctx: Context) -> Response:
    opened = ctx.admin_db() if "admin" in request.query else ctx.db()
    async with opened as connection:
        rows = await connection.fetch("select name from organizations order by name")
    return Response.json([row["name"] for row in rows])


@with_supabase(auth=AUTH)
async def rename(request: Request, ctx: Context) -> Response:
    async with ctx.db() as connection:
        tag = await connection.execute("update organizations set name = 'renamed'")
        if "fail" in request.query:
            raise HttpError(409, "UNDO", "Changed our mind")
    return Response(tag)


@with_supabase(auth=AUTH)
async def intrude(request: Request, ctx: Context) -> Response:
    async with ctx.db() as connection:
        await connection.execute("insert into organizations (name) values ('mine')")
    return Response("done")


EVERY: dict[str, Endpoint] = {"whoami": whoami, "names": names, "rename": rename, "intrude": intrude}


async def join(connection: asyncpg.Connection, organization: str, role: str) -> tuple[UUID, dict[str, str]]:
    """Make an organization with one member, and return the member's id and headers."""
    user = uuid4()
    await connection.execute("insert into auth.users (id) values ($1)", user)
    made = await connection.fetchval("insert into organizations (name) values ($1) returning id", organization)
    await connection.execute("insert into organization_members values ($1, $2, $3)", made, user, role)
    token = mint_jwt(LOCAL_JWT_SECRET, {"sub": str(user), "role": "authenticated", "aud": "authenticated"})
    return user, {"apikey": LOCAL_PUBLISHABLE_KEY, "authorization": f"Bearer {token}"}


@pytest.fixture
def env(database: Scratch) -> dict[str, str]:
    return {**KEYS, "SUPABASE_DB_URL": database.dsn}


async def get(client: aiohttp.ClientSession, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    async with client.get(path, headers=headers) as response:
        return response.status, await (
            response.json() if response.content_type == "application/json" else response.text()
        )


async def test_the_database_sees_the_caller_and_not_the_login(
    serve: Serve, env: dict[str, str], connection: asyncpg.Connection
) -> None:
    user, headers = await join(connection, "one", "viewer")

    async with serve(env=env, **EVERY) as client:
        as_user = await get(client, "whoami", headers)
        as_secret = await get(client, "whoami", {"apikey": LOCAL_SECRET_KEY})
        as_anon = await get(client, "whoami", {"apikey": LOCAL_PUBLISHABLE_KEY})

    login = {"session_user": "outdial_api"}
    assert as_user == (200, {**login, "current_user": "authenticated", "uid": str(user), "role": "authenticated"})
    assert as_secret == (200, {**login, "current_user": "service_role", "uid": None, "role": "service_role"})
    assert as_anon == (200, {**login, "current_user": "anon", "uid": None, "role": "anon"})


async def test_each_caller_sees_its_own_rows_on_one_pool(
    serve: Serve, env: dict[str, str], connection: asyncpg.Connection
) -> None:
    _, first = await join(connection, "one", "viewer")
    _, second = await join(connection, "two", "owner")

    async with serve(env=env, **EVERY) as client:
        for _ in range(3):
            assert await get(client, "names", first) == (200, ["one"])
            assert await get(client, "names", second) == (200, ["two"])
            assert await get(client, "names", {"apikey": LOCAL_SECRET_KEY}) == (200, ["one", "two"])
        assert await get(client, "names?admin=1", first) == (200, ["one", "two"])


async def test_a_change_commits_only_when_the_block_succeeds(
    serve: Serve, env: dict[str, str], connection: asyncpg.Connection
) -> None:
    _, admin = await join(connection, "one", "admin")
    _, viewer = await join(connection, "two", "viewer")

    async with serve(env=env, **EVERY) as client:
        assert (await get(client, "rename?fail=1", admin))[0] == 409
        assert await get(client, "names", admin) == (200, ["one"])
        assert await get(client, "rename", viewer) == (200, "UPDATE 0")
        assert await get(client, "rename", admin) == (200, "UPDATE 1")
        assert await get(client, "names?admin=1", admin) == (200, ["renamed", "two"])


async def test_permission_errors_of_postgres_are_403_and_logged(
    serve: Serve, env: dict[str, str], connection: asyncpg.Connection, lines: Any
) -> None:
    _, owner = await join(connection, "one", "owner")

    async with serve(env=env, **EVERY) as client:
        for headers in (owner, {"apikey": LOCAL_PUBLISHABLE_KEY}):
            status, body = await get(client, "intrude", headers)
            assert (status, body["code"], body["message"]) == (403, "FORBIDDEN", "You are not allowed to do this")

    assert "permission denied for table organizations" in lines.lines[0]["reason"]


async def test_an_unreachable_database_is_503(serve: Serve, lines: Any) -> None:
    env = {**KEYS, "SUPABASE_DB_URL": "postgresql://nobody@127.0.0.1:1/none"}

    async with serve(env=env, **EVERY) as client:
        status, body = await get(client, "names", {"apikey": LOCAL_SECRET_KEY})

    assert (status, body["code"]) == (503, "DATABASE_UNREACHABLE")
    assert lines.events() == ["functions.database_unreachable"]


async def test_a_missing_database_setting_is_a_server_error(serve: Serve, lines: Any) -> None:
    async with serve(env=KEYS, **EVERY) as client:
        status, body = await get(client, "names", {"apikey": LOCAL_SECRET_KEY})

    assert (status, body["code"]) == (500, "EDGE_FUNCTION_ERROR")
    assert "SUPABASE_DB_URL is not set" in lines.lines[0]["traceback"]


async def test_work_started_inside_a_transaction_is_not_part_of_it(
    serve: Serve, env: dict[str, str], lines: Any
) -> None:
    told: list[str] = []

    async def call_provider() -> None:
        assert_no_transaction()
        told.append("called")

    @with_supabase(auth="secret")
    async def later(request: Request, ctx: Context) -> Response:
        async with ctx.db():
            ctx.wait_until(call_provider())
        return Response("")

    async with serve(env=env, later=later) as client:
        assert (await get(client, "later", {"apikey": LOCAL_SECRET_KEY}))[0] == 200

    assert told == ["called"]
    assert lines.events() == []
