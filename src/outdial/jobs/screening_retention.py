"""Deletes the numbers of screening lists that no longer count. The lists themselves stay, as evidence."""

from datetime import datetime, timedelta
from typing import Final

from outdial.clock import Clock
from outdial.db.queries import screening
from outdial.db.session import Database

SILENT_FOR: Final = timedelta(hours=1)
"""An upload that has stored nothing for this long was interrupted."""
EVERY: Final = timedelta(minutes=1)
_LISTS: Final = 20


class ScreeningRetention:
    """A background task; any number of workers may run it."""

    def __init__(self, database: Database, clock: Clock, *, portion: int = 20_000) -> None:
        self._database = database
        self._clock = clock
        self._portion = portion

    async def run_once(self) -> int:
        """Clear replaced, removed and interrupted lists, a portion per transaction; return how many lists."""
        silent_since = self._clock.now() - SILENT_FOR
        async with self._database.transaction() as connection:
            outdated = await screening.outdated_screening_lists(connection, silent_since=silent_since, limit=_LISTS)
        for each in outdated:
            await self._clear(each, silent_since)
        return len(outdated)

    async def _clear(self, outdated: screening.OutdatedScreeningList, silent_since: datetime) -> None:
        # Before any number is deleted: an upload that goes on would put a list in force that lacks them.
        async with self._database.for_organization(outdated.organization_id) as connection:
            given_up = await screening.give_up_screening_list(
                connection,
                list_id=outdated.id,
                organization_id=outdated.organization_id,
                silent_since=silent_since,
                now=self._clock.now(),
            )
        while given_up is not None:
            async with self._database.for_organization(outdated.organization_id) as connection:
                deleted = await screening.delete_screened_numbers(
                    connection,
                    organization_id=outdated.organization_id,
                    list_id=outdated.id,
                    limit=self._portion,
                )
                if deleted == 0:
                    await screening.clear_screening_list(
                        connection,
                        list_id=outdated.id,
                        organization_id=outdated.organization_id,
                        now=self._clock.now(),
                    )
                    return
