"""Gives the login roles of Outdial fresh passwords, of which the server and its logs see the verifier only."""

import base64
import hashlib
import hmac
import secrets
from urllib.parse import urlsplit, urlunsplit

import asyncpg

ROLES = ("outdial_api", "outdial_webhook", "outdial_dialer", "outdial_host", "outdial_jobs", "outdial_auth")
_ITERATIONS = 4096  # what Postgres itself takes


async def renew_passwords(dsn: str) -> dict[str, str]:
    """Set a random password for each of ROLES at `dsn`, the owner's address; return each role's own address.

    The addresses that were given out before stop working for new connections.
    """
    passwords = {role: secrets.token_urlsafe(24) for role in ROLES}
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            for role, password in passwords.items():
                await connection.execute(f"alter role {role} password '{verifier(password, secrets.token_bytes(16))}'")
    finally:
        await connection.close()
    return {role: address_of(dsn, role, password) for role, password in passwords.items()}


def verifier(password: str, salt: bytes) -> str:
    """Return what Postgres stores of an ASCII password under SCRAM-SHA-256 (RFC 5802, RFC 7677)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def address_of(dsn: str, role: str, password: str) -> str:
    """Return `dsn` with another login."""
    parts = urlsplit(dsn)
    login, _, host = parts.netloc.rpartition("@")
    # Supabase's pooler wants the project behind the role: postgres.<project>.
    _, dot, project = login.partition(":")[0].partition(".")
    return urlunsplit(parts._replace(netloc=f"{role}{dot}{project}:{password}@{host}"))
