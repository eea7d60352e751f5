"""Receives one event: verified over its raw bytes, stored and applied in one transaction, and only then answered."""

import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from outdial.clock import Clock
from outdial.db import events as db
from outdial.db.session import Database
from outdial.db.statements import Connection
from outdial.inbox.apply import Verdict, apply
from outdial.inbox.batcher import Batcher
from outdial.inbox.deliveries import Delivery, read
from outdial.inbox.errors import NotStored
from outdial.log import log
from outdial.retell import signature


@dataclass(frozen=True, slots=True)
class Stored:
    """The event is on disk: `status` says what became of it so far."""

    event: str
    status: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Nobody of ours has signed this; nothing is stored."""


class Keys:
    """The webhook keys by credential, several of each while one is being rotated; `repr` shows none of them."""

    def __init__(self, by_credential: Mapping[str, Sequence[str]]) -> None:
        pairs = [(credential, key) for credential, keys in by_credential.items() for key in keys if key]
        if not pairs:
            raise ValueError("no webhook key is configured")
        self._credentials = [credential for credential, _ in pairs]
        self._keys = [key for _, key in pairs]

    def credential_of(self, body: bytes, header: str | None, now: datetime) -> str | None:
        """Return whose key has signed `body`, or None."""
        index = signature.verify(body, header, self._keys, round(now.timestamp() * 1000))
        return None if index is None else self._credentials[index]

    def credential_of_secret(self, header: str | None) -> str | None:
        """Return whose key `header` is, in full: the original system's plain form, for local stacks only."""
        given = (header or "").encode()
        found = [
            c for c, key in zip(self._credentials, self._keys, strict=True) if hmac.compare_digest(given, key.encode())
        ]
        return found[0] if found else None


class Receiver:
    """The path of a webhook from its bytes to the disk."""

    def __init__(
        self, database: Database, keys: Keys, clock: Clock, *, accept_plain: bool = False, check_after: timedelta
    ) -> None:
        self._database, self._keys, self._clock = database, keys, clock
        self._accept_plain, self._check_after = accept_plain, check_after
        self._batcher: Batcher[Delivery, Verdict | NotStored] = Batcher(self._flush)

    async def receive(self, body: bytes, header: str | None) -> Stored | Rejected:
        """Store and apply one event; it is on disk when this returns Stored, and raises when it could not be stored."""
        now = self._clock.now()
        credential, plain = self._keys.credential_of(body, header, now), False
        if credential is None and self._accept_plain:
            credential, plain = self._keys.credential_of_secret(header), True
        if credential is None:
            return Rejected()
        delivery = read(credential, body, now, plain=plain)
        verdict = await self._batcher.submit(delivery)
        if isinstance(verdict, NotStored):
            raise verdict
        return Stored(delivery.event, verdict.status)

    async def stop(self) -> None:
        """Return when every event that was taken is on disk."""
        await self._batcher.drain()

    async def _flush(self, deliveries: list[Delivery]) -> Sequence[Verdict | NotStored]:
        now = self._clock.now()
        try:
            async with self._database.transaction() as connection:
                applied = await apply(connection, deliveries, now, self._check_after)
                await store(connection, deliveries, applied.verdicts, now)
        except Exception as error:
            log("inbox.flush_failed", level="warning", events=len(deliveries), reason=repr(error))
            return await self._store_unapplied(deliveries, now)
        await pause_accounts(self._database, applied.accounts, now)
        return applied.verdicts

    async def _store_unapplied(self, deliveries: list[Delivery], now: datetime) -> list[Verdict | NotStored]:
        """Keep each event alone, for the applier: one that cannot be applied never takes others with it."""
        return [await self._store_alone(delivery, now) for delivery in deliveries]

    async def _store_alone(self, delivery: Delivery, now: datetime) -> Verdict | NotStored:
        verdict = Verdict("quarantined" if delivery.malformed else "pending", error=delivery.malformed)
        try:
            async with self._database.transaction() as connection:
                await store(connection, [delivery], [verdict], now)
        except Exception as error:
            log("inbox.store_failed", level="error", event_name=delivery.event, reason=repr(error))
            return NotStored()
        return verdict


async def pause_accounts(database: Database, accounts: Mapping[UUID, str], now: datetime) -> None:
    """Pause the campaigns of accounts that the provider refuses.

    It is a transaction of its own: pausing waits for claims, which may wait for the calls that the flush has locked.
    """
    for provider_account_id, reason in accounts.items():
        try:
            async with database.transaction() as connection:
                await db.PAUSE_ACCOUNT.run(connection, provider_account_id=provider_account_id, reason=reason, now=now)
        except Exception as error:  # the events are on disk, and the next call that is refused pauses the account
            log("inbox.pause_failed", level="error", provider_account_id=str(provider_account_id), error=error)
            continue
        log("inbox.account_paused", provider_account_id=str(provider_account_id), reason=reason)


async def store(
    connection: Connection, deliveries: Sequence[Delivery], verdicts: Sequence[Verdict], now: datetime
) -> None:
    """Write the ledger rows of `deliveries`; one that it has already is counted as a repeat."""
    unique = {_identity(d): (d, v) for d, v in zip(deliveries, verdicts, strict=True)}
    # Events of one call are kept apart by its lock; the others go in one order, so that two flushes cannot deadlock.
    pairs = sorted(unique.values(), key=lambda pair: () if pair[1].call_id else _identity(pair[0]))
    stored = await db.STORE_EVENTS.all(
        connection,
        now=now,
        credentials=[d.credential for d, _ in pairs],
        retell_call_ids=[d.retell_call_id for d, _ in pairs],
        events=[d.event for d, _ in pairs],
        bodies=[d.body for d, _ in pairs],
        hashes=[d.body_sha256 for d, _ in pairs],
        statuses=[v.status for _, v in pairs],
        received_ats=[d.received_at for d, _ in pairs],
        organization_ids=[v.organization_id for _, v in pairs],
        call_ids=[v.call_id for _, v in pairs],
        errors=[v.error for _, v in pairs],
    )
    if len(stored) == len(deliveries):
        return
    repeats = Counter(map(_identity, deliveries))
    for row in stored:
        repeats[row.body_sha256, row.event, row.credential] -= 1
    again = [(unique[key][0], times) for key, times in repeats.items() if times > 0]
    await db.COUNT_REPEATS.run(
        connection,
        retell_call_ids=[d.retell_call_id for d, _ in again],
        events=[d.event for d, _ in again],
        hashes=[d.body_sha256 for d, _ in again],
        credentials=[d.credential for d, _ in again],
        times=[times for _, times in again],
    )


def _identity(delivery: Delivery) -> tuple[bytes, str, str]:
    return delivery.body_sha256, delivery.event, delivery.credential
