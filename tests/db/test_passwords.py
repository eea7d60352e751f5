"""Passwords of the roles reach Postgres as verifiers only."""

import base64
import hashlib
import hmac
import re
from urllib.parse import urlsplit

import asyncpg
import pytest

from outdial.db.migrate import push, reset
from outdial.db.passwords import ROLES, address_of, login_of, renew_passwords, verifier
from outdial.db.session import Database
from outdial.settings import with_user
from tests.support.postgres import MIGRATIONS, Scratch

# RFC 7677, section 3: the exchange of the user "user" with the password "pencil".
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
NONCE = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
EXCHANGE = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={NONCE}"
SERVER_SIGNATURE = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_verifier_holds_the_server_key_of_the_rfc() -> None:
    server_key = base64.b64decode(verifier("pencil", SALT).rpartition(":")[2])
    signature = hmac.digest(server_key, EXCHANGE.encode(), "sha256")
    assert base64.b64encode(signature).decode() == SERVER_SIGNATURE


def test_the_verifier_holds_the_stored_key_of_the_password() -> None:
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", SALT, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    assert verifier("pencil", SALT).split("$")[2].partition(":")[0] == base64.b64encode(stored).decode()


async def test_each_role_gets_a_verifier_and_a_url(database: Scratch, connection: asyncpg.Connection) -> None:
    addresses = (await renew_passwords(database.dsn)).urls

    assert tuple(addresses) == ROLES
    for role, address in addresses.items():
        assert address.startswith(f"postgresql://{role}:")
        opened = await asyncpg.connect(address)
        assert await opened.fetchval("select current_user") == role
        await opened.close()
        stored = await connection.fetchval("select rolpassword from pg_authid where rolname = $1", role)
        assert stored.startswith("SCRAM-SHA-256$4096:")
        assert address.partition("@")[0].rpartition(":")[2] not in stored


def test_the_project_of_a_pooler_stays_after_the_role() -> None:
    given = "postgresql://postgres.project:old@pooler.example.com:6543/postgres"
    assert address_of(given, "outdial_api", "new") == (
        "postgresql://outdial_api.project:new@pooler.example.com:6543/postgres"
    )


@pytest.mark.parametrize("host", ["db.example.com", ""])
def test_the_url_of_a_role_carries_no_login_of_the_owner_among_its_parameters(host: str) -> None:
    parameters = "host=/run/postgresql&user=postgres.project&password=secret&sslmode=disable"
    given = f"postgresql://{host}/postgres?{parameters}"
    kept = f"{host}/postgres?host=/run/postgresql&sslmode=disable"
    assert address_of(given, "outdial_api", "new") == f"postgresql://outdial_api.project:new@{kept}"
    assert with_user(given, "outdial_api") == f"postgresql://outdial_api@{kept}"


async def can_work(url: str, role: str) -> bool:
    """Tell whether a process can log in and act as its role."""
    try:
        pool = await Database.connect(url, application_name="test", role=role)
        async with pool, pool.transaction() as connection:
            return bool(await connection.fetchval("select current_user = $1", role))
    except asyncpg.InvalidPasswordError:
        return False


async def test_staging_and_production_on_one_server_do_not_lock_each_other_out(
    database: Scratch, empty_database: Scratch
) -> None:
    production, staging = tcp(database), tcp(empty_database)
    first = (await renew_passwords(production)).urls
    await push(staging, MIGRATIONS)

    new = await renew_passwords(staging)

    assert new.other_databases == [database.name]
    for role in ROLES:
        assert await can_work(first[role], role), "staging's new passwords locked production out"
        assert await can_work(new.urls[role], role)
        assert urlsplit(new.urls[role]).username == f"{role}_{empty_database.name}"

    again = (await renew_passwords(production)).urls
    for role in ROLES:
        assert await can_work(again[role], role)
        assert not await can_work(first[role], role), "an old password of production still works"
        assert await can_work(new.urls[role], role), "production's new passwords locked staging out"

    newest = (await renew_passwords(staging)).urls
    assert not await can_work(new.urls["outdial_api"], "outdial_api"), "an old password of staging still works"
    await reset(staging, MIGRATIONS)
    assert await can_work(newest["outdial_api"], "outdial_api")
    assert await can_work(again["outdial_api"], "outdial_api")


async def test_logins_of_an_older_version_are_never_taken_from_another_database(
    database: Scratch, empty_database: Scratch, connection: asyncpg.Connection
) -> None:
    before = (await renew_passwords(tcp(database))).urls
    for role in ROLES:
        await connection.execute(f"comment on role {role} is null")  # as older versions left it
    await push(empty_database.dsn, MIGRATIONS)

    assert urlsplit((await renew_passwords(tcp(empty_database))).urls["outdial_api"]).username != "outdial_api"
    assert await can_work(before["outdial_api"], "outdial_api")


@pytest.mark.parametrize(
    ("database", "login"),
    [
        ("staging", "outdial_api_staging"),
        ("my-db", "outdial_api_b123b9eeb61b"),
        ("x" * 60, "outdial_api_"),
        ('"; drop role x', "outdial_api_"),
    ],
)
def test_a_login_has_a_name_that_needs_no_quotes_and_fits(database: str, login: str) -> None:
    assert login_of("outdial_api", database).startswith(login)
    assert re.fullmatch(r"[a-z0-9_]{1,63}", login_of("outdial_webhook", database))


def tcp(database: Scratch) -> str:
    """Return the superuser's URL over TCP, where logins need their passwords."""
    assert database.server.tcp_dsn is not None
    return f"{database.server.tcp_dsn.rpartition('/')[0]}/{database.name}"
