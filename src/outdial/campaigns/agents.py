"""Checks the agent of a campaign against the list that a dialer has read at Retell."""

from uuid import UUID

from outdial.campaigns.errors import InvalidCampaign
from outdial.db.queries.dialing import agents as queries
from outdial.db.session import Connection


async def check_agent(connection: Connection, account_id: UUID, agent_id: str) -> None:
    """Raise InvalidCampaign for an agent that the workspace does not have, or that is suspended.

    Until the agents of the account have been read, none is known to be wrong.
    """
    known = await queries.find_agent_to_use(connection, provider_account_id=account_id, agent_id=agent_id)
    if known.is_read and not known.is_known:
        raise InvalidCampaign(
            "retell_agent_id",
            f"the Retell workspace has no voice agent {agent_id}: choose one of its agents, or import its agents again",
        )
    if known.is_suspended:
        raise InvalidCampaign(
            "retell_agent_id", f"the agent {agent_id} is suspended at Retell: resume it there, or choose another one"
        )
