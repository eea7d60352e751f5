"""Reads the agents that a provider lists for an account, together with its numbers."""

from datetime import datetime
from typing import Final
from uuid import UUID

from outdial.db.queries.dialing import agents as queries
from outdial.db.session import Connection
from outdial.dialer.numbers.listing import read_pages
from outdial.provider import CallerNumberDirectory, ListedAgent, ProviderUnavailable

MAX_AGENTS: Final = 10_000


async def read_agents(provider: CallerNumberDirectory, credential: str) -> list[ListedAgent] | ProviderUnavailable:
    """Return all voice agents of an account, each once."""
    return await read_pages(
        lambda page: provider.list_agents(credential, page),
        lambda agent: agent.agent_id,
        most=MAX_AGENTS,
        what="agents",
    )


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
