"""Agents of a simulated workspace, with their versions."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

DEFAULT_AGENT: Final = "agent_simulator"
_DEFAULTS: Final[Mapping[str, Any]] = {
    "channel": "voice",
    "agent_name": "Simulated agent",
    "response_engine": {"type": "retell-llm", "llm_id": "llm_simulator", "version": 0},
    "voice_id": "retell-simulator",
    "language": "en-US",
    "data_storage_setting": "everything",
    "opt_in_signed_url": False,
    "interruption_sensitivity": 1,
    "max_call_duration_ms": 3_600_000,
    "ring_duration_ms": 30_000,
    "webhook_timeout_ms": 10_000,
    "is_transfer_agent": False,
}


class VersionPublished(Exception):
    """A published version of an agent cannot be changed: create a version from it."""


@dataclass(slots=True)
class SimulatedAgent:
    """An agent. The last of `versions` is the draft, unless it is published."""

    agent_id: str
    versions: list[dict[str, Any]] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)

    def version(self, number: int | None = None) -> dict[str, Any] | None:
        """Return a version as Retell's JSON, the latest by default; None if there is none."""
        kept = self.kept()
        if number is None:
            return kept[-1] if kept else None
        return next((version for version in kept if version["version"] == number), None)

    def kept(self) -> list[dict[str, Any]]:
        """Return the versions that were not deleted, the oldest first."""
        return [version for version in self.versions if version["version"] not in self.deleted]


class AgentDirectory:
    """The agents of a workspace by id, in the order of creation.

    An agent that a call or a number names exists: it is created with defaults when it is first named.
    """

    def __init__(self, id_prefix: str) -> None:
        self._id_prefix = id_prefix
        self._agents: dict[str, SimulatedAgent] = {}
        self.prompts: dict[str, dict[str, Any]] = {}
        self._created = 0
        self.create({}, 0, agent_id=DEFAULT_AGENT)

    def create(self, fields: Mapping[str, Any], now_ms: int, *, agent_id: str | None = None) -> dict[str, Any]:
        """Create an agent and return its first version."""
        if agent_id is None:
            self._created += 1
            digest = blake2b(f"{self._id_prefix}agent/{self._created}".encode(), digest_size=13).hexdigest()
            agent_id = f"agent_{digest}"
        agent = self._agents[agent_id] = SimulatedAgent(agent_id)
        return self._add_version(agent, {**_DEFAULTS, **fields}, now_ms)

    def find(self, agent_id: str) -> SimulatedAgent | None:
        """Return an agent, or None."""
        return self._agents.get(agent_id)

    def named(self, agent_id: str, now_ms: int) -> dict[str, Any]:
        """Return the latest version of an agent that a call names; create the agent if it is new."""
        agent = self._agents.get(agent_id)
        version = None if agent is None else agent.version()
        return version or self.create({}, now_ms, agent_id=agent_id)

    def update(self, version: dict[str, Any], fields: Mapping[str, Any], now_ms: int) -> None:
        """Change a draft. Raise VersionPublished for a published version."""
        if version["is_published"]:
            raise VersionPublished
        version.update(fields)
        version["last_modification_timestamp"] = now_ms

    def branch(self, agent: SimulatedAgent, base: dict[str, Any], now_ms: int) -> dict[str, Any]:
        """Create a draft from another version and return it."""
        return self._add_version(agent, {**base, "base_version": base["version"]}, now_ms)

    def delete(self, agent_id: str) -> None:
        """Delete an agent with all its versions."""
        del self._agents[agent_id]

    def all(self) -> list[SimulatedAgent]:
        """Return the agents in the order of creation."""
        return list(self._agents.values())

    def _add_version(self, agent: SimulatedAgent, fields: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
        version = {
            **fields,
            "agent_id": agent.agent_id,
            "version": len(agent.versions),
            "is_published": False,
            "last_modification_timestamp": now_ms,
        }
        agent.versions.append(version)
        return version


def weighted_agent(agents: Any, chance: random.Random) -> str | None:
    """Pick an agent from the weighted list of a phone number; None when the list is empty."""
    if not isinstance(agents, list) or not agents:
        return None
    names = [str(agent["agent_id"]) for agent in agents]
    return chance.choices(names, [float(agent.get("weight", 1)) for agent in agents])[0]
