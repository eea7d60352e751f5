"""The logins that functions are given: from the environment, or those that a local stack keeps in its directory."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from outdial.db.host_store import NOTIFY_DEPLOYMENTS
from outdial.db.passwords import ROLES, address_of, renew_passwords
from outdial.host.deployments.source import SourceTree
from outdial.settings import MissingSetting

_SUFFIX = "_DB_URL"
_OWNER = "SUPABASE_DB_URL"


def given_logins(env: Mapping[str, str]) -> dict[str, str]:
    """Return the address of the database for each role that has one: OUTDIAL_API_DB_URL is that of `outdial_api`."""
    names = (name for name in env if name.endswith(_SUFFIX) and name != _OWNER and env[name].strip())
    return {name.removesuffix(_SUFFIX).lower(): env[name].strip() for name in names}


def require_logins(source: SourceTree, logins: Mapping[str, str]) -> None:
    """Raise MissingSetting when a function of the source tree has a role whose address nobody has given."""
    for slug in source.bundles:
        role = source.config(slug).database_role
        if role not in logins:
            raise MissingSetting(
                f"{role.upper()}{_SUFFIX}", f"{slug} logs in as {role}; outdial db credentials prints it"
            )


class KeptLogins(Mapping[str, str]):
    """The address of each role of a local stack; its directory keeps the passwords, for nobody else to read.

    Functions cannot use the server's socket, which asks for no password, so that each has its role and no other:
    `owner`, the superuser's address that those of the roles are made from, must be one over TCP for them.
    """

    def __init__(self, home: Path, owner: str) -> None:
        self._path, self._owner = home / "logins.json", owner

    def __getitem__(self, role: str) -> str:
        return address_of(self._owner, role, self._passwords()[role])

    def __iter__(self) -> Iterator[str]:
        return iter(self._passwords())

    def __len__(self) -> int:
        return len(self._passwords())

    async def ensure(self) -> None:
        """Make new passwords unless those that are kept let every role in."""
        if self.keys() != set(ROLES) or not all([await _opens(address) for address in self.values()]):
            await self.renew()

    async def renew(self) -> dict[str, str]:
        """Make new passwords, and return the address of each role; the hosts that serve here take them up."""
        addresses = await renew_passwords(self._owner)
        draft = self._path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({role: urlsplit(address).password for role, address in addresses.items()}, file)
        draft.replace(self._path)
        connection = await asyncpg.connect(self._owner)
        try:
            await NOTIFY_DEPLOYMENTS.run(connection)
        finally:
            await connection.close()
        return addresses

    def _passwords(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._path.read_text()))
        except (FileNotFoundError, ValueError):
            return {}


async def _opens(address: str) -> bool:
    try:
        connection = await asyncpg.connect(address)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True
