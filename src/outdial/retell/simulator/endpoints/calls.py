"""Retell's endpoints for calls, batches and concurrency."""

from dataclasses import replace
from typing import Annotated, Any, Final, Literal, assert_never
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from outdial.retell.simulator.clock import epoch_ms
from outdial.retell.simulator.endpoints.exchange import (
    BadBody,
    SimulatedRequest,
    SimulatedResponse,
    UnknownAsset,
    check_numbers,
    cut_page,
    error_response,
    json_response,
    refuse,
)
from outdial.retell.simulator.endpoints.filters import ON_REQUEST, BadFilter, compile_criteria
from outdial.retell.simulator.faults import AFTER, BEFORE, Fault, FaultKind
from outdial.retell.simulator.ledger import LedgerResult
from outdial.retell.simulator.objects import CreateCall, SimulatedCall, describe
from outdial.retell.simulator.workspace import (
    JOIN_MS,
    CallCreated,
    CallTimeWindow,
    LimitReached,
    SimulatedBatch,
    SimulatedWorkspace,
)

MAX_METADATA_BYTES: Final = 50_000
_HTML: Final = b"<!doctype html><title>Welcome</title><p>This is not the page you are looking for.</p>"
# From the least to the most private; a call's setting may only become stricter.
_STORAGE: Final = ("everything", "everything_except_pii", "basic_attributes_only")

StorageSetting = Literal["everything", "everything_except_pii", "basic_attributes_only"]


class _ListCalls(Struct, kw_only=True, forbid_unknown_fields=True):
    filter_criteria: dict[str, Any] = {}
    sort_order: Literal["ascending", "descending"] = "descending"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    skip: Annotated[int, Meta(ge=0)] | None = None
    pagination_key: str | None = None
    include_total: bool = False


class _AgentCall(Struct, kw_only=True):
    """The body of create-web-call and register-phone-call."""

    agent_id: str
    agent_version: int | str | None = None
    direction: Literal["inbound", "outbound"] = "outbound"
    from_number: str | None = None
    to_number: str | None = None
    metadata: Any = None
    retell_llm_dynamic_variables: dict[str, str] | None = None


class _UpdateCall(Struct, kw_only=True):
    metadata: Any = None
    data_storage_setting: StorageSetting | None = None
    custom_attributes: dict[str, str | float | bool] | None = None


class _Override(Struct, kw_only=True, frozen=True):
    metadata: Any = None
    data_storage_setting: StorageSetting | None = None
    override_dynamic_variables: dict[str, str] | None = None


class _UpdateLiveCall(Struct, kw_only=True):
    fields_to_override: _Override = _Override()
    call_control: dict[str, Any] | None = None


class _CreateBatch(Struct, kw_only=True):
    from_number: str
    tasks: Annotated[list[CreateCall], Meta(min_length=1)]
    name: str | None = None
    trigger_timestamp: float | None = None
    reserved_concurrency: Annotated[int, Meta(ge=0)] = 0
    call_time_window: CallTimeWindow | None = None


