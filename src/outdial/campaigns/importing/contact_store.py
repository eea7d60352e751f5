"""Adds chunks of contacts to a campaign, one transaction each. Rows that fail are skipped and reported."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg

from outdial.campaigns.erasure import ERASED_REASON, find_erased
from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.campaigns.errors import CampaignClosed, CampaignNotFound
from outdial.campaigns.importing.contact_rows import NewContact
from outdial.campaigns.importing.refusals import Refusal, RefusedRow
from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.permission.consents import store_consents
from outdial.clock import Clock
from outdial.db.queries import audit, batches, campaign_status, do_not_call
from outdial.db.queries import contacts as contact_queries
from outdial.db.queries.dialing import entries
from outdial.db.queries.importing import added_contacts
from outdial.db.queries.places import contact_keys
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import OPEN_TO_IMPORT, CampaignStatus
from outdial.domain.ids import new_id
from outdial.domain.location import KEYS_VERSION, StatedPlace, StoredKeys, locate_stored
from outdial.domain.phone import phone_of
from outdial.domain.place import Place

Transaction = Callable[[], AbstractAsyncContextManager[Connection]]
OnAdded = Callable[[Connection, int], Awaitable[None]]
"""Called inside each transaction with the number of contacts it added. Its writes commit together with them."""

# Errors that Postgres raises because of a row, not because of the state of the server.
_ROW_ERRORS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)


@dataclass(frozen=True, slots=True)
class Stored:
    """The result of storing a chunk. `entered` has the added contacts by phone, with their ids in the campaign."""

    added: int
    already_there: int
    refused: list[RefusedRow]
    entered: Mapping[str, UUID] = field(default_factory=dict)

    def __add__(self, other: "Stored") -> "Stored":
        return Stored(
            self.added + other.added,
            self.already_there + other.already_there,
            self.refused + other.refused,
            {**self.entered, **other.entered},
        )


def erased_row(line: int) -> RefusedRow:
    """Refuse the row of an erased phone. Not with its cells: they would be stored with what was erased."""
    return RefusedRow(line, "", Refusal.ERASED, ERASED_REASON)


class ContactStore:
    """Adds contacts to one campaign. `transaction` opens a transaction with the caller's rights.

    `erasure_keys` recognize phones that were erased, which are refused. With an `organization_id`, the campaign is one
    of that organization.
    """

    def __init__(
        self,
        transaction: Transaction,
        campaign_id: UUID,
        clock: Clock,
        *,
        organization_id: UUID | None = None,
        erasure_keys: ErasureKeys | None = None,
        import_id: UUID | None = None,
        on_added: OnAdded | None = None,
    ) -> None:
        self._transaction, self._campaign_id, self._clock = transaction, campaign_id, clock
        self._organization_id, self._erasure_keys = organization_id, erasure_keys
        self._import_id = import_id
        self._on_added = on_added
        self._added = 0

    async def check(self) -> list[str]:
        """Return the names of the variables that a sample of the campaign's contacts has.

        Raises CampaignNotFound or CampaignClosed if the campaign accepts no contacts, and ErasureKeyMissing if erased
        phones could not be recognized.
        """
        async with self._transaction() as connection:
            campaign = await self._lock(connection)
            await find_erased(connection, campaign.organization_id, (), self._erasure_keys)
            return await added_contacts.variable_names(connection, campaign_id=self._campaign_id)

    async def record(self, actor: Actor, details: Mapping[str, object]) -> None:
        """Record what an import has added in the audit log."""
        async with self._transaction() as connection:
            campaign = await campaign_status.campaign_status(connection, campaign_id=self._campaign_id)
            if campaign is None:
                return
            await audit.record_audit(
                connection,
                organization_id=campaign.organization_id,
                actor=actor.name,
                action="import_contacts",
                subject_type="campaign",
                subject_id=str(self._campaign_id),
                details=encode_json(details),
            )

    async def store(self, contacts: Sequence[NewContact]) -> Stored:
        """Add `contacts`, all with different phones, to the campaign, and wake it if it is active.

        Raises CampaignNotFound or CampaignClosed if the campaign has changed in the meantime.
        """
        try:
            stored = await self._store_together(contacts)
        except _ROW_ERRORS as error:
            async with self._transaction() as connection:
                await self._lock(connection)  # raises CampaignClosed if the campaign has been cancelled meanwhile
            if len(contacts) == 1:
                reason = f"the database rejected it: {error}"
                return Stored(0, 0, [contacts[0].refuse(Refusal.DATABASE, reason)])
            middle = len(contacts) // 2
            first, second = await self.store(contacts[:middle]), await self.store(contacts[middle:])
            return first + second
        self._added += stored.added
        return stored

    async def without_cells_of_erased(self, rows: Sequence[RefusedRow]) -> list[RefusedRow]:
        """Return rows that were refused for another reason; those of erased phones as such, without their cells."""
        phones = {row.phone for row in rows if row.phone is not None}
        if not phones:
            return list(rows)
        async with self._transaction() as connection:
            campaign = await self._lock(connection)
            erased = await find_erased(connection, campaign.organization_id, sorted(phones), self._erasure_keys)
        return [erased_row(row.line) if row.phone in erased else row for row in rows]

    async def _store_together(self, contacts: Sequence[NewContact]) -> Stored:
        async with self._transaction() as connection:
            campaign = await self._lock(connection)
            organization_id = campaign.organization_id
            phones = [contact.phone for contact in contacts]
            blocked = frozenset(
                await do_not_call.blocked_phones(
                    connection, organization_id=organization_id, phones=phones, campaign_id=self._campaign_id
                )
            )
            erased = await find_erased(connection, organization_id, phones, self._erasure_keys)
            allowed = [contact for contact in contacts if contact.phone not in blocked | erased]
            entered = await self._add(connection, campaign, allowed)
            added = len(entered)
            if self._on_added is not None:
                await self._on_added(connection, added)
            if added and campaign.status == CampaignStatus.ACTIVE:
                # Last: a claim skips the campaign from here until the transaction ends.
                await batches.announce_contacts(connection, campaign_id=self._campaign_id, now=self._clock.now())
        refused = [
            contact.refuse(Refusal.DO_NOT_CALL, "is on the do-not-call list")
            for contact in contacts
            if contact.phone in blocked - erased
        ]
        refused += [erased_row(contact.line) for contact in contacts if contact.phone in erased]
        return Stored(added, len(allowed) - added, refused, entered)

    async def _lock(self, connection: Connection) -> campaign_status.CampaignState:
        campaign = await campaign_status.lock_campaign_for_import(connection, campaign_id=self._campaign_id)
        if campaign is None or self._organization_id not in (None, campaign.organization_id):
            raise CampaignNotFound(self._campaign_id)
        if campaign.status not in OPEN_TO_IMPORT:
            raise CampaignClosed(campaign.status, self._added)
        return campaign

    async def _add(
        self, connection: Connection, campaign: campaign_status.CampaignState, contacts: Sequence[NewContact]
    ) -> Mapping[str, UUID]:
        """Store the contacts and add them to the campaign. Returns those that are new in it, or again, by phone."""
        organization_id = campaign.organization_id
        # Sorted by phone, so that two imports of the same contacts wait for each other and do not deadlock.
        by_phone = sorted(contacts, key=lambda contact: contact.phone)
        await entries.lock_entries(
            connection,
            organization_id=organization_id,
            campaign_id=self._campaign_id,
            phones=[contact.phone for contact in by_phone],
        )
        now = self._clock.now()
        stored = await contact_queries.upsert_contacts(
            connection,
            organization_id=organization_id,
            import_id=self._import_id,
            keys_version=KEYS_VERSION,
            now=now,
            contacts=encode_json(
                [
                    {
                        "id": new_id(now),
                        "phone": contact.phone,
                        "zone_key": contact.location.place.zone_key,
                        "zone_source": contact.location.zone_source,
                        "jurisdiction_key": contact.location.place.jurisdiction_key,
                        **contact.details,
                    }
                    for contact in by_phone
                ]
            ),
        )
        if given := {contact.phone: contact.consent for contact in by_phone if contact.consent is not None}:
            await store_consents(connection, organization_id, given, now)
        upserted = {contact.phone: contact for contact in stored}
        places = await _update_keys(connection, contacts, upserted)
        entering = {upserted[contact.phone].id: contact for contact in contacts}
        added = await added_contacts.add_campaign_contacts(
            connection,
            organization_id=organization_id,
            campaign_id=self._campaign_id,
            ids=[new_id(now) for _ in entering],
            contact_ids=list(entering),
            phones=[contact.phone for contact in entering.values()],
            zone_keys=[places[contact.phone].zone_key for contact in entering.values()],
            jurisdiction_keys=[places[contact.phone].jurisdiction_key for contact in entering.values()],
            next_attempt_ats=[contact.not_before or now for contact in entering.values()],
            ranks=[contact.rank for contact in entering.values()],
            variables=[contact.variables for contact in entering.values()],
            import_id=self._import_id,
            now=now,
        )
        new = {row.contact_id for row in added}
        rest = {contact_id: contact for contact_id, contact in entering.items() if contact_id not in new}
        again = await _enter_again(connection, campaign, rest, now) if rest else []
        new_ids = {row.contact_id: row.id for row in added} | {row.contact_id: row.id for row in again}
        return {entering[contact_id].phone: id for contact_id, id in new_ids.items()}


async def _enter_again(
    connection: Connection, campaign: campaign_status.CampaignState, contacts: Mapping[UUID, NewContact], now: datetime
) -> list[entries.ReenteredContact]:
    """Add contacts again that are finished, after the campaign's reentry_after; refresh those that are pending."""
    contact_ids, variables = list(contacts), [contact.variables for contact in contacts.values()]
    await added_contacts.refresh_variables(
        connection, campaign_id=campaign.id, contact_ids=contact_ids, variables=variables, now=now
    )
    if campaign.reentry_after is None:
        return []
    return await entries.reenter_contacts(
        connection,
        organization_id=campaign.organization_id,
        campaign_id=campaign.id,
        contact_ids=contact_ids,
        variables=variables,
        ranks=[contact.rank for contact in contacts.values()],
        next_attempt_ats=[contact.not_before or now for contact in contacts.values()],
        now=now,
    )


