"""Retell's API over a simulated workspace: routes, keys, faults and the ledger. Does no I/O."""

from typing import Final

from outdial.retell.simulator.clock import epoch_ms
from outdial.retell.simulator.endpoints import agents, call_sound, calls, contacts
from outdial.retell.simulator.endpoints import phone_numbers as numbers
from outdial.retell.simulator.endpoints.exchange import (
    BadBody,
    Handler,
    SimulatedRequest,
    SimulatedResponse,
    UnknownAsset,
    error_response,
    refuse,
)
from outdial.retell.simulator.faults import AFTER, BEFORE
from outdial.retell.simulator.workspace import SimulatedWorkspace

MAX_BODY_BYTES: Final = 1024 * 1024

# Method, the operation's name in faults and the ledger, and the handler.
_Route = tuple[str, str, Handler]
_EXACT: Final[dict[str, _Route]] = {
    "/v2/create-phone-call": ("POST", "create-phone-call", calls.create_phone_call),
    "/v2/register-phone-call": ("POST", "register-phone-call", calls.register_phone_call),
    "/v3/create-web-call": ("POST", "create-web-call", calls.create_web_call),
    "/v2/create-web-call": ("POST", "create-web-call", calls.create_web_call),
    "/create-batch-call": ("POST", "create-batch-call", calls.create_batch_call),
    "/v3/list-calls": ("POST", "list-calls", calls.list_calls),
    "/get-concurrency": ("GET", "get-concurrency", calls.get_concurrency),
    "/get-api-key-info": ("GET", "get-api-key-info", calls.get_key_info),
    "/create-agent": ("POST", "create-agent", agents.create_agent),
    "/v2/list-agents": ("POST", "list-agents", agents.list_agents),
    "/list-agents": ("GET", "list-agents", agents.list_all_agents),
    "/create-contact": ("POST", "create-contact", contacts.create_contact),
    "/list-contacts": ("POST", "list-contacts", contacts.list_contacts),
    "/create-phone-number": ("POST", "create-phone-number", numbers.create_number),
    "/import-phone-number": ("POST", "import-phone-number", numbers.import_number),
    "/v2/list-phone-numbers": ("GET", "list-phone-numbers", numbers.list_numbers),
    "/list-phone-numbers": ("GET", "list-phone-numbers", numbers.list_all_numbers),
}
_WITH_ID: Final[dict[str, _Route]] = {
    "/v2/get-call": ("GET", "get-call", calls.get_call),
    "/v2/stop-call": ("POST", "stop-call", calls.stop_call),
    "/v2/update-call": ("PATCH", "update-call", calls.update_call),
    "/v2/update-live-call": ("PATCH", "update-live-call", calls.update_live_call),
    "/v2/listen-live-call": ("POST", "listen-live-call", call_sound.listen_live),
    "/v2/take-over-live-call": ("POST", "take-over-live-call", call_sound.take_over_live),
    "/v2/delete-call": ("DELETE", "delete-call", calls.delete_call),
    "/rerun-call-analysis": ("PUT", "rerun-call-analysis", calls.rerun_analysis),
    "/get-agent": ("GET", "get-agent", agents.get_agent),
    "/update-agent": ("PATCH", "update-agent", agents.update_agent),
    "/get-retell-llm": ("GET", "get-retell-llm", agents.get_prompt),
    "/update-retell-llm": ("PATCH", "update-retell-llm", agents.update_prompt),
    "/delete-agent": ("DELETE", "delete-agent", agents.delete_agent),
    "/list-agent-versions": ("GET", "list-agent-versions", agents.list_versions),
    "/create-agent-version": ("POST", "create-agent-version", agents.create_version),
    "/publish-agent-version": ("POST", "publish-agent-version", agents.publish_version),
    "/delete-agent-version": ("DELETE", "delete-agent-version", agents.delete_version),
    "/get-contact": ("GET", "get-contact", contacts.get_contact),
    "/get-contact-by-phone": ("GET", "get-contact-by-phone", contacts.get_contact_by_phone),
    "/update-contact": ("PATCH", "update-contact", contacts.update_contact),
    "/delete-contact": ("DELETE", "delete-contact", contacts.delete_contact),
    "/get-phone-number": ("GET", "get-phone-number", numbers.get_number),
    "/update-phone-number": ("PATCH", "update-phone-number", numbers.update_number),
    "/delete-phone-number": ("DELETE", "delete-phone-number", numbers.delete_number),
}


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
    response = _handle_route(workspace, request, operation, handler)
    note = request.note
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


def _handle_route(
    workspace: SimulatedWorkspace, request: SimulatedRequest, operation: str, handler: Handler
) -> SimulatedResponse:
    if request.authorization is None or request.authorization.removeprefix("Bearer ") not in workspace.config.api_keys:
        return refuse(request, 401, "key")
    fault = workspace.faults.on_request(operation, BEFORE)
    if fault is not None:
        return calls.fail_before(request, fault)
    try:
        response = handler(workspace, request)
    except BadBody as error:
        return refuse(request, 400, "invalid", str(error))
    except UnknownAsset:
        return refuse(request, 422, "unknown")
    if response.status >= 300 or response.lost is not None:
        return response
    fault = workspace.faults.on_request(operation, AFTER)
    return response if fault is None else calls.fail_after(request, response, fault.kind)
