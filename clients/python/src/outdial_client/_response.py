"""Responses of campaign-trigger, read as results or errors. Does no I/O."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from outdial_client._request import MAX_RESPONSE_BYTES, ResultT, TriggerAction, TriggerEndpoint
from outdial_client.errors import (
    CampaignTriggerError,
    ConflictError,
    ConnectionFailedError,
    ForbiddenError,
    InvalidRequestError,
    InvalidResponseError,
    NotAuthenticatedError,
    NotFoundError,
    RequestTimeoutError,
    ResponseError,
    UnavailableError,
)
from outdial_client.results import CampaignResult, ContactAddition, ContactsResult, ProgressCounts, ScheduleResult

_ERRORS: Final[Mapping[int, type[ResponseError]]] = {
    400: InvalidRequestError,
    401: NotAuthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    429: UnavailableError,
}


@dataclass(frozen=True, slots=True)
class TriggerResponse:
    """A response before parsing. Header names are lowercase; the body is cut above MAX_RESPONSE_BYTES."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def read_result(action: TriggerAction[ResultT], response: TriggerResponse) -> ResultT:
    """Return the result in a response, or raise its error."""
    if not 200 <= response.status < 300:
        raise _error(response)
    if len(response.body) > MAX_RESPONSE_BYTES:
        raise _invalid(response, f"it is longer than {MAX_RESPONSE_BYTES} bytes")
    body = _parse_object(response.body)
    try:
        result = _READERS[action.result](body)
    except (KeyError, TypeError, ValueError) as error:
        raise _invalid(response, f"{type(error).__name__}: {error}") from error
    assert isinstance(result, action.result)
    return result


def connection_failed(to: TriggerEndpoint, error: BaseException) -> CampaignTriggerError:
    """Return the error for a connection that failed or was lost."""
    reason = str(error) or type(error).__name__
    return ConnectionFailedError(f"No response from {to.host}: {reason}", code="NETWORK_ERROR")


def timed_out(to: TriggerEndpoint, timeout_s: float) -> CampaignTriggerError:
    """Return the error for a response that did not arrive in time."""
    return RequestTimeoutError(f"No response from {to.host} within {timeout_s:g} s", code="TIMEOUT")


def _read_campaign(body: Mapping[str, Any]) -> CampaignResult:
    counts = _typed(body["progress"], dict)
    return CampaignResult(
        action=_typed(body["action"], str),
        campaign_id=UUID(body["campaign_id"]),
        status=_typed(body["status"], str),
        changed=_typed(body["changed"], bool),
        progress=ProgressCounts(
            total=_typed(counts["total"], int),
            finished=_typed(counts["finished"], int),
            live_calls=_typed(counts["live_calls"], int),
            contacts=_typed(counts["contacts"], dict),
            calls=_typed(counts["calls"], dict),
            outcomes=_typed(counts["outcomes"], dict),
            attempts=_typed(counts["attempts"], int),
            cost_cents=float(counts["cost_cents"]),
            duration_ms=_typed(counts["duration_ms"], int),
        ),
    )


def _read_schedule(body: Mapping[str, Any]) -> ScheduleResult:
    started = _typed(body["started"], list)
    return ScheduleResult(_typed(body["action"], str), tuple(UUID(campaign_id) for campaign_id in started))


def _read_contacts(body: Mapping[str, Any]) -> ContactsResult:
    return ContactsResult(
        action=_typed(body["action"], str),
        campaign_id=UUID(body["campaign_id"]),
        added=_typed(body["added"], int),
        already_there=_typed(body["already_there"], int),
        refused=_typed(body["refused"], int),
        results=tuple(
            ContactAddition(
                status=_typed(each["status"], str),
                campaign_contact_id=None if each["campaign_contact_id"] is None else UUID(each["campaign_contact_id"]),
                contact_status=each["contact_status"],
                kind=each["kind"],
                reason=each["reason"],
            )
            for each in body["results"]
        ),
    )


_READERS: Final[Mapping[type, Callable[[Mapping[str, Any]], CampaignResult | ContactsResult | ScheduleResult]]] = {
    CampaignResult: _read_campaign,
    ContactsResult: _read_contacts,
    ScheduleResult: _read_schedule,
}


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _error(response: TriggerResponse) -> ResponseError:
    body = _parse_object(response.body)
    texts = [body[name] for name in ("message", "error", "msg") if isinstance(body.get(name), str)]
    message = texts[0] if texts else f"The server responded {response.status} without a reason"
    code = body.get("code") or response.headers.get("sb-error-code") or f"HTTP_{response.status}"
    details = {name: value for name, value in body.items() if name not in {"error", "code", "message", "msg"}}
    retry_after = _seconds(response.headers.get("retry-after"))
    if retry_after is not None:
        details["retry_after"] = retry_after
    kind = _ERRORS.get(response.status, UnavailableError if response.status >= 500 else ResponseError)
    return kind(message, code=str(code), status=response.status, details=details)


def _invalid(response: TriggerResponse, reason: str) -> InvalidResponseError:
    message = f"The response is not from campaign-trigger; check the URL. {reason}"
    return InvalidResponseError(message, code="INVALID_RESPONSE", status=response.status)


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _seconds(header: str | None) -> float | None:
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
