"""Reads the agents that a provider lists for an account, together with its numbers."""

from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

from outdial.db.queries.dialing import agents as queries
from outdial.db.session import Connection
from outdial.provider import AgentsListed, CallerNumberDirectory, ListedAgent, ProviderUnavailable

MAX_AGENTS: Final = 10_000


async def read_agents(provider: CallerNumberDirectory, credential: str) -> list[ListedAgent] | ProviderUnavailable:
    """Return all voice agents of an account, each once."""
    agents: dict[str, ListedAgent] = {}
    page: str | None = None
    pages: set[str] = set()
    while True:
        match await provider.list_agents(credential, page):
            case ProviderUnavailable() as unavailable:
                return unavailable
            case AgentsListed(agents=found, next_page=page):
                agents |= {agent.agent_id: agent for agent in found}
            case never:
                assert_never(never)
        if page is None:
            return list(agents.values())
        if page in pages:
            return ProviderUnavailable("the list of agents repeats a page")
        if len(agents) > MAX_AGENTS:
            return ProviderUnavailable(f"the account has more than {MAX_AGENTS:,} agents")
        pages.add(page)


async def store_agents(
    connection: Connection, organization_id: UUID, account_id: UUID, agents: list[ListedAgent], now: datetime
) -> None:
    """Store the agents of an account, and forget those that it has no more."""
    await queries.store_agents(
        connection,
        organization_id=organization_id,
        provider_account_id=account_id,
        agent_ids=[agent.agent_id for agent in agents],
        names=[agent.name for agent in agents],
        are_suspended=[agent.is_suspended for agent in agents],
        now=now,
    )
    await queries.forget_unlisted_agents(connection, provider_account_id=account_id, now=now)
    await queries.note_agents_read(connection, provider_account_id=account_id, agents=len(agents))
