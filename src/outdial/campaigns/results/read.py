"""Reads the results of a campaign row by row, in one snapshot."""

from collections.abc import AsyncIterator, Collection
from typing import Any, Literal
from uuid import UUID

from outdial.campaigns.results.columns import ResultColumns, result_columns
from outdial.campaigns.selection import ContactSelection
from outdial.db.queries.results import results
from outdial.db.session import Connection

ResultExtra = Literal["transcript", "recording"]


class ResultReader:
    """The selected contacts of a campaign as rows of cells. `open` reads the columns first.

    `connection` is in a transaction, which stays open while rows are read.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        organization_id: UUID,
        campaign_id: UUID,
        selection: ContactSelection,
        include: Collection[str] = (),
    ) -> None:
        self._connection = connection
        self._organization_id = organization_id
        self._campaign_id = campaign_id
        self._include = include
        self._rows = results.stream_results(
            connection,
            organization_id=organization_id,
            campaign_id=campaign_id,
            with_transcript="transcript" in include,
            with_recording="recording" in include,
            **selection.parameters(),
        )
        self._first: results.ResultRow | None = None

    async def open(self) -> ResultColumns:
        """Return the columns; raises TooManyColumns.

        The first row is read before them: its cursor fixes the snapshot of the rows, so that no row has a name that
        the columns lack.
        """
        self._first = await anext(self._rows, None)
        self.columns = result_columns(
            await results.custom_analysis_names(
                self._connection, organization_id=self._organization_id, campaign_id=self._campaign_id
            ),
            await results.all_variable_names(
                self._connection, organization_id=self._organization_id, campaign_id=self._campaign_id
            ),
            with_transcript="transcript" in self._include,
            with_recording="recording" in self._include,
        )
        return self.columns

    async def __aiter__(self) -> AsyncIterator[list[Any]]:
        if self._first is None:
            return
        yield self.columns.cells(self._first)
        async for row in self._rows:
            yield self.columns.cells(row)
