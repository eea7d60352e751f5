"""Retell's API over a simulated workspace. Does no I/O."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal, assert_never

import msgspec
from msgspec import Meta, Struct

from outdial.retell.simulator.clock import epoch_ms
from outdial.retell.simulator.faults import AFTER, BEFORE, Fault, FaultKind
from outdial.retell.simulator.filters import KEYED, BadFilter, compile_criteria
from outdial.retell.simulator.ledger import LedgerResult
from outdial.retell.simulator.objects import CreateCall, describe
from outdial.retell.simulator.workspace import CallCreated, LimitReached, SimulatedWorkspace

MAX_BODY_BYTES: Final = 1024 * 1024

_MESSAGES: Final = {
    400: "Invalid request format, please check API reference.",
    401: "API key is missing or invalid.",
    402: "Trial has ended, please add payment method.",
    403: "This API key has no permission for this request.",
    404: "The requested resource was not found.",
    405: "Method not allowed.",
    413: "The request is too large.",
    422: "Cannot find requested asset under response api key.",
    429: "Account rate limited, please throttle your requests.",
}
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_HTML = b"<!doctype html><title>Welcome</title><p>This is not the page you are looking for.</p>"


@dataclass(frozen=True, slots=True)
class SimulatedRequest:
    """A request to the API. `arrived` is real time, `now` is simulated time."""

    method: str
    path: str
    body: bytes
    authorization: str | None
    now: datetime
    arrived: datetime


@dataclass(frozen=True, slots=True)
class SimulatedResponse:
    """A response. If `lost` is set, the caller must not receive it: drop the connection, or send nothing."""

    status: int
    body: bytes
    retry_after_s: float | None = None
    content_type: str = "application/json"
    lost: Literal["drop", "hang"] | None = None


class _LedgerNote(Struct):
    """What the ledger records about a request besides its response."""

    result: LedgerResult = LedgerResult.answered
    reason: str | None = None
    call_id: str | None = None
    create: CreateCall | None = None


class _ListCalls(Struct, kw_only=True, forbid_unknown_fields=True):
    filter_criteria: dict[str, Any] = {}
    sort_order: Literal["ascending", "descending"] = "descending"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    skip: Annotated[int, Meta(ge=0)] | None = None
    pagination_key: str | None = None
    include_total: bool = False


_create_decoder = msgspec.json.Decoder(CreateCall)
_list_decoder = msgspec.json.Decoder(_ListCalls)
_encoder = msgspec.json.Encoder()


def handle(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """Handle one request like Retell, apply active faults, and write it to the ledger."""
    route = _EXACT.get(request.path)
    if route is None:
        head, _, object_id = request.path.rpartition("/")
        route = _WITH_ID.get(head) if object_id else None
    if route is None:
        return error_response(404)
    method, operation, handler = route
    if request.method != method:
        return error_response(405)
    response, note = _handle_route(workspace, request, operation, handler)
    created = note.create
    workspace.ledger.write(
        operation,
        note.result,
        at_ms=epoch_ms(request.now),
        arrived_ms=epoch_ms(request.arrived),
        status=response.status,
        reason=note.reason,
        lost=response.lost,
        call_id=note.call_id,
        to_number=created.to_number if created else None,
        from_number=created.from_number if created else None,
        idempotency_key=created.idempotency_key if created else None,
        metadata=created.metadata if created else None,
    )
    return response


_Handler = Callable[[SimulatedWorkspace, SimulatedRequest, _LedgerNote], SimulatedResponse]


def _handle_route(
    workspace: SimulatedWorkspace, request: SimulatedRequest, operation: str, handler: _Handler
) -> tuple[SimulatedResponse, _LedgerNote]:
    note = _LedgerNote()
    if request.authorization is None or request.authorization.removeprefix("Bearer ") not in workspace.config.api_keys:
        return _refuse(note, 401, "key"), note
    fault = workspace.faults.on_request(operation, BEFORE)
    if fault is not None:
        return _fail_before(note, fault), note
    response = handler(workspace, request, note)
    if response.status >= 300 or response.lost is not None:
        return response, note
    fault = workspace.faults.on_request(operation, AFTER)
    return (response if fault is None else _fail_after(note, response, fault.kind)), note


def _create(workspace: SimulatedWorkspace, request: SimulatedRequest, note: _LedgerNote) -> SimulatedResponse:
    try:
        request_body = _create_decoder.decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _refuse(note, 400, "invalid", str(error))
    note.create = request_body
    checked = [request_body.from_number]
    if not request_body.ignore_e164_validation:
        checked.append(request_body.to_number)
    if not all(_E164.fullmatch(number) for number in checked):
        return _refuse(note, 400, "invalid", "from_number and to_number must be in E.164 format")
    magic = workspace.magic(request_body.to_number)
    strikes = magic.strikes if magic else None
    if magic is not None and magic.refuses is not None:
        return _refuse(note, magic.refuses, "magic")
    if strikes in BEFORE and request_body.to_number not in workspace.struck_numbers:
        workspace.struck_numbers.add(request_body.to_number)
        return _fail_before(note, Fault(kind=strikes, status=500))
    match workspace.create_call(request.now, request_body, request.arrived):
        case LimitReached() as refusal:
            return _refuse(note, 429, refusal.value)
        case CallCreated(call=call, new=new):
            note.result, note.call_id = LedgerResult.accepted if new else LedgerResult.replayed, call.call_id
            response = SimulatedResponse(201, _encoder.encode(describe(call)))
            return _fail_after(note, response, strikes) if new and strikes in AFTER else response
        case _ as never:
            assert_never(never)


def _get(workspace: SimulatedWorkspace, request: SimulatedRequest, note: _LedgerNote) -> SimulatedResponse:
    call = workspace.calls.get(request.path.rpartition("/")[2])
    if call is None:
        return _refuse(note, 422, "unknown")
    note.call_id = call.call_id
    return SimulatedResponse(200, _encoder.encode(describe(call)))


def _stop(workspace: SimulatedWorkspace, request: SimulatedRequest, note: _LedgerNote) -> SimulatedResponse:
    call_id = request.path.rpartition("/")[2]
    if not workspace.stop_call(request.now, call_id):
        return _refuse(note, 422, "unknown")
    note.call_id = call_id
    return SimulatedResponse(204, b"")


def _list(workspace: SimulatedWorkspace, request: SimulatedRequest, note: _LedgerNote) -> SimulatedResponse:
    try:
        request_body = _list_decoder.decode(request.body or b"{}")
        # Filter on the request body first: describing every call takes ten times as long.
        fits_request, fits = (
            compile_criteria(
                {name: value for name, value in request_body.filter_criteria.items() if (name in KEYED) is keyed}
            )
            for keyed in (True, False)
        )
    except (msgspec.MsgspecError, BadFilter, UnicodeDecodeError, RecursionError) as error:
        return _refuse(note, 400, "invalid", str(error))
    if request_body.skip is not None and request_body.pagination_key is not None:
        return _refuse(note, 400, "invalid", "skip and pagination_key exclude each other")
    calls = (describe(call, with_transcript=False) for call in workspace.calls.values() if fits_request(call.request))
    found = [call for call in calls if fits(call)]
    if request_body.sort_order == "descending":
        found.reverse()
    first = request_body.skip or 0
    if request_body.pagination_key is not None:
        places = [place for place, call in enumerate(found) if call.call_id == request_body.pagination_key]
        first = places[0] + 1 if places else len(found)
    items = found[first : first + request_body.limit]
    has_more = first + request_body.limit < len(found)
    page: dict[str, Any] = {"items": items, "has_more": has_more}
    if has_more:
        page["pagination_key"] = items[-1].call_id
    if request_body.include_total:
        page["total"] = len(found)
    return SimulatedResponse(200, _encoder.encode(page))


def _concurrency(workspace: SimulatedWorkspace, request: SimulatedRequest, note: _LedgerNote) -> SimulatedResponse:
    limit = workspace.config.concurrency_limit
    body = {
        "current_concurrency": workspace.live,
        "concurrency_limit": limit,
        "base_concurrency": min(limit, 20),
        "purchased_concurrency": max(0, limit - 20),
        "concurrency_purchase_limit": 100,
        "remaining_purchase_limit": max(0, 120 - max(20, limit)),
        "concurrency_burst_enabled": False,
        "concurrency_burst_limit": 0,
        "reserved_inbound_concurrency": 0,
    }
    return SimulatedResponse(200, _encoder.encode(body))


def _key_info(workspace: SimulatedWorkspace, request: SimulatedRequest, note: _LedgerNote) -> SimulatedResponse:
    body = {"org_id": "org_simulator", "org_name": "Simulator", "api_key_name": "simulator"}
    return SimulatedResponse(200, _encoder.encode(body))


def _fail_before(note: _LedgerNote, fault: Fault) -> SimulatedResponse:
    response = _refuse(note, fault.status, "fault")
    if fault.kind is FaultKind.drop_request:
        return replace(response, lost="drop")
    return replace(response, retry_after_s=fault.retry_after_s)


def _fail_after(note: _LedgerNote, response: SimulatedResponse, kind: FaultKind | None) -> SimulatedResponse:
    note.reason = kind
    match kind:
        case FaultKind.drop_reply:
            return replace(response, lost="drop")
        case FaultKind.hang_reply:
            return replace(response, lost="hang")
        case FaultKind.garble_reply:
            return SimulatedResponse(response.status, _HTML, content_type="text/html")
        case _:
            return error_response(500)


def _refuse(note: _LedgerNote, status: int, reason: str, detail: str | None = None) -> SimulatedResponse:
    note.result, note.reason = LedgerResult.refused, reason
    return error_response(status, detail)


def error_response(status: int, detail: str | None = None) -> SimulatedResponse:
    """Return Retell's error response for this status, with the exact cause if known."""
    message = _MESSAGES.get(status, "An unexpected server error occurred.")
    text = f"{message} {detail}" if detail else message
    return SimulatedResponse(status, _encoder.encode({"status": "error", "message": text}))


_EXACT: Final[dict[str, tuple[str, str, _Handler]]] = {
    "/v2/create-phone-call": ("POST", "create-phone-call", _create),
    "/v3/list-calls": ("POST", "list-calls", _list),
    "/get-concurrency": ("GET", "get-concurrency", _concurrency),
    "/get-api-key-info": ("GET", "get-api-key-info", _key_info),
}
_WITH_ID: Final[dict[str, tuple[str, str, _Handler]]] = {
    "/v2/get-call": ("GET", "get-call", _get),
    "/v2/stop-call": ("POST", "stop-call", _stop),
}
