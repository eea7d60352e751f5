"""A refresh token is good once, and a stolen one ends the session."""

import asyncio
from datetime import timedelta

import asyncpg
import jwt
import pytest

from outdial.auth import KeyRing, TokenVerifier, VerifiedToken
from outdial.auth.keys import LOCAL_JWT_SECRET, mint_jwt
from outdial.auth.local.service import SESSION_LIVES
from outdial.auth.local.signing import SigningKeys
from outdial.db.passwords import ROLES
from outdial.db.session import Database
from tests.auth.local.conftest import PASSWORD, World


async def test_a_refresh_token_is_exchanged_for_new_tokens(world: World) -> None:
    first = (await world.sign_in()).json()
    world.clock.advance(timedelta(minutes=50))
    second = (await world.refresh(first["refresh_token"])).json()

    assert second["refresh_token"] != first["refresh_token"]
    assert second["expires_at"] == first["expires_at"] + 3000
    claims = [jwt.decode(t["access_token"], options={"verify_signature": False}) for t in (first, second)]
    assert claims[0]["session_id"] == claims[1]["session_id"]


async def test_two_requests_of_one_browser_both_get_tokens(world: World) -> None:
    token = (await world.sign_in()).json()["refresh_token"]
    told = await asyncio.gather(world.refresh(token), world.refresh(token))

    assert [response.status_code for response in told] == [200, 200]
    assert (await world.refresh(told[0].json()["refresh_token"])).status_code == 200


async def test_reusing_a_refresh_token_later_ends_the_session(world: World) -> None:
    stolen = (await world.sign_in()).json()["refresh_token"]
    successor = (await world.refresh(stolen)).json()
    world.clock.advance(timedelta(seconds=11))

    again = await world.refresh(stolen)

    assert (again.status_code, again.json()["code"]) == (400, "refresh_token_already_used")
    assert (await world.refresh(successor["refresh_token"])).json()["code"] == "refresh_token_not_found"
    user = await world.ask("GET", "/user", token=successor["access_token"])
    assert (user.status_code, user.json()["code"]) == (403, "session_not_found")


async def test_an_unknown_refresh_token_is_refused(world: World) -> None:
    refused = await world.refresh("made up")
    assert (refused.status_code, refused.json()["code"]) == (400, "refresh_token_not_found")


@pytest.mark.parametrize(
    ("scope", "left"), [("local", [False, True]), ("others", [True, False]), ("global", [False] * 2)]
)
async def test_signing_out_ends_the_sessions_in_scope(world: World, scope: str, left: list[bool]) -> None:
    tokens = [(await world.sign_in()).json()["access_token"] for _ in range(2)]

    assert (await world.ask("POST", f"/logout?scope={scope}", token=tokens[0])).status_code == 204
    asked = [await world.ask("GET", "/user", token=token) for token in tokens]
    assert [response.status_code == 200 for response in asked] == left


async def test_a_new_password_ends_all_other_sessions(world: World) -> None:
    other, mine = [(await world.sign_in()).json()["access_token"] for _ in range(2)]
    changed = await world.ask("PUT", "/user", {"password": "another password", "data": {"a": 1}}, token=mine)

    assert changed.json()["user_metadata"] == {"a": 1}
    assert (await world.ask("GET", "/user", token=mine)).status_code == 200
    assert (await world.ask("GET", "/user", token=other)).status_code == 403
    assert (await world.sign_in(PASSWORD)).status_code == 400
    assert (await world.sign_in("another password")).status_code == 200


async def test_foreign_and_expired_tokens_are_bad(world: World) -> None:
    session = (await world.sign_in()).json()
    own = jwt.decode(session["access_token"], options={"verify_signature": False})
    forged = mint_jwt("another secret that is also long enough", own)

    assert (await world.ask("GET", "/user", token=forged)).json()["code"] == "bad_jwt"
    assert (await world.ask("GET", "/user")).json()["code"] == "no_authorization"
    world.clock.advance(timedelta(hours=2))
    late = await world.ask("GET", "/user", token=session["access_token"])
    assert (late.status_code, late.json()["code"]) == (403, "bad_jwt")


async def test_a_token_without_a_session_has_no_user(world: World) -> None:
    claims = {"sub": str(world.ada.id), "role": "authenticated", "aud": "authenticated"}
    asked = await world.ask("GET", "/user", token=mint_jwt(LOCAL_JWT_SECRET, claims))
    assert (asked.status_code, asked.json()["code"]) == (403, "session_not_found")


