"""What the environment of a worker holds: the same few names for each function, and the secrets that it names."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs, unquote, urlsplit

from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BadConfig

# Supabase gives them to every function (docs: Edge Functions, Environment variables), secret keys apart.
_ALWAYS = ("SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_PUBLISHABLE_KEYS", "SUPABASE_JWKS")
_OF_THE_PROCESS = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}
_SET_BY_THE_HOST = {"SUPABASE_DB_URL", "SUPABASE_FUNCTION_SLUG", "SB_REGION", "SB_EXECUTION_ID"}

# The keys that sign users' tokens are for no function to read.
_ROLE_OF_NO_FUNCTION = "outdial_auth"

EXECUTION_ID = "SB_EXECUTION_ID"

# A wildcard must not reach what the platform and the host name for themselves.
_RESERVED = ("SUPABASE_", "OUTDIAL_", "SB_")
# What opens everything: other roles' logins, the host's own keys. And what changes how a process starts or connects.
_NEVER = re.compile(
    r"OUTDIAL_(\w+_)?(DB_URL|ACCESS_TOKEN)|OUTDIAL_SECRETS_KEY|SUPABASE_INTERNAL_\w*"
    r"|LD_\w*|PYTHON\w*|PG[A-Z]+|HOME|HOSTNAME|PWD"
)


def worker_env(
    slug: str, config: FunctionConfig, settings: Mapping[str, str], database_urls: Mapping[str, str], region: str
) -> dict[str, str]:
    """Return the environment of `slug`'s workers, each of which gets EXECUTION_ID beside it.

    `settings` are the host's own, with the deployed secrets among them; `database_urls` gives a DSN per role. A secret
    that is named but not set is left out: the function says so when it starts. Raises BadConfig when a name may not be
    given to a function, and when the DSN of the function's role is unknown or logs in as the database's owner.
    """
    env = {name: settings.get(name, default) for name, default in _OF_THE_PROCESS.items()}
    env |= {name: settings[name] for name in _ALWAYS if name in settings}
    for pattern in config.secrets:
        env |= {name: settings[name] for name in _named(slug, pattern, settings)}
    env["SUPABASE_DB_URL"] = _database_url(slug, config.database_role, settings, database_urls)
    env["SUPABASE_FUNCTION_SLUG"] = slug
    env["SB_REGION"] = region
    return env


def _named(slug: str, pattern: str, settings: Mapping[str, str]) -> Iterator[str]:
    if not pattern.endswith("*"):
        if _NEVER.fullmatch(pattern) or pattern in _SET_BY_THE_HOST:
            raise BadConfig(f"functions.{slug}.secrets: {pattern} cannot be given to a function")
        return iter([pattern] if pattern in settings else [])
    prefix = pattern[:-1]
    if prefix.startswith(_RESERVED):
        raise BadConfig(f"functions.{slug}.secrets: {pattern}: names that begin so are given in full only")
    return (name for name in settings if name.startswith(prefix) and _a_wildcard_reaches(name, prefix))


def _a_wildcard_reaches(name: str, prefix: str) -> bool:
    if _NEVER.fullmatch(name) or name in _SET_BY_THE_HOST or name in _OF_THE_PROCESS:
        return False
    return not name.startswith(_RESERVED)


def _database_url(slug: str, role: str, settings: Mapping[str, str], database_urls: Mapping[str, str]) -> str:
    where = f"functions.{slug}.database_role"
    if role == _ROLE_OF_NO_FUNCTION:
        raise BadConfig(f"{where}: {role} cannot be given to a function")
    dsn = database_urls.get(role)
    if not dsn:
        known = ", ".join(sorted(database_urls)) or "none"
        raise BadConfig(f"{where}: no address of the database is known for {role!r}, only for: {known}")
    owner = settings.get("SUPABASE_DB_URL", "")
    if owner and _login(dsn) == _login(owner):
        raise BadConfig(
            f"{where}: {role} would log in as the database's owner: set {role.upper()}_DB_URL to a login of its own"
        )
    return dsn


def _login(dsn: str) -> str:
    parts = urlsplit(dsn)
    return parse_qs(parts.query).get("user", [""])[0] or unquote(parts.username or "")
