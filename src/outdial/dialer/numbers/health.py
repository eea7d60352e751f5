"""Measures how caller numbers fare, and lets those rest that are answered much less often than their pool."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries.dialing import number_pool
from outdial.db.session import Database
from outdial.dialer.numbers.pool import report_all_rest, start_rests
from outdial.domain.policies.number_pool import (
    BY_PERSON,
    FIGURES_OF,
    NOT_OF_NUMBER,
    NumberFigures,
    RestReason,
    seldom_answered,
)

EVERY: Final = timedelta(minutes=1)
"""How often the task looks for organizations whose numbers are due."""
MEASURED_EVERY: Final = timedelta(minutes=5)
"""How often the numbers of an organization are measured while a campaign of it runs."""
BATCH: Final = 100


class NumberHealth:
    """A background task: `run_once` measures the numbers that are due, and returns of how many organizations.

    Two dialers that measure the same numbers at once store the same figures.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> int:
        """Measure the numbers of each organization that is due."""
        before = self._clock.now() - MEASURED_EVERY
        async with self._database.transaction() as connection:
            due = await number_pool.organizations_to_measure(connection, before=before, limit=BATCH)
        for organization_id in due:
            await self._measure(organization_id)
            # Not in the same transaction: a claim locks its campaign first, and then its numbers.
            async with self._database.for_organization(organization_id) as connection:
                await report_all_rest(connection, organization_id, None, self._clock.now())
        return len(due)

    async def _measure(self, organization_id: UUID) -> None:
        now = self._clock.now()
        async with self._database.for_organization(organization_id) as connection:
            measured = await number_pool.measure_numbers(
                connection,
                organization_id=organization_id,
                not_of_number=sorted(NOT_OF_NUMBER),
                answered=sorted(BY_PERSON),
                measured_from=now - FIGURES_OF,
                now=now,
            )
            figures = {
                row.phone: NumberFigures(phone=row.phone, calls=row.judged_calls, answered=row.judged_answered)
                for row in measured
            }
            pools = await number_pool.pools_in_use(connection, organization_id=organization_id)
            seldom = {
                phone
                for pool in pools
                for phone in seldom_answered([figures[phone] for phone in pool.phones if phone in figures])
            }
            if seldom:
                await start_rests(
                    connection, organization_id, dict.fromkeys(sorted(seldom), RestReason.FEW_ANSWERS), now
                )
