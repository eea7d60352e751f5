"""What an answer of Retell's API means: closed unions, one for each question that the client asks."""

from dataclasses import dataclass
from enum import StrEnum

from outdial.retell.wire import CallPayload


class RefusalKind(StrEnum):
    """What a refused call is to be blamed on. Whatever the kind, no call was created."""

    contact = "contact"  # this number cannot be called
    configuration = "configuration"  # agent, caller number or request are wrong
    account = "account"  # key or payment: nothing will be accepted
    capacity = "capacity"  # too many calls, or too fast
    unreachable = "unreachable"  # the request never left


@dataclass(frozen=True, slots=True)
class Placed:
    """Retell has the call."""

    retell_call_id: str
    call_status: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Retell has no call; `status` is None when the request never left, `message` is for people."""

    kind: RefusalKind
    status: int | None
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Retell may or may not have the call: to be settled by asking, or by the same request with the same key."""

    reason: str


@dataclass(frozen=True, slots=True)
class CallFound:
    """The call as Retell has it now, and the JSON object it came in."""

    call: CallPayload
    raw: bytes


@dataclass(frozen=True, slots=True)
class CallMissing:
    """Retell knows no such call under this key (it says so with 422, or 404)."""


@dataclass(frozen=True, slots=True)
class CallsListed:
    """The calls that fit, newest first, without transcripts; `has_more` when the limit cut the list."""

    calls: tuple[CallPayload, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Concurrency:
    """The workspace's live calls and how many it may have (Retell API, get-concurrency)."""

    current: int
    limit: int
    reserved_inbound: int
    burst_limit: int  # 0 while burst is off


@dataclass(frozen=True, slots=True)
class Stopped:
    """Retell took the order to end the call."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The question was not answered; `status` is None when no answer was read."""

    reason: str
    status: int | None = None
    retry_after_s: float | None = None
