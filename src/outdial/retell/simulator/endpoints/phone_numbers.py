"""Phone numbers of a simulated workspace, and Retell's endpoints for them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from outdial.retell.simulator.clock import epoch_ms
from outdial.retell.simulator.endpoints.exchange import (
    BadBody,
    SimulatedRequest,
    SimulatedResponse,
    UnknownAsset,
    check_numbers,
    json_response,
    page_of,
)

if TYPE_CHECKING:
    from outdial.retell.simulator.workspace import SimulatedWorkspace

# Passwords are never returned, and these belong to the trunk.
_TRUNK: Final = ("termination_uri", "auth_username", "codecs", "transport")
_SECRET: Final = ("auth_password", "sip_trunk_auth_password")


class NumberDirectory:
    """The phone numbers of a workspace, in the order of creation. The first call from a number adds it."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, Any]] = {}

    def find(self, number: str) -> dict[str, Any] | None:
        """Return a number as Retell's JSON, or None."""
        return self._numbers.get(number)

    def all(self) -> list[dict[str, Any]]:
        """Return all numbers."""
        return list(self._numbers.values())

    def add(self, number: str, kind: str, fields: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
        """Add a number of this `phone_number_type` and return it."""
        added: dict[str, Any] = {"phone_number": number, "phone_number_type": kind, "phone_number_pretty": number}
        if number.startswith("+1") and len(number) == 12:
            added["phone_number_pretty"] = f"+1({number[2:5]}){number[5:8]}-{number[8:]}"
            added["area_code"] = int(number[2:5])
        self._numbers[number] = added
        self.change(added, fields, now_ms)
        return added

    def change(self, number: dict[str, Any], fields: Mapping[str, Any], now_ms: int) -> None:
        """Change the given fields of a number."""
        trunk = {name: value for name, value in fields.items() if name in _TRUNK}
        if trunk:
            number["sip_outbound_trunk_config"] = {**number.get("sip_outbound_trunk_config", {}), **trunk}
        number.update({name: value for name, value in fields.items() if name not in (*_TRUNK, *_SECRET)})
        number["last_modification_timestamp"] = now_ms

    def delete(self, number: str) -> None:
        """Delete a number."""
        del self._numbers[number]

    def free(self, area_code: int) -> str:
        """Return a number of the area that is not taken."""
        return next(
            number for last in range(100, 10_000) if (number := f"+1{area_code}555{last:04}") not in self._numbers
        )


def create_number(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """POST /create-phone-number: buys the number, or a free one of the area code (415 by default)."""
    fields = _fields(request, "number_provider", "toll_free", "country_code", "area_code", "phone_number")
    given = request.read(dict[str, Any])
    area_code, provider = given.get("area_code", 415), given.get("number_provider", "twilio")
    if not isinstance(area_code, int) or not 200 <= area_code <= 999 or provider not in ("twilio", "telnyx"):
        raise BadBody("area_code must be a code such as 415, and number_provider twilio or telnyx")
    number = given.get("phone_number") or workspace.phone_numbers.free(area_code)
    _check_new(workspace, number)
    added = workspace.phone_numbers.add(number, f"retell-{provider}", fields, epoch_ms(request.now))
    return json_response(201, added)


def import_number(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """POST /import-phone-number: a number of another provider, over SIP."""
    fields = _fields(request, "phone_number", "ignore_e164_validation")
    given = request.read(dict[str, Any])
    if not isinstance(given.get("termination_uri"), str):
        raise BadBody("termination_uri is required")
    if "sip_trunk_auth_username" in fields:
        fields["auth_username"] = fields.pop("sip_trunk_auth_username")
    number = given.get("phone_number")
    _check_new(workspace, number, is_sip=given.get("ignore_e164_validation") is True)
    added = workspace.phone_numbers.add(str(number), "custom", fields, epoch_ms(request.now))
    return json_response(201, added)


def get_number(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """GET /get-phone-number/{number}."""
    return json_response(200, _number(workspace, request))


def update_number(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """PATCH /update-phone-number/{number}."""
    number = _number(workspace, request)
    workspace.phone_numbers.change(number, _fields(request, "phone_number"), epoch_ms(request.now))
    return json_response(200, number)


def delete_number(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """DELETE /delete-phone-number/{number}."""
    workspace.phone_numbers.delete(_number(workspace, request)["phone_number"])
    return SimulatedResponse(204, b"")


def list_numbers(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """GET /v2/list-phone-numbers."""
    return json_response(200, page_of(workspace.phone_numbers.all(), "phone_number", request))


def list_all_numbers(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> SimulatedResponse:
    """GET /list-phone-numbers, of older clients: all numbers, as an array."""
    return json_response(200, workspace.phone_numbers.all())


def _number(workspace: "SimulatedWorkspace", request: SimulatedRequest) -> dict[str, Any]:
    number = workspace.phone_numbers.find(request.object_id)
    if number is None:
        raise UnknownAsset
    return number


def _check_new(workspace: "SimulatedWorkspace", number: object, *, is_sip: bool = False) -> None:
    if not isinstance(number, str) or not number:
        raise BadBody("phone_number is required")
    if not is_sip:
        check_numbers(number)
    if workspace.phone_numbers.find(number) is not None:
        raise BadBody(f"the number {number} already exists")


def _fields(request: SimulatedRequest, *without: str) -> dict[str, Any]:
    """Return the fields of the body that a number keeps. Raise BadBody for a bad list of agents."""
    fields = request.read(dict[str, Any])
    for name in ("inbound_agents", "outbound_agents"):
        agents = fields.get(name) or []
        if not all(isinstance(agent, dict) and isinstance(agent.get("agent_id"), str) for agent in agents):
            raise BadBody(f"each of {name} needs an agent_id and a weight")
        if agents and round(sum(float(agent.get("weight", 1)) for agent in agents), 6) != 1:
            raise BadBody(f"the weights of {name} must add up to 1")
    server_side = ("phone_number_type", "phone_number_pretty", "last_modification_timestamp")
    return {name: value for name, value in fields.items() if name not in (*without, *server_side)}
