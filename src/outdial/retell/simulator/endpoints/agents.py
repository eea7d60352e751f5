"""Retell's endpoints for agents."""

from typing import Any

from msgspec import Struct

from outdial.retell.simulator.agents import SimulatedAgent, VersionPublished
from outdial.retell.simulator.clock import epoch_ms
from outdial.retell.simulator.endpoints.exchange import (
    BadBody,
    SimulatedRequest,
    SimulatedResponse,
    UnknownAsset,
    json_response,
    page_of,
)
from outdial.retell.simulator.workspace import SimulatedWorkspace


class _Filter(Struct, frozen=True):
    query: str = ""
    channel: Any = None


class _ListAgents(Struct):
    filter_criteria: _Filter = _Filter()


class _BaseVersion(Struct):
    base_version: int


class _Published(Struct):
    version: int
    version_title: str | None = None
    version_description: str | None = None


def create_agent(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /create-agent. It needs a response engine and a voice; other fields are kept as they are."""
    fields = _fields(request)
    engine, voice = fields.get("response_engine"), fields.get("voice_id")
    if not isinstance(engine, dict) or not isinstance(engine.get("type"), str) or not isinstance(voice, str):
        raise BadBody("response_engine and voice_id are required")
    return json_response(201, workspace.agents.create(fields, epoch_ms(request.now)))


def get_agent(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """GET /get-agent/{id}?version=."""
    return json_response(200, _version(_agent(workspace, request), request))


def update_agent(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """PATCH /update-agent/{id}?version=. A published version cannot be changed."""
    version, fields = _version(_agent(workspace, request), request), _fields(request)
    try:
        workspace.agents.update(version, fields, epoch_ms(request.now))
    except VersionPublished:
        raise BadBody("Cannot update published agent, please create a new version") from None
    return json_response(200, version)


def get_prompt(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """GET /get-retell-llm/{id}. A prompt that an agent may name exists; it is empty until it is changed."""
    return json_response(200, {"llm_id": request.object_id, **workspace.agents.prompts.get(request.object_id, {})})


def update_prompt(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """PATCH /update-retell-llm/{id}: change the fields that the body has."""
    fields = {name: value for name, value in request.read(dict[str, Any]).items() if name != "llm_id"}
    workspace.agents.prompts.setdefault(request.object_id, {}).update(fields)
    return get_prompt(workspace, request)


def delete_agent(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """DELETE /delete-agent/{id}."""
    workspace.agents.delete(_agent(workspace, request).agent_id)
    return SimulatedResponse(204, b"")


def list_agents(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /v2/list-agents. It filters by part of the name and by channel; every simulated agent is a voice agent."""
    wanted = request.read(_ListAgents, default=b"{}").filter_criteria
    items = []
    for agent in workspace.agents.all():
        latest = agent.version()
        if latest is None or wanted.query.lower() not in str(latest["agent_name"]).lower():
            continue
        items.append(
            {
                "agent_id": agent.agent_id,
                "agent_name": latest["agent_name"],
                "channel": "voice",
                "is_suspended": False,
                "is_transfer_agent": latest["is_transfer_agent"],
                "tags": {},
                "user_modified_timestamp": latest["last_modification_timestamp"],
            }
        )
    if "chat" in str(wanted.channel):
        items.clear()
    return json_response(200, page_of(items, "agent_id", request))


def list_all_agents(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """GET /list-agents, of older clients: all versions of all agents, as an array."""
    return json_response(200, [version for agent in workspace.agents.all() for version in agent.kept()])


def list_versions(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """GET /list-agent-versions/{id}."""
    names = ("version", "base_version", "is_published", "last_modification_timestamp")
    titles = ("version_title", "version_description")
    items = [
        {name: version[name] for name in (*names, *titles) if name in version}
        for version in _agent(workspace, request).kept()
    ]
    return json_response(200, page_of(items, "version", request))


def create_version(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /create-agent-version/{id}: a draft from another version."""
    agent, wanted = _agent(workspace, request), request.read(_BaseVersion)
    base = agent.version(wanted.base_version)
    if base is None:
        raise UnknownAsset
    return json_response(201, workspace.agents.branch(agent, base, epoch_ms(request.now)))


def publish_version(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """POST /publish-agent-version/{id}."""
    agent, wanted = _agent(workspace, request), request.read(_Published)
    version = agent.version(wanted.version)
    if version is None:
        raise UnknownAsset
    version["is_published"] = True
    for name in ("version_title", "version_description"):
        if (text := getattr(wanted, name)) is not None:
            version[name] = text
    return json_response(200, version)


def delete_version(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedResponse:
    """DELETE /delete-agent-version/{id}?version=."""
    agent = _agent(workspace, request)
    agent.deleted.add(_version(agent, request)["version"])
    return SimulatedResponse(204, b"")


def _agent(workspace: SimulatedWorkspace, request: SimulatedRequest) -> SimulatedAgent:
    agent = workspace.agents.find(request.object_id)
    if agent is None:
        raise UnknownAsset
    return agent


def _version(agent: SimulatedAgent, request: SimulatedRequest) -> dict[str, Any]:
    number = request.parameter("version")
    if number is not None and not number.isdecimal():
        raise BadBody("version must be a number")
    version = agent.version(None if number is None else int(number))
    if version is None:
        raise UnknownAsset
    return version


def _fields(request: SimulatedRequest) -> dict[str, Any]:
    """Return the fields of an agent that a client may set."""
    fields = request.read(dict[str, Any])
    server_side = ("agent_id", "version", "is_published", "base_version", "last_modification_timestamp")
    return {name: value for name, value in fields.items() if name not in server_side}
