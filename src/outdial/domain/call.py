"""The states of a call, and how reports about a call merge into it, whatever their order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, Final, Literal, TypeAlias, assert_never

import msgspec

from outdial.domain.machine import Machine
from outdial.domain.outcomes import Outcome, reluctance


class CallStatus(StrEnum):
    """The status of one attempt."""

    PLACING = "placing"
    PLACED = "placed"
    ONGOING = "ongoing"
    ENDED = "ended"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    RELEASED = "released"
    REVIEW = "review"


class CallWorkspace(StrEnum):
    """Where a call is at the provider. A workspace knows only its own calls: one it does not have may be in another."""

    CURRENT = "current"  # in the workspace of the account's key
    FORMER = "former"  # in an earlier one, of which Outdial has no key
    UNCLEAR = "unclear"  # in either: it was placed, or is looked for, within minutes of a change


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

LineState: TypeAlias = Literal["dialing", "ringing", "talking", "unconfirmed"]
LINE_STATES: Final[Mapping[str, LineState]] = {
    _S.PLACING: "dialing",
    _S.PLACED: "ringing",
    _S.ONGOING: "talking",
    _S.UNKNOWN: "unconfirmed",
}
"""What the status of a live call is called on pages and in commands."""

# How far the provider's reports have moved a call; `unknown` is as early as `placing`.
_PROGRESS: Final = {_S.PLACING: 0, _S.UNKNOWN: 0, _S.PLACED: 1, _S.ONGOING: 2, _S.ENDED: 3}


class ReportRank(IntEnum):
    """How complete a report about a call is. The database stores these numbers."""

    STARTED = 1
    ENDED = 2
    ANALYZED = 3


@dataclass(frozen=True, slots=True)
class DisconnectionReason:
    """Why a call ended: the provider's code, and the outcome it means."""

    code: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDetails:
    """What the provider has reported about a call. Times are aware, in UTC; the cost is in cents."""

    disconnection_reason: DisconnectionReason | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    cost_cents: Decimal | None = None
    transcript: str | None = None
    recording_url: str | None = None
    public_log_url: str | None = None
    analysis: str | None = None


DETAIL_FIELDS: Final = tuple(CallDetails.__dataclass_fields__)
NO_RANKS: Final = (0,) * len(DETAIL_FIELDS)


@dataclass(frozen=True, slots=True)
class CallReport:
    """The part of one provider event that can change a call."""

    rank: ReportRank
    provider_call_id: str
    details: CallDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class CallState:
    """The part of a call that reports change; `ranks` holds, per detail, the rank of the report it came from."""

    status: CallStatus
    provider_call_id: str | None
    details: CallDetails
    ranks: tuple[int, ...]

    @property
    def outcome(self) -> Outcome | None:
        """The outcome of an ended call; None before the end, and until the provider reports the reason."""
        reason = self.details.disconnection_reason
        return None if self.status is not _S.ENDED or reason is None else reason.outcome

    @property
    def is_complete(self) -> bool:
        """Whether no further report is expected: the call has ended, with a reason and an analysis."""
        return self.outcome is not None and self.details.analysis is not None


def merge(call: CallState, report: CallReport) -> CallState:
    """Return `call` with the facts of `report`. The order and repetition of reports do not change the result.

    The status follows the report's rank and never goes back. A null never overwrites a value. Of two values, the one
    from the higher-ranked report stays; between equal ranks, the greater value stays, so that no detail depends on the
    order of arrival. Of two disconnection reasons, the one that calls the contact less stays, because the contact may
    already have been updated. An ANALYZED report without a disconnection reason adds its details but does not end
    the call: the reconciler asks the provider for the end.
    """
    changes: dict[str, Any] = {}
    ranks = list(call.ranks)
    for index, name in enumerate(DETAIL_FIELDS):
        new = getattr(report.details, name)
        if new is None:
            continue
        old = getattr(call.details, name)
        if old is None or _strength(new, report.rank) > _strength(old, ranks[index]):
            changes[name] = new
            ranks[index] = int(report.rank)
    return CallState(
        status=_status_after(call.status, report),
        provider_call_id=call.provider_call_id or report.provider_call_id,
        details=replace(call.details, **changes) if changes else call.details,
        ranks=tuple(ranks),
    )


def canonical_json(text: str) -> str:
    """Return JSON text with sorted keys, so that equal analyses compare equal as text."""
    return msgspec.json.encode(msgspec.json.decode(text), order="sorted").decode()


def _status_after(status: CallStatus, report: CallReport) -> CallStatus:
    match report.rank:
        case ReportRank.STARTED:
            target = _S.ONGOING
        case ReportRank.ENDED:
            target = _S.ENDED
        case ReportRank.ANALYZED:
            target = _S.PLACED if report.details.disconnection_reason is None else _S.ENDED
        case never:
            assert_never(never)
    if status in _PROGRESS and _PROGRESS[status] >= _PROGRESS[target]:
        return status
    return target if target in CALL.arrows[status] else status


def _strength(value: Any, rank: int) -> tuple[int, int, Any]:
    if isinstance(value, DisconnectionReason):
        return reluctance(value.outcome), rank, value.code
    return 0, rank, value
