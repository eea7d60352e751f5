"""The database logins of a local stack, whose passwords it keeps in its directory."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from outdial.db.passwords import ROLES, address_of, renew_passwords
from outdial.db.queries.host import deployments


class StackLogins(Mapping[str, str]):
    """The database URL of each role. The passwords are in `logins.json`, which only this user can read.

    Each function logs in over TCP with its own password. It cannot use the server's Unix socket, which asks for no
    password and so would admit it as any role. `owner` is the superuser's URL; it must be over TCP for functions.
    """

    def __init__(self, home: Path, owner: str) -> None:
        self._path = home / "logins.json"
        self._owner = owner

    def __getitem__(self, role: str) -> str:
        login, _, password = self._passwords()[role].rpartition(":")
        return address_of(self._owner, login or role, password)

    def __iter__(self) -> Iterator[str]:
        return iter(self._passwords())

    def __len__(self) -> int:
        return len(self._passwords())

    async def ensure(self) -> None:
        """Renew the passwords unless every role can log in with the stored ones."""
        if self.keys() != set(ROLES) or not all([await _can_log_in(address) for address in self.values()]):
            await self.renew()

    async def renew(self) -> dict[str, str]:
        """Set new passwords and notify the running hosts; return the URL of each role."""
        addresses = dict((await renew_passwords(self._owner)).urls)
        draft = self._path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            logins = {role: urlsplit(address) for role, address in addresses.items()}
            json.dump({role: f"{url.username}:{url.password}" for role, url in logins.items()}, file)
        draft.replace(self._path)
        connection = await asyncpg.connect(self._owner)
        try:
            await deployments.notify_deployments(connection)
        finally:
            await connection.close()
        return addresses

    def _passwords(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._path.read_text()))
        except (FileNotFoundError, ValueError):
            return {}


async def _can_log_in(address: str) -> bool:
    try:
        connection = await asyncpg.connect(address)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True
