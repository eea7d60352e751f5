"""What states a call has, and how the reports of Retell merge into one call, in whatever order they come."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, Final

from outdial.domain.machine import Machine
from outdial.domain.outcome import Disposition, disposition_of, reluctance


class CallStatus(StrEnum):
    """Where one attempt stands."""

    PLACING = "placing"
    PLACED = "placed"
    ONGOING = "ongoing"
    ENDED = "ended"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    RELEASED = "released"
    REVIEW = "review"


_S = CallStatus

CALL: Final = Machine(
    "call",
    {
        _S.PLACING: (_S.PLACED, _S.ONGOING, _S.ENDED, _S.REFUSED, _S.UNKNOWN, _S.RELEASED),
        _S.PLACED: (_S.ONGOING, _S.ENDED),
        _S.ONGOING: (_S.ENDED,),
        _S.ENDED: (),
        _S.REFUSED: (),
        _S.UNKNOWN: (_S.PLACED, _S.ONGOING, _S.ENDED, _S.REFUSED, _S.RELEASED, _S.REVIEW),
        _S.RELEASED: (_S.ENDED,),
        _S.REVIEW: (_S.ENDED, _S.RELEASED),
    },
)
LIVE: Final = frozenset({_S.PLACING, _S.PLACED, _S.ONGOING, _S.UNKNOWN})

# How far the evidence of Retell has brought a call; `unknown` knows as little as `placing`.
_PROGRESS: Final = {_S.PLACING: 0, _S.UNKNOWN: 0, _S.PLACED: 1, _S.ONGOING: 2, _S.ENDED: 3}


class Rank(IntEnum):
    """How much an event knows of its call."""

    STARTED = 1
    ENDED = 2
    ANALYZED = 3


RANK_OF_EVENT: Final = {
    "call_started": Rank.STARTED,
    "call_ended": Rank.ENDED,
    "call_analyzed": Rank.ANALYZED,
}


@dataclass(frozen=True, slots=True)
class Details:
    """What Retell tells of a call; None where it has not told it (times aware, in UTC; cost in cents)."""

    disconnection_reason: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    cost_cents: Decimal | None = None
    transcript: str | None = None
    recording_url: str | None = None
    public_log_url: str | None = None
    analysis: str | None = None


DETAIL_FIELDS: Final = tuple(Details.__dataclass_fields__)
NO_RANKS: Final = (0,) * len(DETAIL_FIELDS)


@dataclass(frozen=True, slots=True)
class Report:
    """One event about one call, reduced to what changes it."""

    rank: Rank
    retell_call_id: str
    details: Details


@dataclass(frozen=True, slots=True)
class CallState:
    """The part of a call that reports change; `ranks` holds, per detail, the rank of the event that it came from."""

    status: CallStatus
    retell_call_id: str | None
    details: Details
    ranks: tuple[int, ...]

    @property
    def disposition(self) -> Disposition | None:
        """What the call came to; None before its end, and while Retell has not said why it ended."""
        reason = self.details.disconnection_reason
        return None if self.status is not _S.ENDED or reason is None else disposition_of(reason)


def merge(call: CallState, report: Report) -> CallState:
    """Return `call` with what `report` adds: order and repetition of reports make no difference to the result.

    The status follows the report's rank and never goes back. A null never overwrites a value; of two values the one of
    the higher-ranked event stays, and of two of the same rank the greater, so that no detail depends on arrival. Of two
    disconnection reasons the one that calls the contact less stays, for the contact may have been decided upon by then.
    An analysis without a disconnection reason lands, and ends nothing: the end is then asked for.
    """
    details, ranks = _join(call, report)
    return CallState(
        status=_status_after(call.status, report),
        retell_call_id=call.retell_call_id or report.retell_call_id,
        details=details,
        ranks=ranks,
    )


def _target(report: Report) -> CallStatus:
    match report.rank:
        case Rank.ENDED:
            return _S.ENDED
        case Rank.ANALYZED:
            return _S.PLACED if report.details.disconnection_reason is None else _S.ENDED
        case Rank.STARTED:
            return _S.ONGOING


def _status_after(status: CallStatus, report: Report) -> CallStatus:
    target = _target(report)
    if status in _PROGRESS and _PROGRESS[status] >= _PROGRESS[target]:
        return status
    return target if target in CALL.arrows[status] else status


def _join(call: CallState, report: Report) -> tuple[Details, tuple[int, ...]]:
    changes: dict[str, Any] = {}
    ranks = list(call.ranks)
    for index, name in enumerate(DETAIL_FIELDS):
        new, old = getattr(report.details, name), getattr(call.details, name)
        if new is None:
            continue
        if old is None or _strength(name, new, report.rank) > _strength(name, old, ranks[index]):
            changes[name], ranks[index] = new, int(report.rank)
    return (replace(call.details, **changes) if changes else call.details), tuple(ranks)


def _strength(name: str, value: Any, rank: int) -> tuple[int, int, Any]:
    return (reluctance(value) if name == "disconnection_reason" else 0), rank, value
