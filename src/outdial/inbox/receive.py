"""Receives webhooks: verifies the raw bytes, then stores and applies the event in one transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import campaign_status, events
from outdial.db.session import Connection, Database, LockNotAvailable
from outdial.inbox.apply import AppliedBatch, apply
from outdial.inbox.batcher import EventBatcher
from outdial.inbox.deliveries import EventDelivery, EventVerdict
from outdial.inbox.errors import EventNotStored
from outdial.inbox.live_transcripts import LiveTranscripts, TranscriptReceived
from outdial.log import log
from outdial.provider import EventReader, WebhookAuthenticator, WebhookKeySource


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """The event is on disk. `status` is that of the stored event: applied, unmatched, quarantined or pending."""

    event: str
    status: str


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """The signature is not valid; nothing is stored."""


class WebhookReceiver:
    """Receives webhooks in batches: concurrent requests share one transaction.

    `keys` are the stored keys that the authenticator also verifies with.
    """

    def __init__(
        self,
        database: Database,
        authenticator: WebhookAuthenticator,
        reader: EventReader,
        clock: Clock,
        *,
        check_after: timedelta,
        retry_speed: float = 1.0,
        keys: WebhookKeySource | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._authenticator = authenticator
        self._reader = reader
        self._clock = clock
        self._check_after = check_after
        self._retry_speed = retry_speed
        self._transcripts = LiveTranscripts(database, clock)
        self._batcher: EventBatcher[EventDelivery, EventVerdict | EventNotStored] = EventBatcher(self._flush)

    async def receive(self, body: bytes, signature: str | None) -> StoredEvent | TranscriptReceived | RejectedEvent:
        """Store and apply one event. When this returns StoredEvent, the event is on disk.

        A transcript of a live call is not stored as an event: the newest is kept until the call ends.

        Raises EventNotStored if the event could not be stored, or not be verified without keys that could not be read.
        """
        now = self._clock.now()
        if self._keys is not None:
            await self._keys.keep_fresh()
        signed = self._authenticator.authenticate(body, signature, now)
        if signed is None and signature and self._keys is not None and await self._keys.reload_for_unknown():
            # Perhaps its key was entered a moment ago.
            signed = self._authenticator.authenticate(body, signature, now)
        if signed is None and signature and self._keys is not None and not self._keys.is_up_to_date:
            # Perhaps a key made it that could not be read: a rejected event may not be sent again.
            raise EventNotStored
        if signed is None:
            return RejectedEvent()
        if signed.event.transcript_so_far is not None:
            await self._transcripts.keep(signed)
            return TranscriptReceived(signed.event.name)
        verdict = await self._batcher.submit(EventDelivery(signed.credential, signed.event, body, now))
        if isinstance(verdict, EventNotStored):
            raise verdict
        return StoredEvent(signed.event.name, verdict.status)

    async def stop(self) -> None:
        """Wait until every accepted event is on disk."""
        await self._batcher.drain()
        await self._transcripts.stop()

    async def _flush(self, deliveries: list[EventDelivery]) -> Sequence[EventVerdict | EventNotStored]:
        now = self._clock.now()
        try:
            try:
                applied = await self._apply_and_store(deliveries, now)
            except LockNotAvailable:
                # A stalled transaction holds a call of this batch. The applier tries its events again.
                applied = await self._apply_and_store(deliveries, now, skip_locked=True)
                set_aside = sum(verdict.status == "pending" for verdict in applied.verdicts)
                log("inbox.calls_locked", level="warning", events=len(deliveries), set_aside=set_aside)
        except Exception as error:
            log("inbox.flush_failed", level="warning", events=len(deliveries), reason=repr(error))
            # Store each event alone, for the applier: one that cannot be applied must not affect others.
            results = list[EventVerdict | EventNotStored]()
            for delivery in deliveries:
                malformed = delivery.event.malformed
                verdict = EventVerdict("quarantined" if malformed else "pending", error=malformed)
                try:
                    async with self._database.transaction() as connection:
                        await store(connection, [delivery], [verdict], now)
                    results.append(verdict)
                except Exception as lost:
                    log("inbox.store_failed", level="error", event_name=delivery.event.name, reason=repr(lost))
                    results.append(EventNotStored())
            return results
        await pause_accounts(self._database, applied.accounts, now)
        return applied.verdicts

    async def _apply_and_store(
        self, deliveries: list[EventDelivery], now: datetime, *, skip_locked: bool = False
    ) -> AppliedBatch:
        async with self._database.transaction() as connection:
            applied = await apply(
                connection,
                deliveries,
                reader=self._reader,
                now=now,
                check_after=self._check_after,
                retry_speed=self._retry_speed,
                skip_locked=skip_locked,
            )
            await store(connection, deliveries, applied.verdicts, now)
        return applied


async def pause_accounts(database: Database, accounts: Mapping[UUID, str], now: datetime) -> None:
    """Pause the campaigns of provider accounts that need their owner.

    Runs in a separate transaction: pausing waits for claims, and claims may wait for calls that the flush has locked.
    """
    for provider_account_id, reason in accounts.items():
        try:
            async with database.transaction() as connection:
                await campaign_status.pause_account_campaigns(
                    connection, provider_account_id=provider_account_id, reason=reason, now=now
                )
        except Exception as error:  # the events are on disk, and the next refused call pauses the account
            log("inbox.pause_failed", level="error", provider_account_id=str(provider_account_id), error=error)
            continue
        log("inbox.account_paused", provider_account_id=str(provider_account_id), reason=reason)


async def store(
    connection: Connection, deliveries: Sequence[EventDelivery], verdicts: Sequence[EventVerdict], now: datetime
) -> None:
    """Store `deliveries` with their verdicts. An event that is already stored counts as a repeat."""
    unique = {_identity(d): (d, v) for d, v in zip(deliveries, verdicts, strict=True)}
    # The lock of a call serializes its events. Other events are inserted in one order, so that flushes cannot deadlock.
    pairs = sorted(unique.values(), key=lambda pair: () if pair[1].call_id else _identity(pair[0]))
    stored = await events.store_events(
        connection,
        now=now,
        credentials=[d.credential for d, _ in pairs],
        retell_call_ids=[d.event.provider_call_id for d, _ in pairs],
        events=[d.event.name for d, _ in pairs],
        bodies=[d.body for d, _ in pairs],
        hashes=[d.body_sha256 for d, _ in pairs],
        statuses=[v.status for _, v in pairs],
        received_ats=[d.received_at for d, _ in pairs],
        organization_ids=[v.organization_id for _, v in pairs],
        call_ids=[v.call_id for _, v in pairs],
        errors=[v.error for _, v in pairs],
        are_erased=[v.is_erased for _, v in pairs],
    )
    if len(stored) == len(deliveries):
        return
    repeats = Counter(map(_identity, deliveries))
    for row in stored:
        repeats[row.body_sha256, row.event, row.credential] -= 1
    again = [(unique[key][0], times) for key, times in repeats.items() if times > 0]
    await events.count_repeats(
        connection,
        retell_call_ids=[d.event.provider_call_id for d, _ in again],
        events=[d.event.name for d, _ in again],
        hashes=[d.body_sha256 for d, _ in again],
        credentials=[d.credential for d, _ in again],
        times=[times for _, times in again],
    )


def _identity(delivery: EventDelivery) -> tuple[bytes, str, str]:
    return delivery.body_sha256, delivery.event.name, delivery.credential
