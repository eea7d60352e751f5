"""Requests and responses of the simulated API, and what its handlers share."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import parse_qsl, unquote

import msgspec
from msgspec import Struct

from outdial.retell.simulator.ledger import LedgerResult
from outdial.retell.simulator.objects import CreateCall

if TYPE_CHECKING:
    from outdial.retell.simulator.workspace import SimulatedWorkspace

T = TypeVar("T")
_MESSAGES: Final = {
    400: "Invalid request format, please check API reference.",
    401: "API key is missing or invalid.",
    402: "Trial has ended, please add payment method.",
    403: "This API key has no permission for this request.",
    404: "The requested resource was not found.",
    405: "Method not allowed.",
    413: "The request is too large.",
    422: "Cannot find requested asset under given api key.",
    429: "Account rate limited, please throttle your requests.",
}
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_DEFAULT_PAGE: Final = 50
_LARGEST_PAGE: Final = 1000


class LedgerNote(Struct):
    """What the ledger records about a request besides its response."""

    result: LedgerResult = LedgerResult.answered
    reason: str | None = None
    call_id: str | None = None
    create: CreateCall | None = None


@dataclass(frozen=True, slots=True)
class SimulatedRequest:
    """A request to the API. `arrived` is real time, `now` is simulated time; `query` is percent-encoded."""

    method: str
    path: str
    body: bytes
    authorization: str | None
    now: datetime
    arrived: datetime
    query: str = ""
    note: LedgerNote = field(default_factory=LedgerNote)

    @property
    def object_id(self) -> str:
        """The last segment of the path."""
        return unquote(self.path.rpartition("/")[2])

    def parameter(self, name: str) -> str | None:
        """Return a parameter of the query, or None."""
        return dict(parse_qsl(self.query)).get(name)

    def read(self, kind: type[T], *, default: bytes = b"") -> T:
        """Decode the body; `default` stands for an empty one. Raise BadBody when it is not a `kind`."""
        try:
            return msgspec.json.decode(self.body or default, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadBody(str(error)) from None


@dataclass(frozen=True, slots=True)
class SimulatedResponse:
    """A response. If `lost` is set, the caller must not receive it: drop the connection, or send nothing."""

    status: int
    body: bytes
    retry_after_s: float | None = None
    content_type: str = "application/json"
    lost: Literal["drop", "hang"] | None = None


class BadBody(Exception):
    """A request that Retell rejects with 400, and why."""


class UnknownAsset(Exception):
    """A request for a call, an agent or a number that does not exist: Retell responds 422."""


Handler = Callable[["SimulatedWorkspace", SimulatedRequest], SimulatedResponse]


def json_response(status: int, value: object) -> SimulatedResponse:
    """Return `value` as JSON."""
    return SimulatedResponse(status, msgspec.json.encode(value))


def refuse(request: SimulatedRequest, status: int, reason: str, detail: str | None = None) -> SimulatedResponse:
    """Return Retell's error response, and note in the ledger that the request changed nothing."""
    request.note.result = LedgerResult.refused
    request.note.reason = reason
    return error_response(status, detail)


def error_response(status: int, detail: str | None = None) -> SimulatedResponse:
    """Return Retell's error response for this status, with the exact cause if known."""
    message = _MESSAGES.get(status, "An unexpected server error occurred.")
    text = f"{message} {detail}" if detail else message
    return json_response(status, {"status": "error", "message": text})


def check_numbers(*numbers: str) -> None:
    """Raise BadBody unless all `numbers` are in E.164 format."""
    if not all(_E164.fullmatch(number) for number in numbers):
        raise BadBody("from_number and to_number must be in E.164 format")


def page_of(found: list[dict[str, Any]], key: str, request: SimulatedRequest) -> dict[str, Any]:
    """Return the page of `found` that the query selects, the newest first by default.

    `found` is in the order of creation; `key` is the field that identifies an object.
    """
    limit = request.parameter("limit") or str(_DEFAULT_PAGE)
    if not limit.isdecimal() or not 1 <= int(limit) <= _LARGEST_PAGE:
        raise BadBody(f"limit must be from 1 to {_LARGEST_PAGE}")
    if request.parameter("sort_order") != "ascending":
        found = found[::-1]
    return cut_page(found, lambda item: item[key], limit=int(limit), after=request.parameter("pagination_key"))


def cut_page(
    found: list[T], key_of: Callable[[T], object], *, limit: int, after: str | None, skip: int = 0
) -> dict[str, Any]:
    """Return the page of `found` that follows the object with the key `after`, or the first `skip` objects."""
    first = skip
    if after is not None:
        first = next((place for place, item in enumerate(found, start=1) if key_of(item) == after), len(found))
    items = found[first : first + limit]
    page: dict[str, Any] = {"items": items, "has_more": first + limit < len(found)}
    if page["has_more"]:
        page["pagination_key"] = key_of(items[-1])
    return page