def create_phone_call(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /v2/create-phone-call."""
    body = request.read(CreateCall)
    note = request.note
    note.create = body
    check_numbers(body.from_number, *([] if body.ignore_e164_validation else [body.to_number]))
    magic = workspace.magic(body.to_number)
    strikes = magic.strikes if magic else None
    if magic is not None and magic.refuses is not None:
        return refuse(request, magic.refuses, "magic")
    if strikes in BEFORE and body.to_number not in workspace.struck_numbers:
        workspace.struck_numbers.add(body.to_number)
        return fail_before(request, Fault(kind=strikes, status=500))
    is_new = workspace.replay(body.idempotency_key, request.arrived) is None
    if is_new and body.honor_internal_dnc and workspace.contacts.is_opted_out(body.to_number):
        return refuse(request, 400, "do_not_call", "The contact of to_number is marked do_not_call.")
    match workspace.create_call(request.now, body, request.arrived):
        case LimitReached() as refusal:
            return refuse(request, 429, refusal.value)
        case CallCreated(call=call, new=new):
            note.result = LedgerResult.accepted if new else LedgerResult.replayed
            note.call_id = call.call_id
            response = json_response(201, describe(call))
            return fail_after(request, response, strikes) if new and strikes in AFTER else response
        case _ as never:
            assert_never(never)


def create_web_call(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /v3/create-web-call, and /v2/create-web-call of older clients, which returns the call.

    No one joins a simulated web call: it ends with error_user_not_joined.
    """
    body = request.read(_AgentCall)
    call = _register(workspace, request, _call_of(body, from_number="", to_number=""), kind="web_call")
    if isinstance(call, LimitReached):
        return refuse(request, 429, call.value)
    described = describe(call)
    if request.path.startswith("/v2/"):
        return json_response(201, described)
    joining = {
        "call_id": call.call_id,
        "access_token": described.access_token,
        "expires_at": call.created_ms + JOIN_MS,
        "ice_servers": [{"urls": "stun:simulator.invalid:3478"}],
        "transport": "gateway",
    }
    return json_response(201, joining)


def register_phone_call(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /v2/register-phone-call.

    No one dials a registered call: it ends with registered_call_timeout, unless its number has a script or is magic.
    """
    body = request.read(_AgentCall)
    call = _call_of(body, from_number=body.from_number or "", to_number=body.to_number or "")
    registered = _register(workspace, request, call, kind="registered_call", direction=body.direction)
    if isinstance(registered, LimitReached):
        return refuse(request, 429, registered.value)
    return json_response(201, describe(registered))


def create_batch_call(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /create-batch-call. Its calls start from `trigger_timestamp` on, as fast as the limits allow."""
    document = request.read(dict[str, Any])
    # The caller number is given once, for all calls.
    try:
        tasks = [{**task, "from_number": document.get("from_number")} for task in document.get("tasks", ())]
        body = msgspec.convert({**document, "tasks": tasks}, _CreateBatch)
    except (msgspec.MsgspecError, TypeError) as error:
        raise BadBody(str(error)) from None
    check_numbers(body.from_number, *(task.to_number for task in body.tasks if not task.ignore_e164_validation))
    window = body.call_time_window
    if window is not None:
        try:
            ZoneInfo(window.timezone)
        except (KeyError, OSError, ValueError):
            raise BadBody(f"unknown time zone {window.timezone!r}") from None
        if not window.windows or any(not 0 <= each.start < each.end <= 1440 for each in window.windows):
            raise BadBody("each window needs a start before its end, in minutes of the day")
    if any(task.idempotency_key for task in body.tasks):
        raise BadBody("tasks of a batch take no idempotency_key")
    now_ms = epoch_ms(request.now)
    batch = SimulatedBatch(tasks=body.tasks, reserved=body.reserved_concurrency, window=window)
    starts_ms = max(now_ms, int(body.trigger_timestamp or now_ms))
    workspace.add_batch(batch, starts_ms)
    request.note.result = LedgerResult.accepted
    created: dict[str, Any] = {
        "batch_call_id": batch.batch_call_id,
        "name": body.name or batch.batch_call_id,
        "from_number": body.from_number,
        "scheduled_timestamp": starts_ms,
        "total_task_count": len(body.tasks),
    }
    if window is not None:
        created["call_time_window"] = window
    return json_response(201, created)


def get_call(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """GET /v2/get-call/{id}."""
    call = _call(workspace, request)
    if not call.live:
        workspace.bills.sent(call.call_id, epoch_ms(request.arrived))
    return json_response(200, describe(call))


def stop_call(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /v2/stop-call/{id}."""
    if not workspace.stop_call(request.now, request.object_id):
        raise UnknownAsset
    request.note.call_id = request.object_id
    return SimulatedResponse(204, b"")


def update_call(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """PATCH /v2/update-call/{id}. Attributes of an organization do not exist here, so they are ignored."""
    body, call = request.read(_UpdateCall), _call(workspace, request)
    _change(call, body.metadata, body.data_storage_setting)
    return json_response(200, describe(call))


def update_live_call(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """PATCH /v2/update-live-call/{id}, of a call that is connected."""
    body, call = request.read(_UpdateLiveCall), _call(workspace, request)
    if call.status != "ongoing":
        raise UnknownAsset
    override = body.fields_to_override
    _change(call, override.metadata, override.data_storage_setting)
    if override.override_dynamic_variables is not None:
        call.override_variables = override.override_dynamic_variables
    return json_response(200, {"success": True})


def delete_call(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """DELETE /v2/delete-call/{id}. It deletes the stored call and does not hang up."""
    del workspace.calls[_call(workspace, request).call_id]
    return SimulatedResponse(204, b"")


def rerun_analysis(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """PUT /rerun-call-analysis/{id}. It analyzes a finished call again, and sends its event again."""
    call = _call(workspace, request)
    if call.live:
        raise UnknownAsset
    workspace.analyze_again(call, request.now)
    return json_response(200, describe(call))


def list_calls(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /v3/list-calls."""
    body = request.read(_ListCalls, default=b"{}")
    try:
        # Filter on the request body first: describing every call takes ten times as long.
        fits_request, fits = (
            compile_criteria(
                {name: value for name, value in body.filter_criteria.items() if (name in ON_REQUEST) is on_request}
            )
            for on_request in (True, False)
        )
    except BadFilter as error:
        raise BadBody(str(error)) from None
    if body.skip is not None and body.pagination_key is not None:
        raise BadBody("skip and pagination_key exclude each other")
    calls = (describe(call, with_transcript=False) for call in workspace.calls.values() if fits_request(call.request))
    found = [call for call in calls if fits(call)]
    if body.sort_order == "descending":
        found.reverse()
    page = cut_page(found, lambda call: call.call_id, limit=body.limit, after=body.pagination_key, skip=body.skip or 0)
    if body.include_total:
        page["total"] = len(found)
    return json_response(200, page)


def get_concurrency(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """GET /get-concurrency."""
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
    return json_response(200, body)


def get_key_info(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """GET /get-api-key-info."""
    return json_response(200, {"org_id": "org_simulator", "org_name": "Simulator", "api_key_name": "simulator"})


def fail_before(request: SimulatedRequest, fault: Fault) -> SimulatedResponse:
    """Return the response of a fault that occurs before anything is created."""
    response = refuse(request, fault.status, "fault")
    if fault.kind is FaultKind.drop_request:
        return replace(response, lost="drop")
    return replace(response, retry_after_s=fault.retry_after_s)


def fail_after(request: SimulatedRequest, response: SimulatedResponse, kind: FaultKind | None) -> SimulatedResponse:
    """Return the response as changed by a fault that occurs after the request has had its effect."""
    request.note.reason = kind
    match kind:
        case FaultKind.drop_reply:
            return replace(response, lost="drop")
        case FaultKind.hang_reply:
            return replace(response, lost="hang")
        case FaultKind.garble_reply:
            return SimulatedResponse(response.status, _HTML, content_type="text/html")
        case _:
            return error_response(500)


def _call(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedCall:
    call = workspace.calls.get(request.object_id)
    if call is None:
        raise UnknownAsset
    request.note.call_id = call.call_id
    return call


def _call_of(body: _AgentCall, *, from_number: str, to_number: str) -> CreateCall:
    return CreateCall(
        from_number=from_number,
        to_number=to_number,
        override_agent_id=body.agent_id,
        override_agent_version=body.agent_version,
        metadata=body.metadata,
        retell_llm_dynamic_variables=body.retell_llm_dynamic_variables,
    )


def _register(
    workspace: SimulatedWorkspace,
    request: SimulatedRequest,
    body: CreateCall,
    *,
    kind: Literal["web_call", "registered_call"],
    direction: str = "outbound",
) -> SimulatedCall | LimitReached:
    request.note.create = body
    call = workspace.register_call(request.now, body, kind=kind, direction=direction)
    if isinstance(call, SimulatedCall):
        request.note.result = LedgerResult.accepted
        request.note.call_id = call.call_id
    return call


def _change(call: SimulatedCall, metadata: Any, storage: StorageSetting | None) -> None:
    """Change a call, or raise BadBody and change nothing."""
    if metadata is not None and len(msgspec.json.encode(metadata)) > MAX_METADATA_BYTES:
        raise BadBody("metadata may have at most 50 kB")
    if storage is not None:
        if _STORAGE.index(storage) < _STORAGE.index(call.data_storage_setting):
            raise BadBody("data_storage_setting can only become stricter")
        call.data_storage_setting = storage
    if metadata is not None:
        call.request.metadata = metadata
