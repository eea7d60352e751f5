"""The environment variables of a worker: a fixed few, and the secrets that its function names."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote, urlsplit

from outdial.host.wire.config import CERTIFICATES, EXECUTION_ID, FunctionConfig
from outdial.host.wire.errors import BadConfig

# Supabase sets these for every function (docs: Edge Functions, Environment variables), along with secret keys.
_ALWAYS = ("SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_PUBLISHABLE_KEYS", "SUPABASE_JWKS", *CERTIFICATES)
_PROCESS_DEFAULTS = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}
_SET_BY_THE_HOST = {"SUPABASE_DB_URL", "SUPABASE_FUNCTION_SLUG", "SB_REGION", EXECUTION_ID}
# Settings of the host that every function's environment depends on.
ALWAYS_PASSED = (*_ALWAYS, *_PROCESS_DEFAULTS, "SUPABASE_DB_URL")

# This role can read the keys that sign users' tokens.
_FORBIDDEN_ROLE = "outdial_auth"

# Prefixes of the platform and the host. A wildcard never matches them.
_RESERVED = ("SUPABASE_", "OUTDIAL_", "SB_")
# Variables that grant too much (logins of other roles, the host's keys) or change how a process starts or connects.
_NEVER = re.compile(
    r"OUTDIAL_\w*(DB_URL|KEY|PASSWORD|SECRET|TOKEN)\w*|SUPABASE_INTERNAL_\w*"
    r"|LD_\w*|PYTHON\w*|PG[A-Z]+|HOME|HOSTNAME|PWD"
)


def worker_env(
    slug: str, config: FunctionConfig, settings: Mapping[str, str], database_urls: Mapping[str, str], *, region: str
) -> dict[str, str]:
    """Return the environment of a function's workers. The pool adds EXECUTION_ID.

    `settings` holds the host's own settings and the deployed secrets; `database_urls` maps roles to DSNs. A secret that
    is named but not set is omitted: the function reports that when it starts. Raises BadConfig for a name that no
    function may have, and if the DSN of the function's role is unknown or logs in as the owner of the database.
    """
    env = {name: settings.get(name, default) for name, default in _PROCESS_DEFAULTS.items()}
    env |= {name: settings[name] for name in _ALWAYS if name in settings}
    excluded = _SET_BY_THE_HOST | _PROCESS_DEFAULTS.keys()
    for pattern in config.secrets:
        if pattern.endswith("*"):
            prefix = pattern[:-1]
            if prefix.startswith(_RESERVED):
                raise BadConfig(f"functions.{slug}.secrets: {pattern}: list names with this prefix in full")
            env |= {
                name: value
                for name, value in settings.items()
                if name.startswith(prefix)
                and not name.startswith(_RESERVED)
                and name not in excluded
                and not _NEVER.fullmatch(name)
            }
        elif _NEVER.fullmatch(pattern) or pattern in _SET_BY_THE_HOST:
            raise BadConfig(f"functions.{slug}.secrets: {pattern} cannot be given to a function")
        elif pattern in settings:
            env[pattern] = settings[pattern]
    role = config.database_role
    dsn = database_urls.get(role, "")
    where = f"functions.{slug}.database_role"
    if role == _FORBIDDEN_ROLE:
        raise BadConfig(f"{where}: {role} cannot be given to a function")
    if not dsn:
        known = ", ".join(sorted(database_urls)) or "none"
        raise BadConfig(f"{where}: no database URL is set for {role!r}; known roles: {known}")
    if (owner := settings.get("SUPABASE_DB_URL", "")) and _login(dsn) == _login(owner):
        raise BadConfig(
            f"{where}: {role} would log in as the database's owner: set {role.upper()}_DB_URL to a separate login"
        )
    env["SUPABASE_DB_URL"] = dsn
    env["SUPABASE_FUNCTION_SLUG"] = slug
    env["SB_REGION"] = region
    return env


def _login(dsn: str) -> str:
    parts = urlsplit(dsn)
    return parse_qs(parts.query).get("user", [""])[0] or unquote(parts.username or "")
