"""Adds the contacts in a request to a campaign, and reports on each."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from outdial.campaigns.entries.items import ItemReader
from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.campaigns.importing.contact_rows import check_region
from outdial.campaigns.importing.contact_store import ContactStore
from outdial.campaigns.importing.refusals import Refusal
from outdial.campaigns.lifecycle import Actor
from outdial.clock import VirtualClock
from outdial.db.queries import audit
from outdial.db.queries.dialing import entries
from outdial.db.session import Connection, encode_json
from outdial.domain.contact import ContactStatus


class ItemStatus(StrEnum):
    """What became of an item of a request."""

    ADDED = "added"
    ALREADY_THERE = "already_there"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """What became of an item.

    An item that is in the campaign has the id and the status of the campaign contact, and a refused one a kind and a
    reason.
    """

    status: ItemStatus
    campaign_contact_id: UUID | None = None
    contact_status: str | None = None
    kind: Refusal | None = None
    reason: str | None = None


async def add_contacts(
    connection: Connection,
    *,
    organization_id: UUID,
    campaign_id: UUID,
    items: Sequence[object],
    region: str | None,
    erasure_keys: ErasureKeys | None,
    actor: Actor,
    now: datetime,
) -> list[ItemResult]:
    """Add the contacts in `items` to a campaign, in the open transaction, and wake it. Returns a result for each item.

    A contact that is in the campaign already keeps its place; its details and, while it is pending, its variables are
    updated. One that is finished is added again after the campaign's `reentry_after`. Raises UnknownRegion,
    CampaignNotFound, CampaignClosed and ErasureKeyMissing before anything is stored.
    """
    check_region(region)

    @asynccontextmanager
    async def savepoint() -> AsyncIterator[Connection]:
        async with connection.transaction():
            yield connection

    contacts, refused = ItemReader(region, now).read(items)
    store = ContactStore(
        savepoint, campaign_id, VirtualClock(now), organization_id=organization_id, erasure_keys=erasure_keys
    )
    stored = await store.store(contacts)
    results = {
        row.line: ItemResult(status=ItemStatus.REFUSED, kind=row.kind, reason=row.reason)
        for row in (*refused, *stored.refused)
    }
    lines = {contact.phone: contact.line for contact in contacts if contact.line not in results}
    for phone, id in stored.entered.items():
        results[lines.pop(phone)] = ItemResult(
            status=ItemStatus.ADDED, campaign_contact_id=id, contact_status=ContactStatus.PENDING
        )
    if lines:
        there = await entries.entries_of_phones(
            connection, organization_id=organization_id, campaign_id=campaign_id, phones=list(lines)
        )
        for row in there:
            results[lines[row.phone]] = ItemResult(
                status=ItemStatus.ALREADY_THERE, campaign_contact_id=row.id, contact_status=row.status
            )
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action="add_contacts",
        subject_type="campaign",
        subject_id=str(campaign_id),
        details=encode_json(count_results(list(results.values()))),
    )
    return [results[index] for index in range(len(items))]


def count_results(results: Sequence[ItemResult]) -> Mapping[str, int]:
    """Count the items by status; every status is a key."""
    return {status.value: sum(result.status is status for result in results) for status in ItemStatus}
