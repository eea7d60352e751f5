"""Makes a new campaign from contacts of another one, so that the first one stays completed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from outdial.campaigns.drafts import Duplicated, duplicate_campaign
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, record_campaign_action
from outdial.campaigns.selection import ContactSelection
from outdial.db.queries import campaign_status
from outdial.db.queries.dialing import new_campaign
from outdial.db.session import Connection
from outdial.domain.ids import new_id
from outdial.domain.limits import IntRange

COPIED: Final = IntRange(1, 100_000)
"""Contacts that one request takes: it copies them within its timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactsCopied:
    """A draft has the settings of the campaign and `added` contacts.

    `left_out` counts the selected contacts with which the campaign is not done: they would be called twice.
    """

    campaign_id: UUID
    name: str
    added: int
    left_out: int


@dataclass(frozen=True, slots=True)
class NothingToCall:
    """No draft was made; `reason` says why and what to do."""

    reason: str


async def copy_to_new_campaign(
    connection: Connection,
    *,
    campaign_id: UUID,
    selection: ContactSelection,
    name: str | None,
    reason: str | None,
    actor: Actor,
    now: datetime,
) -> ContactsCopied | NothingToCall | NotFound | Forbidden:
    """Create a draft with the settings of a campaign, and with those of the selected contacts that have a final status.

    The default name is "Copy of ...". Lists, caps and hours are checked at each call, as for every campaign. Raises the
    same errors as create_campaign.
    """
    campaign = await campaign_status.campaign_status(connection, campaign_id=campaign_id)
    if campaign is None:
        return NotFound()
    selected = await new_campaign.contacts_to_copy(
        connection,
        organization_id=campaign.organization_id,
        campaign_id=campaign_id,
        limit=COPIED.most + 1,
        **selection.parameters(),
    )
    if len(selected) > COPIED.most:
        return NothingToCall(f"more than {COPIED.most:,} contacts match: narrow the selection")
    final = [contact.id for contact in selected if contact.is_final]
    if not final:
        return NothingToCall("no contact with a final status matches: change the selection")
    copy = await duplicate_campaign(connection, campaign_id, actor, now, name=name, reason=reason)
    if not isinstance(copy, Duplicated):
        return copy
    added = await new_campaign.copy_contacts(
        connection,
        copy_id=copy.campaign_id,
        campaign_id=campaign_id,
        ids=[new_id(now) for _ in final],
        contact_ids=final,
        now=now,
    )
    counts = {"added": len(added), "left_out": len(selected) - len(added)}
    await record_campaign_action(
        connection,
        organization_id=campaign.organization_id,
        campaign_id=copy.campaign_id,
        actor=actor,
        action="new_campaign",
        details={"contacts_of": campaign_id, "reason": reason, **counts},
    )
    return ContactsCopied(campaign_id=copy.campaign_id, name=copy.name, **counts)
