"""Follows the stored API keys, and wakes the campaigns that have waited for one."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from outdial.clock import Clock
from outdial.db.queries import batches
from outdial.db.queries.auth import provider_keys
from outdial.db.session import Database
from outdial.log import log
from outdial.provider_keys.cache import KeyCache, StoredKey

EVERY: Final = timedelta(seconds=15)
"""A notification wakes the task at once; this is for one that was lost."""


class KeyedClients(Protocol):
    """The clients of the provider, which follow the keys."""

    async def use(self, stored: Mapping[str, str], now: datetime) -> frozenset[str]:
        """Use these keys, by credential, from now on; return the credentials with a new one."""
        ...


class KeyReloader:
    """A background task: `run_once` reads the stored keys, and returns how many are new."""

    def __init__(self, database: Database, cache: KeyCache, clients: KeyedClients, clock: Clock) -> None:
        self._database = database
        self._cache = cache
        self._clients = clients
        self._clock = clock
        self._to_wake: set[str] = set()

    async def run_once(self) -> int:
        """Read the keys, and wake the campaigns of accounts that have a new one."""
        await self._cache.reload()
        stored, now = self._cache.in_use, self._clock.now()
        new = await self._clients.use({name: key.api_key for name, key in stored.items()}, now)
        # A wake-up that fails, because a claim takes too long, is repeated by the next run.
        self._to_wake |= new
        await self._wake(stored, now)
        return len(new)

    async def _wake(self, stored: Mapping[str, StoredKey], now: datetime) -> None:
        for credential in sorted(self._to_wake & stored.keys()):
            key = stored[credential]
            async with self._database.transaction() as connection:
                await provider_keys.report_stored_keys(
                    connection, provider_account_ids=[key.provider_account_id], now=now
                )
            async with self._database.for_organization(key.organization_id) as connection:
                await batches.wake_campaigns_of_account(
                    connection, now=now, provider_account_id=key.provider_account_id
                )
            self._to_wake.discard(credential)
            log("dialer.api_key_read", credential=credential)
