"""Users are created, listed and given new passwords."""

import asyncio

import asyncpg
from argon2 import PasswordHasher

from tests.cli.conftest import Outdial

EMAIL = "Ada@example.com"


async def test_a_user_is_created_as_a_member_of_an_organization(acme: Outdial, connection: asyncpg.Connection) -> None:
    options = ("--organization=Acme", "--role=admin")
    made = await asyncio.to_thread(acme.json, "users", "create", EMAIL, "--password=long enough", *options)

    kept = await connection.fetchrow(
        "select m.role, u.email, u.encrypted_password from auth.users u join organization_members m on m.user_id = u.id"
        " where u.id = $1",
        made["id"],
    )
    assert kept is not None
    assert (kept["role"], kept["email"]) == ("admin", "ada@example.com")
    assert PasswordHasher().verify(kept["encrypted_password"], "long enough")
    [listed] = await asyncio.to_thread(acme.json, "users", "list")
    assert listed == {"id": made["id"], "email": "ada@example.com", "last_sign_in_at": None}


def test_the_password_is_prompted_for_and_never_printed(outdial: Outdial) -> None:
    told = outdial("users", "create", EMAIL, stdin="asked for\n")
    assert "Created user ada@example.com" in told
    assert "asked for" not in told


async def test_a_new_password_ends_all_sessions(outdial: Outdial, connection: asyncpg.Connection) -> None:
    await asyncio.to_thread(outdial, "users", "create", EMAIL, "--password=long enough")
    await connection.execute(
        "insert into auth.sessions (id, user_id, created_at, refreshed_at)"
        " select gen_random_uuid(), id, created_at, created_at from auth.users"
    )
    await connection.execute("update auth.users set email_confirmed_at = null")
    told = await asyncio.to_thread(outdial, "users", "passwd", EMAIL, "--password=another one")

    assert await connection.fetchval("select email_confirmed_at is not null from auth.users"), "it is theirs now"
    assert told == "Password of ada@example.com changed.\n"
    assert PasswordHasher().verify(
        await connection.fetchval("select encrypted_password from auth.users"), "another one"
    )
    assert await connection.fetchval("select count(*) from auth.sessions where ended_at is null") == 0


async def test_the_second_factor_of_a_user_who_lost_it_is_removed(
    outdial: Outdial, connection: asyncpg.Connection
) -> None:
    await asyncio.to_thread(outdial, "users", "create", EMAIL, "--password=long enough")
    assert "has no second factor" in await asyncio.to_thread(outdial.error, "users", "two-factor-off", EMAIL)
    await connection.execute(
        "insert into auth.mfa_factors (id, user_id, factor_type, status, secret, created_at, updated_at)"
        " select gen_random_uuid(), id, 'totp', 'verified', 'A', created_at, created_at from auth.users"
    )
    set_again = await asyncio.to_thread(outdial, "users", "passwd", EMAIL, "--password=another one")
    assert f"outdial users two-factor-off {EMAIL.lower()}" in set_again
    told = await asyncio.to_thread(outdial, "users", "two-factor-off", EMAIL)
    assert told == f"Two-factor sign-in of {EMAIL} is off.\n"
    assert await connection.fetchval("select count(*) from auth.mfa_factors") == 0


def test_errors_are_reported(outdial: Outdial) -> None:
    assert "unknown organization 'Acme'" in outdial.error(
        "users", "create", EMAIL, "--password=long enough", "--organization=Acme"
    )
    assert outdial.json("users", "list") == []
    assert "Password should have" in outdial.error("users", "create", EMAIL, "--password=short")
    assert "email address" in outdial.error("users", "create", "ada", "--password=long enough")
    outdial("users", "create", EMAIL, "--password=long enough")
    assert "already been registered" in outdial.error("users", "create", EMAIL, "--password=long enough")
    assert "unknown user" in outdial.error("users", "passwd", "grace@example.com", "--password=long enough")


async def test_users_of_a_supabase_project_are_refused(outdial: Outdial, connection: asyncpg.Connection) -> None:
    await connection.execute("comment on schema auth is null")
    error = await asyncio.to_thread(outdial.error, "users", "create", EMAIL, "--password=long enough")
    assert "use the dashboard" in error
