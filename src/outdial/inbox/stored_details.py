"""Reads what a row says about its call."""

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from outdial.domain.call import CallDetails, canonical_json
from outdial.provider import EventReader


class RowOfCall(Protocol):
    """The row of a call or of a test call. The analysis is JSON text."""

    @property
    def disconnection_reason(self) -> str | None: ...
    @property
    def started_at(self) -> datetime | None: ...
    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def duration_ms(self) -> int | None: ...
    @property
    def cost_cents(self) -> Decimal | None: ...
    @property
    def transcript(self) -> str | None: ...
    @property
    def recording_url(self) -> str | None: ...
    @property
    def public_log_url(self) -> str | None: ...
    @property
    def analysis(self) -> str | None: ...


def stored_details(row: RowOfCall, reader: EventReader) -> CallDetails:
    """Return the details that earlier events have reported."""
    return CallDetails(
        disconnection_reason=reader.read_reason(row.disconnection_reason),
        started_at=row.started_at,
        ended_at=row.ended_at,
        duration_ms=row.duration_ms,
        cost_cents=row.cost_cents,
        transcript=row.transcript,
        recording_url=row.recording_url,
        public_log_url=row.public_log_url,
        analysis=None if row.analysis is None else canonical_json(row.analysis),
    )
