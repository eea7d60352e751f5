"""The database logins that a host gives to its functions, one for each role."""

from collections.abc import Mapping

from outdial.host.deployments.source import SourceTree
from outdial.settings import MissingSetting

_SUFFIX = "_DB_URL"
_OWNER = "SUPABASE_DB_URL"


def logins_of(env: Mapping[str, str]) -> dict[str, str]:
    """Return the database URL of each role that has one in `env`: OUTDIAL_API_DB_URL belongs to `outdial_api`."""
    names = (name for name in env if name.endswith(_SUFFIX) and name != _OWNER and env[name].strip())
    return {name.removesuffix(_SUFFIX).lower(): env[name].strip() for name in names}


def missing_logins(source: SourceTree, logins: Mapping[str, str]) -> list[MissingSetting]:
    """Return an error for each role of the source tree's functions that has no login."""
    missing: dict[str, MissingSetting] = {}
    for slug in source.bundles:
        role = source.configs[slug].database_role
        if role not in logins and role not in missing:
            purpose = f"{slug} logs in as {role}; outdial db credentials prints the URL"
            missing[role] = MissingSetting(f"{role.upper()}{_SUFFIX}", purpose)
    return list(missing.values())


def require_logins(source: SourceTree, logins: Mapping[str, str]) -> None:
    """Raise MissingSetting when a function of the source tree has a role without a login."""
    for error in missing_logins(source, logins):
        raise error
