"""Retell's endpoints for the sound of live calls. A simulated call has no sound: no server is at its address."""

from datetime import timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct

from outdial.retell.simulator.clock import epoch_ms
from outdial.retell.simulator.endpoints.exchange import (
    SimulatedRequest,
    SimulatedResponse,
    UnknownAsset,
    json_response,
)
from outdial.retell.simulator.objects import SimulatedCall
from outdial.retell.simulator.workspace import SimulatedWorkspace

SOUND_URL: Final = "ws://127.0.0.1:7880"
_TOKEN_LASTS: Final = timedelta(minutes=10)


class _TakeOver(Struct, kw_only=True):
    participant_id: Annotated[str, Meta(min_length=1)]


def listen_live(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /v2/listen-live-call/{id}, of a call that is connected."""
    call = _connected(workspace, request)
    participant_id = f"listener_{call.call_id[5:]}_{len(call.listeners) + 1}"
    call.listeners.append(participant_id)
    body = {
        "access_token": f"token_{participant_id}",
        "expires_at": epoch_ms(request.now + _TOKEN_LASTS),
        "participant_id": participant_id,
        "room_name": call.call_id,
        "transport": "livekit",
        "url": SOUND_URL,
    }
    return json_response(201, body)


def take_over_live(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /v2/take-over-live-call/{id}, for a participant of listen-live-call. The call goes on as its script says."""
    wanted = request.read(_TakeOver)
    call = _connected(workspace, request)
    if wanted.participant_id not in call.listeners:
        raise UnknownAsset
    call.taken_over_by = wanted.participant_id
    return json_response(201, {"success": True})


def _connected(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedCall:
    call = workspace.calls.get(request.object_id)
    if call is None or call.status != "ongoing":
        raise UnknownAsset
    request.note.call_id = call.call_id
    return call