async def _update_keys(
    connection: Connection,
    contacts: Sequence[NewContact],
    upserted: Mapping[str, contact_queries.UpsertedContact],
) -> dict[str, Place]:
    """Return the places of the stored contacts. A stored column that the file leaves empty counts too."""
    places: dict[str, Place] = {}
    changed: list[tuple[UUID, StoredKeys]] = []
    for contact in contacts:
        row = upserted[contact.phone]
        stated = StatedPlace(timezone=row.timezone, country=row.country, region=row.region, postal_code=row.postal_code)
        places[contact.phone] = Place(row.zone_key, row.jurisdiction_key)
        says_nothing = contact.location.stated == StatedPlace()
        if row.keys_version >= KEYS_VERSION and (says_nothing or contact.location.stated == stated):
            continue
        keys = locate_stored(phone_of(contact.phone), stated, row.zone_key)
        places[contact.phone] = keys.place
        changed.append((row.id, keys))
    if changed:
        await contact_keys.set_contact_keys(
            connection,
            ids=[contact_id for contact_id, _ in changed],
            zone_keys=[keys.place.zone_key for _, keys in changed],
            zone_sources=[keys.zone_source for _, keys in changed],
            jurisdiction_keys=[keys.place.jurisdiction_key for _, keys in changed],
            keys_version=KEYS_VERSION,
        )
    return places
