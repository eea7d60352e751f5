"""The request to a pre-dial hook, and its response. A response decides about every call of the request, or counts for
nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from outdial.pre_dial.errors import UnreadableResponse

TIMEOUT_S: Final = 2.0
"""For all of a request, from the look-up of the host to the last byte of the response."""
LONGEST_REASON: Final = 200
DENIED: Final = "no reason given"


@dataclass(frozen=True, slots=True)
class CallToClear:
    """A call that the hook decides about."""

    call_id: UUID
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearanceRequest:
    """The calls of one campaign that the hook decides about; no two of them go to the same phone."""

    organization_id: UUID
    campaign_id: UUID
    purpose: str
    calls: Sequence[CallToClear]
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class CallClearance:
    """What the hook decides about one call. The reason is one printable line."""

    allow: bool
    reason: str


class _Result(Struct):
    phone: str
    allow: bool
    reason: str | None = None


class _Response(Struct):
    results: list[_Result]


_RESPONSE: Final = msgspec.json.Decoder(_Response)


def encode_request(request: ClearanceRequest) -> bytes:
    """Return the body of a request."""
    return msgspec.json.encode(
        {
            "organization_id": request.organization_id,
            "campaign_id": request.campaign_id,
            "purpose": request.purpose,
            "sent_at": request.sent_at,
            "calls": [{"call_id": call.call_id, "phone": call.phone} for call in request.calls],
        }
    )


def read_response(body: bytes, calls: Sequence[CallToClear]) -> Mapping[UUID, CallClearance]:
    """Return the decision about each call. Raises UnreadableResponse, whose message names no phone.

    A phone that is missing, repeated or was not asked about makes the whole response unreadable: a hook that confuses
    phones cannot be trusted about the others.
    """
    try:
        response = _RESPONSE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableResponse(f"the response is not as documented: {_printable(str(error))}") from None
    by_phone = {result.phone: result for result in response.results}
    if len(by_phone) != len(response.results):
        raise UnreadableResponse("the response has two results for one phone")
    missing = sum(call.phone not in by_phone for call in calls)
    if missing:
        raise UnreadableResponse(f"the response has no result for {missing} of {len(calls)} phones")
    if len(by_phone) != len(calls):
        raise UnreadableResponse("the response has results for phones that were not asked about")
    return {call.call_id: _clearance(by_phone[call.phone]) for call in calls}


def _clearance(result: _Result) -> CallClearance:
    reason = _printable(result.reason or "")
    return CallClearance(result.allow, reason or ("" if result.allow else DENIED))


def _printable(text: str) -> str:
    """Return `text` as one line of at most LONGEST_REASON printable characters."""
    line = "".join(character if character.isprintable() else " " for character in text[:LONGEST_REASON])
    return line.strip()
