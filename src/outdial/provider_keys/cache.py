"""The stored API keys of one process, read again when they change."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries.auth import provider_keys
from outdial.db.session import Database
from outdial.log import log
from outdial.provider_keys.sealing import KeySealer

MAX_AGE: Final = timedelta(seconds=5)
"""A webhook is verified with keys that were read at most this long before."""
RELOAD_EVERY: Final = timedelta(seconds=1)
"""How often unknown signatures may cause a reload: anyone can send one."""


REPORT_EVERY: Final = timedelta(seconds=30)
"""How often a process reports which keys it can decrypt, unless that changes."""


class KeyReader(StrEnum):
    """Who reads the keys."""

    DIALER = "dialer"
    WEBHOOKS = "webhooks"
    COMMAND = "command"  # reports nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A stored key, decrypted. `accepted_until` is None for the one in use; a former one only verifies webhooks."""

    organization_id: UUID
    provider_account_id: UUID
    credential: str
    api_key: str = field(repr=False)
    accepted_until: datetime | None = None


class KeyCache:
    """The stored keys, as they were last read; implements `WebhookKeySource`. `repr` shows none.

    It reports which keys this process can decrypt, and which not: those are all without RETELL_ENCRYPTION_KEY.
    """

    def __init__(self, database: Database, sealer: KeySealer, clock: Clock, *, reader: KeyReader) -> None:
        self._database = database
        self._reader = reader
        self._reported: tuple[frozenset[UUID], frozenset[UUID]] | None = None
        self._reported_at: datetime | None = None
        self._sealer = sealer
        self._clock = clock
        # Those in use come first.
        self._keys: Sequence[StoredKey] = ()
        self._read_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._has_failed = False
        self._reading = asyncio.Lock()
        self._unreadable: frozenset[UUID] = frozenset()

    @property
    def unreadable(self) -> frozenset[UUID]:
        """The ids of the stored keys that no secret of this process decrypts."""
        return self._unreadable

    @property
    def in_use(self) -> dict[str, StoredKey]:
        """The keys that calls are placed with, by credential."""
        return {key.credential: key for key in self._keys if key.accepted_until is None}

    @property
    def is_up_to_date(self) -> bool:
        """Whether the keys have been read, and the last try to read them again did not fail."""
        return self._read_at is not None and not self._has_failed

    def webhook_keys(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Return pairs of credential and key: the keys in use, then former ones that are still accepted."""
        accepted = [key for key in self._keys if key.accepted_until is None or key.accepted_until > now]
        return [(key.credential, key.api_key) for key in accepted]

    async def reload(self) -> None:
        """Read the keys. Raises what the database raises; the keys then stay as they were."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            rows = await provider_keys.provider_keys_in_use(connection, now=now)
        keys, unreadable = [], set()
        for row in rows:
            api_key = self._sealer.open(row.organization_id, row.provider_account_id, row.ciphertext)
            if api_key is None:
                unreadable.add(row.id)
                continue
            keys.append(
                StoredKey(
                    organization_id=row.organization_id,
                    provider_account_id=row.provider_account_id,
                    credential=row.credential,
                    api_key=api_key,
                    accepted_until=row.accepted_until,
                )
            )
        if unreadable - self._unreadable:
            log(
                "provider_keys.unreadable",
                level="error",
                keys=len(unreadable),
                reason="encrypted with a key that is not in RETELL_ENCRYPTION_KEY of this process, or copied from"
                " another account; enter the key again",
            )
        # A key may have moved to another account, which its events belong to from then on.
        keys.sort(key=lambda key: key.accepted_until is not None)
        self._keys, self._unreadable, self._read_at = keys, frozenset(unreadable), now
        await self._report(frozenset(row.id for row in rows), now)

    async def _report(self, known: frozenset[UUID], now: datetime) -> None:
        """Report which keys can be read, if that has changed or is due again. A failure is no reason to use no key."""
        if self._reader == KeyReader.COMMAND or not known:
            return
        report = (known - self._unreadable, self._unreadable)
        if report == self._reported and self._reported_at is not None and now - self._reported_at < REPORT_EVERY:
            return
        try:
            async with self._database.transaction() as connection:
                await provider_keys.report_key_readings(
                    connection,
                    by_webhooks=self._reader == KeyReader.WEBHOOKS,
                    read=sorted(report[0]),
                    unreadable=sorted(report[1]),
                    now=now,
                )
        except Exception as error:
            log("provider_keys.not_reported", level="warning", reason=type(error).__name__)
            return
        self._reported, self._reported_at = report, now

    async def keep_fresh(self) -> None:
        """Read the keys again if that was more than MAX_AGE ago; concurrent callers share one read. Never raises."""
        await self._reload_unless_within(MAX_AGE)

    async def reload_for_unknown(self) -> bool:
        """Read the keys again, at most once every RELOAD_EVERY; return whether they are new since. Never raises."""
        before = self._read_at
        await self._reload_unless_within(RELOAD_EVERY)
        return self._read_at != before

    async def _reload_unless_within(self, age: timedelta) -> None:
        if self._is_within(age):
            return
        async with self._reading:
            if self._is_within(age):
                return
            try:
                await self.reload()
                self._has_failed = False
            except Exception as error:  # the keys that are known go on working
                self._has_failed = True
                log("provider_keys.reload_failed", level="warning", reason=type(error).__name__)
            finally:
                # Not before: those who wait here would go on with keys that are not read yet.
                self._tried_at = self._clock.now()

    def _is_within(self, age: timedelta) -> bool:
        return self._tried_at is not None and self._clock.now() - self._tried_at < age
