"""Deletes drafts, and makes a new draft from the settings of a campaign."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from outdial.campaigns.create import create_campaign, stored_settings
from outdial.campaigns.lifecycle import (
    Actor,
    Conflict,
    Forbidden,
    NotFound,
    find_campaign_to_run,
    may_run,
    record_campaign_action,
)
from outdial.db.queries import campaign_status, campaigns
from outdial.db.session import Connection
from outdial.domain.campaign import CampaignStatus
from outdial.domain.limits import LONGEST_NAME


@dataclass(frozen=True, slots=True)
class Deleted:
    """The draft and its list of contacts are deleted. The contacts stay in the organization."""


@dataclass(frozen=True, slots=True)
class Duplicated:
    """A new draft has the same settings, but no contacts and no start time."""

    campaign_id: UUID
    name: str


async def delete_draft(
    connection: Connection, campaign_id: UUID, actor: Actor
) -> Deleted | Conflict | NotFound | Forbidden:
    """Delete a campaign that was never started or scheduled."""
    campaign = await find_campaign_to_run(connection, campaign_id, actor)
    if not isinstance(campaign, campaign_status.CampaignState):
        return campaign
    name = await campaigns.delete_draft(connection, campaign_id=campaign_id)
    if name is None:
        status = CampaignStatus(campaign.status)
        return Conflict(status, f"only a draft can be deleted; this campaign is {status}")
    await record_campaign_action(
        connection,
        organization_id=campaign.organization_id,
        campaign_id=campaign_id,
        actor=actor,
        action="delete_campaign",
        details={"name": name},
    )
    return Deleted()


async def duplicate_campaign(
    connection: Connection,
    campaign_id: UUID,
    actor: Actor,
    now: datetime,
    *,
    name: str | None = None,
    reason: str | None = None,
) -> Duplicated | NotFound | Forbidden:
    """Create a draft with the settings of a campaign, and without its contacts. The default name is "Copy of ...".

    Raises the same errors as create_campaign.
    """
    row = await campaigns.show_campaign(connection, campaign_id=campaign_id, organization_id=None)
    if row is None:
        return NotFound()
    if not await may_run(connection, row.organization_id, actor):
        return Forbidden()
    copied_name = (name or f"Copy of {row.name}"[:LONGEST_NAME]).strip()
    copy = replace(stored_settings(row), name=copied_name, scheduled_at=None)
    copy_id = await create_campaign(connection, copy, now, is_copy=True)
    await record_campaign_action(
        connection,
        organization_id=row.organization_id,
        campaign_id=copy_id,
        actor=actor,
        action="create_campaign",
        details={"name": copied_name, "copy_of": campaign_id, "reason": reason},
    )
    return Duplicated(copy_id, copied_name)
