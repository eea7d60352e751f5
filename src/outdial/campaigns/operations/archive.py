"""Archives campaigns, which lists then leave out, and takes them out of the archive again."""

from datetime import datetime
from uuid import UUID

from outdial.campaigns.lifecycle import (
    Actor,
    Changed,
    Conflict,
    Result,
    Unchanged,
    find_campaign_to_run,
    record_campaign_action,
)
from outdial.db.queries import campaign_status
from outdial.db.session import Connection
from outdial.domain.campaign import ARCHIVABLE, CampaignStatus


async def archive(connection: Connection, campaign_id: UUID, actor: Actor, now: datetime) -> Result:
    """Archive a draft or a finished campaign. Its contacts, calls and results stay, and so do retention and erasure."""
    campaign = await find_campaign_to_run(connection, campaign_id, actor)
    if not isinstance(campaign, campaign_status.CampaignState):
        return campaign
    status = CampaignStatus(campaign.status)
    moved = await campaign_status.archive_campaign(
        connection, campaign_id=campaign_id, allowed_from=sorted(ARCHIVABLE), now=now
    )
    if moved is None and status in ARCHIVABLE:
        return Unchanged(status)
    if moved is None:
        return Conflict(status, f"only a draft or a finished campaign can be archived; this one is {status}")
    await _record(connection, campaign, actor, "archive_campaign")
    return Changed(status)


async def unarchive(connection: Connection, campaign_id: UUID, actor: Actor, now: datetime) -> Result:
    """Unarchive a campaign."""
    campaign = await find_campaign_to_run(connection, campaign_id, actor)
    if not isinstance(campaign, campaign_status.CampaignState):
        return campaign
    status = CampaignStatus(campaign.status)
    if await campaign_status.unarchive_campaign(connection, campaign_id=campaign_id, now=now) is None:
        return Unchanged(status)
    await _record(connection, campaign, actor, "unarchive_campaign")
    return Changed(status)


async def _record(connection: Connection, campaign: campaign_status.CampaignState, actor: Actor, action: str) -> None:
    await record_campaign_action(
        connection,
        organization_id=campaign.organization_id,
        campaign_id=campaign.id,
        actor=actor,
        action=action,
        details={"status": campaign.status},
    )
