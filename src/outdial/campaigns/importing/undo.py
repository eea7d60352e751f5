"""Undoes an import, until one of its contacts was called."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from outdial.campaigns.importing.contact_store import Transaction
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, find_campaign_to_run
from outdial.db.queries import audit, batches, campaign_status, imports
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import CampaignStatus

PORTION: Final = 5_000
"""Contacts of a transaction: the campaign is locked meanwhile, so pausing it waits for one portion."""


@dataclass(frozen=True, slots=True)
class Undone:
    """The contacts that the import had added are out of the campaign; none if it had added none or was undone."""

    removed: int


@dataclass(frozen=True, slots=True)
class AlreadyCalled:
    """Contacts of the import were called, so it stays."""

    called: int

    @property
    def reason(self) -> str:
        """The reason, and what to do instead."""
        contacts = (
            "1 contact of this import was" if self.called == 1 else f"{self.called:,} contacts of this import were"
        )
        return f"{contacts} called already, so the import cannot be undone; pause or cancel the campaign instead"


async def undo_import(
    transaction: Transaction, campaign_id: UUID, import_id: UUID, actor: Actor, now: datetime
) -> Undone | AlreadyCalled | NotFound | Forbidden:
    """Remove the contacts that an import has added to a campaign, in portions, each in a transaction of its own.

    A contact that the import created also leaves the organization, if nothing has changed or used it since. Values that
    the import wrote to existing contacts stay, as does a contact that is called after the first portion. An import that
    is running or was undone already removes nothing. One whose undoing was interrupted can be undone again.
    """
    removed, after = 0, None
    while True:
        async with transaction() as connection:
            campaign = await find_campaign_to_run(connection, campaign_id, actor)
            if not isinstance(campaign, campaign_status.CampaignState):
                return campaign
            portion = await _undo_portion(connection, campaign, import_id, actor, after, now)
            if portion is None:
                return Undone(removed)
            if portion.called:
                return AlreadyCalled(portion.called)
            removed, after = removed + portion.removed, portion.last_id
            if after is None:
                if campaign.status == CampaignStatus.ACTIVE and removed:
                    # Without its last contact it is complete.
                    await batches.wake_campaign(connection, campaign_id=campaign_id, now=now)
                await batches.notify_campaigns(connection, ids=[campaign_id])
                return Undone(removed)


async def _undo_portion(
    connection: Connection,
    campaign: campaign_status.CampaignState,
    import_id: UUID,
    actor: Actor,
    after: UUID | None,
    now: datetime,
) -> imports.UndoneImport | None:
    portion = await imports.undo_import(
        connection,
        organization_id=campaign.organization_id,
        campaign_id=campaign.id,
        import_id=import_id,
        after=after,
        limit=PORTION,
        now=now,
    )
    if portion is not None and portion.removed:
        await audit.record_audit(
            connection,
            organization_id=campaign.organization_id,
            actor=actor.name,
            action="undo_import",
            subject_type="campaign",
            subject_id=str(campaign.id),
            details=encode_json({"import_id": str(import_id), "removed": portion.removed}),
        )
    return portion
