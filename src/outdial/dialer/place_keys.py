"""Computes the keys of contacts again that an older version of the data on places computed.

The dialer does it because it needs the keys: a contact without them is not called, and a stack without a jobs process
would wait forever. A release with newer data, of ours or of libphonenumber, so needs no long migration.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from phonenumbers import NumberParseException

from outdial.clock import Clock
from outdial.db.queries import batches
from outdial.db.queries.places import contact_keys
from outdial.db.session import CONNECTION_ERRORS, Database, LockNotAvailable
from outdial.domain.location import KEYS_VERSION, StatedPlace, StoredKeys, locate_stored
from outdial.domain.phone import phone_of
from outdial.domain.place import UNKNOWN_COUNTRY, Place
from outdial.log import log

BATCH_SIZE: Final = 1_000
"""Contacts in one transaction, which takes a fraction of a second: imports and events wait for its rows meanwhile."""
EVERY: Final = timedelta(minutes=1)
"""Interval between checks for contacts that a process of an older version wrote during a deployment."""
_BATCHES_PER_REPORT: Final = 20


class PlaceKeyUpdater:
    """A background task. Several dialers share the work: each takes the contacts that no other has locked."""

    def __init__(self, database: Database, clock: Clock, *, batch_size: int = BATCH_SIZE) -> None:
        self._database = database
        self._clock = clock
        self._batch_size = batch_size
        self._stopping = False

    def stop(self) -> None:
        """Return from `run_once` after the current batch."""
        self._stopping = True

    async def run_once(self) -> int:
        """Update every contact with old keys that is not locked; return how many."""
        async with self._database.transaction() as connection:
            organizations = await contact_keys.organizations_with_old_keys(connection, keys_version=KEYS_VERSION)
        done = 0
        for organization_id in organizations:
            try:
                done += await self._update_organization(organization_id)
            except LockNotAvailable:
                # An event or a claim holds one of its contacts. The next run tries again.
                log("dialer.places_locked", level="warning", organization_id=str(organization_id))
            except CONNECTION_ERRORS:
                raise
            except Exception as error:  # the contacts of the other organizations must not wait for it
                log("dialer.places_failed", level="error", organization_id=str(organization_id), error=error)
        return done

    async def _update_organization(self, organization_id: UUID) -> int:
        done, updated = 0, self._batch_size
        while updated and not self._stopping:
            done_before = done
            for _ in range(_BATCHES_PER_REPORT):
                updated = await self._update_batch(organization_id)
                done += updated
                if not updated or self._stopping:
                    break
            if done > done_before:
                await self._report(organization_id, done)
        return done

    async def _update_batch(self, organization_id: UUID) -> int:
        async with self._database.for_organization(organization_id) as connection:
            rows = await contact_keys.lock_contacts_with_old_keys(
                connection, organization_id=organization_id, keys_version=KEYS_VERSION, limit=self._batch_size
            )
            # In a thread: a batch takes 20 ms of computing, and calls start in between.
            keys = await asyncio.to_thread(_locate, rows)
            return await contact_keys.set_contact_keys(
                connection,
                ids=[row.id for row in rows],
                zone_keys=[each.place.zone_key for each in keys],
                zone_sources=[each.zone_source for each in keys],
                jurisdiction_keys=[each.place.jurisdiction_key for each in keys],
                keys_version=KEYS_VERSION,
            )

    async def _report(self, organization_id: UUID, done: int) -> None:
        async with self._database.for_organization(organization_id) as connection:
            waiting = await contact_keys.count_old_keys(
                connection, organization_id=organization_id, keys_version=KEYS_VERSION
            )
            ids = await batches.wake_campaigns_of_organization(
                connection, organization_id=organization_id, now=self._clock.now()
            )
            await batches.notify_campaigns(connection, ids=ids)
        log("dialer.places_computed", organization_id=str(organization_id), contacts=done, waiting=waiting)


def _locate(rows: Sequence[contact_keys.OldKeys]) -> list[StoredKeys]:
    return [_locate_one(row) for row in rows]


def _locate_one(row: contact_keys.OldKeys) -> StoredKeys:
    try:
        phone = phone_of(row.phone)
    except NumberParseException:
        # The database admits any digits after the +, also those of no country. No rules apply there, so it waits.
        return StoredKeys(Place(row.zone_key, UNKNOWN_COUNTRY), "conflict")
    stated = StatedPlace(timezone=row.timezone, country=row.country, region=row.region, postal_code=row.postal_code)
    return locate_stored(phone, stated, row.zone_key)
