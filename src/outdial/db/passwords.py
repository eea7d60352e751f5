"""Sets new passwords for the login roles. The server and its logs only see the SCRAM verifier."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

from outdial.database_url import user_of, without_login
from outdial.db.connect import connect_owner

ROLES = ("outdial_api", "outdial_webhook", "outdial_dialer", "outdial_host", "outdial_jobs", "outdial_auth")
_ITERATIONS = 4096  # the default of Postgres
_COMMENT = "login of the database "
# The database whose logins are the roles themselves, and the other databases that use the roles. Those that accept no
# connections cannot be locked out.
_OWNER = """
select d.datname::text from pg_database d join pg_roles r on r.rolname = $1
where shobj_description(r.oid, 'pg_authid') = $2 || d.datname
"""
_OTHERS = """
select distinct d.datname::text from pg_shdepend s
join pg_database d on d.oid = s.dbid and d.datallowconn and not d.datistemplate and d.datname <> current_database()
join pg_roles r on s.refclassid = 'pg_authid'::regclass and r.oid = s.refobjid and r.rolname = any ($1::text[])
order by 1
"""


@dataclass(frozen=True, slots=True)
class NewLogins:
    """The URL of each role, and the other databases of the server whose logins stay as they were."""

    urls: Mapping[str, str]
    other_databases: Sequence[str]


async def renew_passwords(dsn: str) -> NewLogins:
    """Set a random password for the login of each of ROLES in the database of `dsn`, the owner's URL.

    Earlier URLs of this database stop working for new connections; those of other databases keep working. Roles belong
    to the whole server, so only its first database uses the roles themselves as logins, and a comment on each role
    names that database. In every other database, logins end in the name of the database and are members of the roles.
    """
    connection = await connect_owner(dsn)
    try:
        async with connection.transaction():
            owner = await connection.fetchval(_OWNER, ROLES[0], _COMMENT)
            others = [row[0] for row in await connection.fetch(_OTHERS, list(ROLES))]
            database = str(await connection.fetchval("select current_database()::text"))
            is_first = owner == database or (owner is None and not others)
            urls = {}
            for role in ROLES:
                login, password = role if is_first else login_of(role, database), secrets.token_urlsafe(24)
                if is_first:
                    text = f"{_COMMENT}{database}".replace("'", "''")
                    await connection.execute(f"comment on role {role} is '{text}'")
                elif not await connection.fetchval("select exists (select from pg_roles where rolname = $1)", login):
                    await connection.execute(f"create role {login} login in role {role}")
                hashed = verifier(password, secrets.token_bytes(16))
                await connection.execute(f"alter role {login} password '{hashed}'")
                urls[role] = address_of(dsn, login, password)
    finally:
        await connection.close()
    return NewLogins(urls, others)


def login_of(role: str, database: str) -> str:
    """Return the login of `role` in another database of a server. A long or unusual name of the database is hashed."""
    name = f"{role}_{database}"
    if re.fullmatch(r"[a-z0-9_]{1,63}", name):
        return name
    return f"{role}_{hashlib.sha256(database.encode()).hexdigest()[:12]}"


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
    host = parts.netloc.rpartition("@")[2]
    # Supabase's pooler expects the project after the role: postgres.<project>.
    _, dot, project = user_of(dsn).partition(".")
    netloc = f"{role}{dot}{quote(project, safe='')}:{password}@{host}"
    return urlunsplit(parts._replace(netloc=netloc, query=without_login(parts.query)))