async def test_the_published_keys_verify_tokens(world: World) -> None:
    token = (await world.sign_in()).json()["access_token"]
    response = await world.client.get("/.well-known/jwks.json")

    assert response.headers["cache-control"] == "public, max-age=600"
    assert "d" not in response.json()["keys"][0]
    verifier = TokenVerifier.from_keys(KeyRing(jwks=response.json()), world.clock)
    assert isinstance(await verifier.verify(token), VerifiedToken)


async def test_processes_that_start_together_sign_with_one_key(world: World) -> None:
    async with await Database.connect(world.database.dsn_for("outdial_auth"), application_name="tests") as pool:
        several = [SigningKeys(pool, world.clock) for _ in range(4)]
        sets = await asyncio.gather(*(keys.jwks() for keys in several))
    assert all(found == sets[0] for found in sets)
    assert len(sets[0]["keys"]) == 1  # type: ignore[arg-type]


async def test_a_key_of_another_process_is_found_by_its_id(world: World) -> None:
    await world.sign_in()
    other = SigningKeys(world.pool, world.clock)
    world.clock.advance(timedelta(seconds=6))
    async with world.pool.transaction() as connection:
        await connection.execute("delete from auth.signing_keys")
    token = await other.sign({"sub": str(world.ada.id), "aud": "authenticated"})
    assert isinstance(await world.verifier.verify(token), VerifiedToken)


async def test_a_new_key_signs_and_the_old_one_verifies_until_its_tokens_expire(world: World) -> None:
    before = (await world.sign_in()).json()["access_token"]
    world.clock.advance(timedelta(minutes=1))
    kid = await world.keys.rotate()
    after = (await world.sign_in()).json()["access_token"]

    assert jwt.get_unverified_header(after)["kid"] == kid != jwt.get_unverified_header(before)["kid"]
    assert [isinstance(await world.verifier.verify(token), VerifiedToken) for token in (before, after)] == [True, True]
    world.clock.advance(timedelta(hours=3))
    third = await world.keys.rotate()
    kids = [key["kid"] for key in (await world.keys.jwks())["keys"]]  # type: ignore[attr-defined]
    assert kids == [third, kid]


async def test_an_unused_session_expires(world: World) -> None:
    token = (await world.sign_in()).json()["refresh_token"]
    world.clock.advance(SESSION_LIVES - timedelta(minutes=1))
    token = (await world.refresh(token)).json()["refresh_token"]
    world.clock.advance(SESSION_LIVES + timedelta(minutes=1))
    assert (await world.refresh(token)).json()["code"] == "refresh_token_not_found"


async def test_old_sessions_are_deleted_with_their_tokens(world: World, connection: asyncpg.Connection) -> None:
    await world.sign_in()
    world.clock.advance(SESSION_LIVES + timedelta(minutes=1))
    await world.sign_in()
    assert await connection.fetchval("select count(*) from auth.sessions") == 1
    assert await connection.fetchval("select count(*) from auth.refresh_tokens") == 1


FACTORS = ("mfa_factors", "recovery_codes", "password_resets")
TABLES = ("users", "sessions", "refresh_tokens", "signing_keys", "attempts", *FACTORS)


async def test_the_auth_role_sees_only_its_own_tables(world: World) -> None:
    tables = "select oid::regclass::text from pg_class where relkind = 'r' and relnamespace = any ($1::regnamespace[])"
    async with world.pool.transaction() as connection:
        names = [row[0] for row in await connection.fetch(tables, ["public", "auth"])]
        rights = "has_table_privilege($1, 'select') or has_any_column_privilege($1, 'select, insert, update')"
        seen = {name for name in names if await connection.fetchval(f"select {rights}", name)}
        changes = await connection.fetchval("select has_table_privilege('auth.signing_keys', 'update')")

    assert seen == {f"auth.{name}" for name in TABLES}
    assert changes is False


OTHERS = ("anon", "authenticated", "service_role", *(role for role in ROLES if role != "outdial_auth"))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", OTHERS)
async def test_no_other_role_reads_the_auth_tables(
    world: World, connection: asyncpg.Connection, table: str, role: str
) -> None:
    await connection.execute(f"set role {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch(f"select * from auth.{table}")  # noqa: S608


async def test_refresh_tokens_are_kept_as_hashes(world: World, connection: asyncpg.Connection) -> None:
    token = (await world.sign_in()).json()["refresh_token"]
    kept = await connection.fetch("select t::text from auth.refresh_tokens t")
    assert kept
    assert token not in str(kept)
