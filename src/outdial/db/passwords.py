"""Sets new passwords for the login roles. The server and its logs only see the SCRAM verifier."""

import base64
import hashlib
import hmac
import secrets
from urllib.parse import urlsplit, urlunsplit

import asyncpg

ROLES = ("outdial_api", "outdial_webhook", "outdial_dialer", "outdial_host", "outdial_jobs", "outdial_auth")
_ITERATIONS = 4096  # the default of Postgres


async def renew_passwords(dsn: str) -> dict[str, str]:
    """Set a random password for each of ROLES, and return the URL of each role. `dsn` is the owner's URL.

    Earlier URLs stop working for new connections.
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
    """Return the SCRAM-SHA-256 verifier of an ASCII password (RFC 5802, RFC 7677)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def address_of(dsn: str, role: str, password: str) -> str:
    """Return `dsn` with another login."""
    parts = urlsplit(dsn)
    login, _, host = parts.netloc.rpartition("@")
    # Supabase's pooler expects the project after the role: postgres.<project>.
    _, dot, project = login.partition(":")[0].partition(".")
    return urlunsplit(parts._replace(netloc=f"{role}{dot}{project}:{password}@{host}"))
