"""Reads agents, their prompts, caller numbers and the key of a Retell workspace."""

import re
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from outdial.provider import (
    AgentFound,
    AssetMissing,
    KeyAccepted,
    KeyRefused,
    ProviderUnavailable,
    WorkspaceNumber,
)
from outdial.retell.client import RetellClient

_VARIABLE: Final = re.compile(rb"\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,99})\s*\}\}")
_OF_RETELL: Final = re.compile(r"current_(time|hour|calendar|agent|state|date)[\w/+-]*|previous_agent_state")
_SYSTEM: Final = frozenset(
    {
        "agent_number", "call_id", "call_type", "chat_id", "direction", "user_number", "session_duration",
        "session_type",
    }
)  # fmt: skip
"""Variables that Retell fills itself."""
_MISSING: Final = frozenset({404, 422})
_REFUSED: Final = frozenset({401, 403})
_ENGINES: Final = {
    "retell-llm": ("llm_id", "/get-retell-llm/"),
    "conversation-flow": ("conversation_flow_id", "/get-conversation-flow/"),
}


class _Key(msgspec.Struct):
    org_name: str | None = None
    org_id: str | None = None


class _Agent(msgspec.Struct):
    agent_id: str
    agent_name: str | None = None
    response_engine: dict[str, Any] = {}


class _Number(msgspec.Struct):
    phone_number: str
    allowed_outbound_country_list: list[str] | None = None


class _Prompt(msgspec.Struct):
    default_dynamic_variables: dict[str, Any] | None = None


def fills_variable(name: str) -> bool:
    """Whether Retell fills a variable of this name itself, such as `user_number` or `current_time_Europe/Berlin`."""
    return name in _SYSTEM or _OF_RETELL.fullmatch(name) is not None


async def check_key(client: RetellClient) -> KeyAccepted | KeyRefused | ProviderUnavailable:
    """GET /get-api-key-info."""
    body = await client.read("/get-api-key-info")
    if isinstance(body, ProviderUnavailable):
        return KeyRefused(body.reason) if body.status in _REFUSED else body
    key = _decoded(body, _Key)
    return key if isinstance(key, ProviderUnavailable) else KeyAccepted(key.org_name or "", key.org_id or None)


async def find_agent(client: RetellClient, agent_id: str) -> AgentFound | AssetMissing | ProviderUnavailable:
    """GET /get-agent/{id}, and then the prompt or the conversation flow that it uses."""
    body = await client.read(f"/get-agent/{quote(agent_id, safe='')}")
    if isinstance(body, ProviderUnavailable):
        return AssetMissing() if body.status in _MISSING else body
    agent = _decoded(body, _Agent)
    if isinstance(agent, ProviderUnavailable):
        return agent
    name = agent.agent_name or agent.agent_id
    id_field, path = _ENGINES.get(str(agent.response_engine.get("type")), ("", ""))
    engine_id = agent.response_engine.get(id_field)
    if not isinstance(engine_id, str):
        # Such as a custom LLM: its prompt is not at Retell.
        return AgentFound(name, None)
    prompt = await client.read(f"{path}{quote(engine_id, safe='')}")
    if isinstance(prompt, ProviderUnavailable):
        return AgentFound(name, None)
    defaults = _decoded(prompt, _Prompt)
    given = set() if isinstance(defaults, ProviderUnavailable) else set(defaults.default_dynamic_variables or {})
    named = {found.decode() for found in _VARIABLE.findall(prompt)}
    return AgentFound(name, frozenset(each for each in named - given if not fills_variable(each)))


async def find_number(client: RetellClient, phone: str) -> WorkspaceNumber | AssetMissing | ProviderUnavailable:
    """GET /get-phone-number/{number}."""
    body = await client.read(f"/get-phone-number/{quote(phone, safe='')}")
    if isinstance(body, ProviderUnavailable):
        return AssetMissing() if body.status in _MISSING else body
    number = _decoded(body, _Number)
    if isinstance(number, ProviderUnavailable):
        return number
    countries = number.allowed_outbound_country_list
    return WorkspaceNumber(number.phone_number, None if countries is None else frozenset(countries))


_Payload = TypeVar("_Payload", bound=msgspec.Struct)


def _decoded(body: bytes, kind: type[_Payload]) -> _Payload | ProviderUnavailable:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ProviderUnavailable("the response of Retell cannot be read", 200)
