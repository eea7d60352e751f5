"""Retell's API over a World: one request in, one answer out, no I/O."""

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
from outdial.retell.simulator.ledger import Result
from outdial.retell.simulator.objects import CallObject, CreateCall, describe
from outdial.retell.simulator.world import Made, Refusal, World

MAX_BODY_BYTES: Final = 1024 * 1024

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
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_HTML = b"<!doctype html><title>Welcome</title><p>This is not the page you are looking for.</p>"


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the API; `arrived` is the caller's time, `now` the simulated one."""

    method: str
    path: str
    body: bytes
    authorization: str | None
    now: datetime
    arrived: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; when `lost` is set it must be kept from the caller: connection dropped, or nothing sent."""

    status: int
    body: bytes
    retry_after_s: float | None = None
    content_type: str = "application/json"
    lost: Literal["drop", "hang"] | None = None


class _Noted(Struct):
    """What the ledger is told about a request besides its answer."""

    result: Result = Result.answered
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


def answer(world: World, request: Request) -> Answer:
    """Answer one request as Retell would, with the faults in force, and write it into the ledger."""
    route = _route(request.path)
    if route is None:
        return refuse(404)
    method, operation, handler = route
    if request.method != method:
        return refuse(405)
    given, noted = _answer_route(world, request, operation, handler)
    created = noted.create
    world.ledger.write(
        operation,
        noted.result,
        at_ms=epoch_ms(request.now),
        arrived_ms=epoch_ms(request.arrived),
        status=given.status,
        reason=noted.reason,
        lost=given.lost,
        call_id=noted.call_id,
        to_number=created.to_number if created else None,
        from_number=created.from_number if created else None,
        idempotency_key=created.idempotency_key if created else None,
        metadata=created.metadata if created else None,
    )
    return given


_Handler = Callable[[World, Request, _Noted], Answer]


def _route(path: str) -> tuple[str, str, _Handler] | None:
    exact = _EXACT.get(path)
    if exact is not None:
        return exact
    head, _, call_id = path.rpartition("/")
    return _WITH_ID.get(head) if call_id else None


def _answer_route(world: World, request: Request, operation: str, handler: _Handler) -> tuple[Answer, _Noted]:
    noted = _Noted()
    if not _authorized(world, request.authorization):
        return _refused(noted, 401, "key"), noted
    fault = world.faults.on_request(operation, BEFORE)
    if fault is not None:
        return _struck_before(noted, fault), noted
    given = handler(world, request, noted)
    if given.status >= 300 or given.lost is not None:
        return given, noted
    fault = world.faults.on_request(operation, AFTER)
    return (given if fault is None else _struck_after(noted, given, fault.kind)), noted


def _authorized(world: World, authorization: str | None) -> bool:
    return authorization is not None and authorization.removeprefix("Bearer ") in world.config.api_keys


def _create(world: World, request: Request, noted: _Noted) -> Answer:
    try:
        asked = _create_decoder.decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _refused(noted, 400, "invalid", str(error))
    noted.create = asked
    if not _dialable(asked):
        return _refused(noted, 400, "invalid", "from_number and to_number must be in E.164 format")
    magic = world.magic(asked.to_number)
    strikes = magic.strikes if magic else None
    if magic is not None and magic.refuses is not None:
        return _refused(noted, magic.refuses, "magic")
    if strikes in BEFORE and asked.to_number not in world.struck_numbers:
        world.struck_numbers.add(asked.to_number)
        return _struck_before(noted, Fault(kind=strikes, status=500))
    match world.create_call(request.now, asked, request.arrived):
        case Refusal() as refusal:
            return _refused(noted, 429, refusal.value)
        case Made(call=call, new=new):
            noted.result, noted.call_id = Result.accepted if new else Result.replayed, call.call_id
            given = Answer(201, _encoder.encode(describe(call)))
            return _struck_after(noted, given, strikes) if new and strikes in AFTER else given
        case _ as never:
            assert_never(never)


def _dialable(asked: CreateCall) -> bool:
    valid_target = asked.ignore_e164_validation or _E164.fullmatch(asked.to_number) is not None
    return valid_target and _E164.fullmatch(asked.from_number) is not None


def _get(world: World, request: Request, noted: _Noted) -> Answer:
    call = world.calls.get(request.path.rpartition("/")[2])
    if call is None:
        return _refused(noted, 422, "unknown")
    noted.call_id = call.call_id
    return Answer(200, _encoder.encode(describe(call)))


def _stop(world: World, request: Request, noted: _Noted) -> Answer:
    call_id = request.path.rpartition("/")[2]
    if not world.stop_call(request.now, call_id):
        return _refused(noted, 422, "unknown")
    noted.call_id = call_id
    return Answer(204, b"")


def _list(world: World, request: Request, noted: _Noted) -> Answer:
    try:
        asked = _list_decoder.decode(request.body or b"{}")
        # What the caller has put into a call is looked at first: describing every call takes ten times as long.
        fits_request, fits = (
            compile_criteria({name: value for name, value in asked.filter_criteria.items() if (name in KEYED) is keyed})
            for keyed in (True, False)
        )
    except (msgspec.MsgspecError, BadFilter, UnicodeDecodeError, RecursionError) as error:
        return _refused(noted, 400, "invalid", str(error))
    if asked.skip is not None and asked.pagination_key is not None:
        return _refused(noted, 400, "invalid", "skip and pagination_key exclude each other")
    calls = (describe(call, with_transcript=False) for call in world.calls.values() if fits_request(call.request))
    found = [call for call in calls if fits(call)]
    if asked.sort_order == "descending":
        found.reverse()
    page = _page(found, asked)
    return Answer(200, _encoder.encode(page))


def _page(found: list[CallObject], asked: _ListCalls) -> dict[str, Any]:
    """Cut one page out of all that was found, in the order of creation."""
    first = asked.skip or 0
    if asked.pagination_key is not None:
        places = [place for place, call in enumerate(found) if call.call_id == asked.pagination_key]
        first = places[0] + 1 if places else len(found)
    items = found[first : first + asked.limit]
    has_more = first + asked.limit < len(found)
    page: dict[str, Any] = {"items": items, "has_more": has_more}
    if has_more:
        page["pagination_key"] = items[-1].call_id
    if asked.include_total:
        page["total"] = len(found)
    return page


def _concurrency(world: World, request: Request, noted: _Noted) -> Answer:
    limit = world.config.concurrency_limit
    body = {
        "current_concurrency": world.live,
        "concurrency_limit": limit,
        "base_concurrency": min(limit, 20),
        "purchased_concurrency": max(0, limit - 20),
        "concurrency_purchase_limit": 100,
        "remaining_purchase_limit": max(0, 120 - max(20, limit)),
        "concurrency_burst_enabled": False,
        "concurrency_burst_limit": 0,
        "reserved_inbound_concurrency": 0,
    }
    return Answer(200, _encoder.encode(body))


def _key_info(world: World, request: Request, noted: _Noted) -> Answer:
    body = {"org_id": "org_simulator", "org_name": "Simulator", "api_key_name": "simulator"}
    return Answer(200, _encoder.encode(body))


def _struck_before(noted: _Noted, fault: Fault) -> Answer:
    given = _refused(noted, fault.status, "fault")
    if fault.kind is FaultKind.drop_request:
        return replace(given, lost="drop")
    return replace(given, retry_after_s=fault.retry_after_s)


def _struck_after(noted: _Noted, given: Answer, kind: FaultKind | None) -> Answer:
    noted.reason = kind
    match kind:
        case FaultKind.drop_reply:
            return replace(given, lost="drop")
        case FaultKind.hang_reply:
            return replace(given, lost="hang")
        case FaultKind.garble_reply:
            return Answer(given.status, _HTML, content_type="text/html")
        case _:
            return refuse(500)


def _refused(noted: _Noted, status: int, reason: str, detail: str | None = None) -> Answer:
    noted.result, noted.reason = Result.refused, reason
    return refuse(status, detail)


def refuse(status: int, detail: str | None = None) -> Answer:
    """Return Retell's error body for this status, with what exactly was wrong if it is known."""
    message = _MESSAGES.get(status, "An unexpected server error occurred.")
    text = f"{message} {detail}" if detail else message
    return Answer(status, _encoder.encode({"status": "error", "message": text}))


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
