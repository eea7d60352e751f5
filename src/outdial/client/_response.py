"""What comes back: an answer is read into a result or an error. Nothing here does I/O."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from outdial.client._request import MAX_ANSWER_BYTES, Order, Target
from outdial.client.errors import (
    CampaignTriggerError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    Refused,
    TimedOut,
    Unavailable,
    UnreadableAnswer,
)
from outdial.client.results import CampaignResult, ScheduleResult

R = TypeVar("R", CampaignResult, ScheduleResult)

_REFUSALS: Final[Mapping[int, type[Refused]]] = {
    400: InvalidRequest,
    401: NotAuthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: Unavailable,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came: at most one byte more of the body than may be read."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def read(order: Order[R], reply: Reply) -> R:
    """Return the result in `reply`; raises the error that it tells."""
    if not 200 <= reply.status < 300:
        raise _refusal(reply)
    if len(reply.body) > MAX_ANSWER_BYTES:
        raise _unreadable(reply, f"it is longer than {MAX_ANSWER_BYTES} bytes")
    try:
        return msgspec.json.decode(reply.body, type=order.answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(reply, str(error)) from error


def lost(to: Target, error: BaseException) -> CampaignTriggerError:
    """Return the error of a connection to `to` that was not made, or was lost with `error`."""
    reason = str(error) or type(error).__name__
    return ConnectionFailed(f"No answer from {to.place}: {reason}", code="NETWORK_ERROR")


def late(to: Target, timeout_s: float) -> CampaignTriggerError:
    """Return the error of an answer that did not come in time."""
    return TimedOut(f"No answer from {to.place} within {timeout_s:g} s", code="TIMEOUT")


def _refusal(reply: Reply) -> Refused:
    body = _object(reply.body)
    said = next((body[name] for name in ("message", "error", "msg") if isinstance(body.get(name), str)), None)
    message = said or f"The server answered {reply.status} and did not say why"
    code = body.get("code") or reply.headers.get("sb-error-code") or f"HTTP_{reply.status}"
    details = {name: value for name, value in body.items() if name not in {"error", "code", "message", "msg"}}
    wait = _seconds(reply.headers.get("retry-after"))
    if wait is not None:
        details["retry_after"] = wait
    kind = _REFUSALS.get(reply.status, Unavailable if reply.status >= 500 else Refused)
    return kind(message, code=str(code), status=reply.status, details=details)


def _unreadable(reply: Reply, reason: str) -> UnreadableAnswer:
    message = f"The answer is not one of campaign-trigger, does the URL lead there? {reason}"
    return UnreadableAnswer(message, code="UNREADABLE_ANSWER", status=reply.status)


def _object(body: bytes) -> dict[str, Any]:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _seconds(header: str | None) -> float | None:
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
