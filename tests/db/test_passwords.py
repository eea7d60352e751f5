"""Passwords of the roles reach Postgres as verifiers only."""

import base64
import hashlib
import hmac

import asyncpg

from outdial.db.passwords import ROLES, address_of, renew_passwords, verifier
from tests.support.postgres import Scratch

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
    addresses = await renew_passwords(database.dsn)

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
