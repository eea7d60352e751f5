"""Completes erasures: removes the person from files, logs and events, and ends once Retell has deleted the calls."""

from datetime import timedelta
from functools import partial
from typing import Final

import msgspec

from outdial.campaigns.erasure_keys import digits_of, pattern_of
from outdial.clock import Clock
from outdial.db.queries import erasures
from outdial.db.session import Database, encode_json
from outdial.log import log

EVERY: Final = timedelta(seconds=15)
_BATCH_SIZE: Final = 1_000
_LOG_PORTION: Final = 5_000


class ErasureSweeper:
    """A background task; any number of workers may run it. Removing the same data twice changes nothing."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> int:
        """Do what can be done for every unfinished erasure; return how many have finished."""
        async with self._database.transaction() as connection:
            found = await erasures.open_erasures(connection, limit=_BATCH_SIZE)
        return sum([await self._try_to_advance(erasure) for erasure in found])

    async def _try_to_advance(self, found: erasures.OpenErasure) -> bool:
        try:
            return await self._advance(found)
        except Exception as error:  # one broken erasure must not stop those of others
            log("erasure.failed", level="error", erasure_id=str(found.erasure_id), error=error)
            return False

    async def _advance(self, found: erasures.OpenErasure) -> bool:
        async with self._database.for_organization(found.organization_id) as connection:
            erasure = await erasures.lock_erasure(connection, erasure_id=found.erasure_id)
            if erasure is None:
                return False
            if erasure.phone is not None:
                waiting_for = await erasures.erasure_waits_for(
                    connection, erasure_id=erasure.id, numbers=digits_of(erasure.phone), now=self._clock.now()
                )
                await erasures.record_wait(connection, erasure_id=erasure.id, waiting_for=waiting_for)
                if waiting_for is not None:
                    return False
        if erasure.phone is not None:
            await self._sweep(erasure, erasure.phone)
        async with self._database.for_organization(found.organization_id) as connection:
            finished = await erasures.finish_erasure(connection, erasure_id=erasure.id, now=self._clock.now())
        if finished is not None:
            log("erasure.finished", erasure_id=str(erasure.id))
        return finished is not None

    async def _sweep(self, erasure: erasures.ErasureToSweep, phone: str) -> None:
        """Remove the person place by place, in a transaction each. A sweep that was interrupted starts again."""
        now, numbers = self._clock.now(), digits_of(phone)
        removed: dict[str, int] = msgspec.json.decode(erasure.removed, type=dict[str, int])
        transaction = partial(self._database.for_organization, erasure.organization_id)

        def count(place: str, number: int) -> None:
            removed[place] = removed.get(place, 0) + number

        async with transaction() as connection:
            count("events", await erasures.sweep_events(connection, erasure_id=erasure.id, numbers=numbers, now=now))
        async with transaction() as connection:
            count("exports", await erasures.sweep_exports(connection, erasure_id=erasure.id, now=now))
        async with transaction() as connection:
            count("rows", await erasures.sweep_rows(connection, erasure_id=erasure.id, numbers=numbers))
        async with transaction() as connection:
            count(
                "audit_entries",
                await erasures.redact_audit(
                    connection,
                    organization_id=erasure.organization_id,
                    erasure_id=erasure.id,
                    numbers=numbers,
                    now=now,
                ),
            )
        after: int | None = 0
        while after is not None:
            async with transaction() as connection:
                after = await erasures.sweep_logs(
                    connection,
                    organization_id=erasure.organization_id,
                    pattern=pattern_of(phone),
                    after=after,
                    limit=_LOG_PORTION,
                )
        async with transaction() as connection:
            count("opt_outs", await erasures.sweep_opt_outs(connection, erasure_id=erasure.id, now=now))
            await erasures.finish_sweep(connection, erasure_id=erasure.id, removed=encode_json(removed), now=now)
