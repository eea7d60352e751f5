"""Undoes an import. None of its contacts may have been called."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from outdial.campaigns.importing.contact_store import Transaction
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, find_campaign_to_run
from outdial.db.queries import audit, batches, campaign_status, imports, retention
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import CampaignStatus

PORTION: Final = 5_000
"""Contacts removed in one transaction, which locks the campaign: a pause waits for at most one portion."""


@dataclass(frozen=True, slots=True)
class Undone:
    """`removed` contacts have left the campaign: 0 if the import added none or was already undone."""

    removed: int


@dataclass(frozen=True, slots=True)
class AlreadyCalled:
    """The import cannot be undone, because `called` of its contacts have been called."""

    called: int

    @property
    def reason(self) -> str:
        """The reason, and what to do instead."""
        contacts = (
            "1 contact of this import was" if self.called == 1 else f"{self.called:,} contacts of this import were"
        )
        return f"{contacts} called already, so the import cannot be undone; pause or cancel the campaign instead"


@dataclass(frozen=True, slots=True)
class UndoHeld:
    """The import cannot be undone while the organization is under legal hold."""

    reason: str = "the organization is under legal hold, which keeps all contacts: an admin must end the hold first"


async def undo_import(
    transaction: Transaction, campaign_id: UUID, import_id: UUID, actor: Actor, now: datetime
) -> Undone | AlreadyCalled | UndoHeld | NotFound | Forbidden:
    """Remove the contacts that an import has added to a campaign, in portions, one transaction each.

    A contact that the import created also leaves the organization, if nothing has changed or used it since. Values that
    the import wrote to existing contacts stay, as does a contact that is called after the first portion. Nothing is
    removed if the import is running or already undone. An undo that was interrupted can be repeated.
    """
    removed, after = 0, None
    while True:
        async with transaction() as connection:
            campaign = await find_campaign_to_run(connection, campaign_id, actor)
            if not isinstance(campaign, campaign_status.CampaignState):
                return campaign
            policy = await retention.show_retention(connection, organization_id=campaign.organization_id)
            if policy is not None and policy.legal_hold:
                return UndoHeld()
            portion = await _undo_portion(connection, campaign, import_id, actor, after, now)
            if portion is None:
                return Undone(removed)
            if portion.called:
                return AlreadyCalled(portion.called)
            removed, after = removed + portion.removed, portion.last_id
            if after is None:
                if campaign.status == CampaignStatus.ACTIVE and removed:
                    # Without these contacts, the campaign may be complete.
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
