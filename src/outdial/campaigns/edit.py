"""Changes the settings of a campaign that is not running, with one guarded statement."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outdial.campaigns.create import CampaignSettings, check_settings
from outdial.campaigns.errors import InvalidCampaign
from outdial.campaigns.lifecycle import Actor, Conflict, record_campaign_action
from outdial.db.queries import campaign_status, campaigns
from outdial.db.rows import required
from outdial.db.session import Connection
from outdial.domain.campaign import CampaignStatus

_S = CampaignStatus
EDITABLE = (_S.DRAFT, _S.SCHEDULED, _S.PAUSED)
"""Every claim reads the settings, so a change to a running campaign would apply to only part of it. Pause it first."""


@dataclass(frozen=True, slots=True)
class Edited:
    """The campaign has its new settings."""


async def edit_campaign(
    connection: Connection,
    campaign_id: UUID,
    new: CampaignSettings,
    changed: Collection[str],
    actor: Actor,
    now: datetime,
) -> Edited | Conflict:
    """Save the settings in `new`; `changed` names those that differ. The caller must be allowed to run the campaign.

    Raises the same errors as create_campaign. The account of a campaign never changes.
    """
    columns = check_settings(new)
    status = required(await campaign_status.campaign_status(connection, campaign_id=campaign_id)).status
    if status == _S.SCHEDULED and new.scheduled_at is None:
        raise InvalidCampaign("scheduled_at", "a scheduled campaign needs a start time; to call now, start it")
    saved = await campaigns.save_campaign_settings(
        connection,
        campaign_id=campaign_id,
        organization_id=new.organization_id,
        allowed_from=list(EDITABLE),
        now=now,
        **columns,
    )
    if saved is None:
        # Read again: another transaction may have changed it since.
        status = required(await campaign_status.campaign_status(connection, campaign_id=campaign_id)).status
        if status in EDITABLE:
            return Conflict(_S(status), "the campaign has just changed: try again")
        cure = "pause it first" if status in (_S.ACTIVE, _S.PAUSING) else "create another one"
        return Conflict(_S(status), f"a campaign that is {status} cannot be edited; {cure}")
    await record_campaign_action(
        connection,
        organization_id=new.organization_id,
        campaign_id=campaign_id,
        actor=actor,
        action="edit_campaign",
        details={"changed": sorted(changed)},
    )
    return Edited()
