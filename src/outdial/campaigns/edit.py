"""Changes the settings of a campaign with one guarded statement: all while it rests, most while it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from outdial.campaigns.agents import check_agent
from outdial.campaigns.caller_numbers import check_numbers
from outdial.campaigns.create import (
    JSON_COLUMNS,
    CampaignSettings,
    SettingsColumns,
    check_message_attempt,
    check_settings,
)
from outdial.campaigns.errors import InvalidCampaign
from outdial.campaigns.lifecycle import Actor, Conflict, record_campaign_action
from outdial.db.queries import batches, campaign_status, campaigns
from outdial.db.rows import required
from outdial.db.session import Connection
from outdial.domain.campaign import CampaignStatus

_S = CampaignStatus
RESTING: Final = (_S.DRAFT, _S.SCHEDULED, _S.PAUSED)
"""Every setting of such a campaign may be changed."""
RUNNING: Final = (_S.ACTIVE, _S.PAUSING)
"""Such a campaign keeps the settings in FIXED_WHILE_RUNNING. The others apply from its next claim."""
FIXED_WHILE_RUNNING: Final = ("retell_agent_id", "purpose", "consent_required", "lists_required", "scheduled_at")
"""What the calls made so far depend on: a change would give the same campaign calls of two kinds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """The value of a setting before and after an edit."""

    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Edited:
    """The campaign has its new settings; `changes` has those that differ from before, by name."""

    changes: Mapping[str, SettingChange]


async def edit_campaign(
    connection: Connection, campaign_id: UUID, new: CampaignSettings, actor: Actor, now: datetime
) -> Edited | Conflict:
    """Save the settings in `new`. The caller must be allowed to run the campaign, and have its settings locked.

    A claim that has begun ends with the old settings, and the next one reads the new ones. Raises the same errors as
    create_campaign. The account of a campaign never changes.
    """
    columns = check_settings(new)
    row = required(await campaigns.show_campaign(connection, campaign_id=campaign_id, organization_id=None))
    changes = _changes(row, columns)
    if not changes:
        return Edited({})
    if row.status == _S.SCHEDULED and new.scheduled_at is None:
        raise InvalidCampaign("scheduled_at", "a scheduled campaign needs a start time; to call now, start it")
    if {"from_number", "more_numbers"} & changes.keys():
        await check_numbers(
            connection, new.organization_id, row.provider_account_id, columns["from_number"], columns["more_numbers"]
        )
    if {"voicemail_policy", "retry_policy", "max_attempts"} & changes.keys():
        check_message_attempt(new)
    if "retell_agent_id" in changes:
        await check_agent(connection, row.provider_account_id, columns["retell_agent_id"])
    fixed = [name for name in FIXED_WHILE_RUNNING if name in changes]
    saved = await campaigns.save_campaign_settings(
        connection,
        campaign_id=campaign_id,
        organization_id=new.organization_id,
        allowed_from=list(RESTING if fixed else RESTING + RUNNING),
        now=now,
        **columns,
    )
    if saved is None:
        # Read again: another transaction may have changed it since.
        status = _S(required(await campaign_status.campaign_status(connection, campaign_id=campaign_id)).status)
        return Conflict(status, _refusal(status, fixed))
    await record_campaign_action(
        connection,
        organization_id=new.organization_id,
        campaign_id=campaign_id,
        actor=actor,
        action="edit_campaign",
        details={"changes": {name: changes[name] for name in sorted(changes)}},
    )
    # Hours that are open now, or a higher limit, need not wait for the time that the last claim has set.
    await batches.wake_campaign(connection, campaign_id=campaign_id, now=now)
    return Edited(changes)


def _changes(row: campaigns.CampaignSettingsRow, columns: SettingsColumns) -> dict[str, SettingChange]:
    changes = {}
    for name, value in columns.items():
        before, after = getattr(row, name), value
        if name in JSON_COLUMNS:
            before, after = msgspec.json.decode(before), msgspec.json.decode(str(value))
        if before != after:
            changes[name] = SettingChange(before=before, after=after)
    return changes


def _refusal(status: CampaignStatus, fixed: Sequence[str]) -> str:
    if status in RESTING:
        return "the campaign has just changed: try again"
    if status in RUNNING:
        return f"a campaign that is {status} keeps {', '.join(fixed)}; pause it first"
    return f"a campaign that is {status} cannot be edited; create another one"
