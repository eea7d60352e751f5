"""Evidence packs: everything that shows why a call, the calls to a phone or those of a campaign were placed.

A pack is read in portions, each in its own transaction, so that a campaign of any size takes little memory and
holds no transaction open while its reader is slow.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, assert_never
from uuid import UUID

import msgspec

from outdial import __version__
from outdial.db.queries.proofs import evidence_facts
from outdial.db.queries.proofs import evidence_pack as queries
from outdial.db.session import Connection
from outdial.evidence.errors import EvidenceNotFound
from outdial.rules.pack import shipped_rules

FORMAT: Final = "outdial-evidence-1"
PORTION: Final = 500
NO_RULES_RECORDED: Final = "this call was placed before decisions named the rules"

Item = dict[str, Any]
OpenTransaction = Callable[[], AbstractAsyncContextManager[Connection]]

# Numbers stay as they were written: a float would look like its rounded value.
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class EvidenceKind(StrEnum):
    """What a pack is about."""

    CALL = "call"
    PHONE = "phone"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSubject:
    """What a pack is about: the id of a call or a campaign, or a phone in E.164."""

    kind: EvidenceKind
    id: str
    organization_id: UUID
    campaign_ids: tuple[UUID, ...]
    phone: str | None = None
    contact_id: UUID | None = None
    campaign_contact_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PackSection:
    """A member of the pack: one value, or the items of a list as they are read."""

    name: str
    value: Any = None
    items: AsyncIterator[Item] | None = None


async def find_subject(
    connection: Connection, kind: EvidenceKind, id: UUID | str, organization_id: UUID | None = None
) -> EvidenceSubject:
    """Find what a pack is to be about; a phone needs its organization. Raises EvidenceNotFound."""
    match kind:
        case EvidenceKind.CALL:
            call = await queries.find_evidence_call(connection, call_id=UUID(str(id)))
            if call is None or organization_id not in (None, call.organization_id):
                raise EvidenceNotFound(kind, id)
            return EvidenceSubject(
                kind=kind,
                id=str(id),
                organization_id=call.organization_id,
                campaign_ids=(call.campaign_id,),
                phone=call.phone,
                contact_id=call.contact_id,
                campaign_contact_id=call.campaign_contact_id,
            )
        case EvidenceKind.CAMPAIGN:
            campaign = await queries.find_evidence_campaign(connection, campaign_id=UUID(str(id)))
            if campaign is None or organization_id not in (None, campaign.organization_id):
                raise EvidenceNotFound(kind, id)
            return EvidenceSubject(
                kind=kind,
                id=str(id),
                organization_id=campaign.organization_id,
                campaign_ids=(UUID(str(id)),),
            )
        case EvidenceKind.PHONE:
            if organization_id is None:
                raise EvidenceNotFound("organization of phone", id)
            found = await queries.campaigns_of_phone(connection, organization_id=organization_id, phone=str(id))
            return EvidenceSubject(
                kind=kind, id=str(id), organization_id=organization_id, campaign_ids=tuple(found), phone=str(id)
            )
        case never:
            assert_never(never)


class EvidencePack:
    """Reads the sections of a pack. `open_transaction` yields a connection that sees the organization."""

    def __init__(
        self, open_transaction: OpenTransaction, subject: EvidenceSubject, *, taken_at: datetime, taken_by: str
    ) -> None:
        self.subject = subject
        self._open = open_transaction
        self._taken = {"at": taken_at, "by": taken_by}
        self._organization_id = subject.organization_id
        # What the decisions of the calls name: a rule, and the date of the pack that it was in.
        self._used_rules: set[tuple[str, str]] = set()

    async def sections(self, *, most_contacts: int | None = None) -> AsyncIterator[PackSection]:
        """Yield the members of the pack in the order of their names. Read the items of each before the next one."""
        yield PackSection("audit", items=self._campaign_audit())
        yield PackSection("campaigns", items=self._campaigns())
        yield PackSection("contacts", items=self.contacts(most=most_contacts))
        yield PackSection("format", FORMAT)
        yield PackSection("rule_switches", items=self._switches())
        yield PackSection("rules", items=self._rules())
        yield PackSection("screening_lists", items=self._lists())
        yield PackSection("subject", {"id": self.subject.id, "kind": self.subject.kind})
        async with self._open() as connection:
            versions = await queries.evidence_versions(connection, organization_id=self._organization_id)
        if versions is None:
            raise EvidenceNotFound("organization", self._organization_id)
        yield PackSection(
            "taken",
            self._taken | {"organization": versions.organization, "organization_id": self._organization_id},
        )
        yield PackSection(
            "versions",
            {"outdial": __version__, "postgres": versions.postgres, "rule_pack": shipped_rules().pack_date},
        )

    async def contacts(self, *, most: int | None = None) -> AsyncIterator[Item]:
        """Yield contacts with their consents, lists, campaigns, attempts with events, and audit entries."""
        seen, after = 0, None
        while most is None or seen < most:
            limit = PORTION if most is None else min(PORTION, most - seen)
            async with self._open() as connection:
                portion = await self._contacts_after(connection, after, limit)
                if not portion and self.subject.kind is EvidenceKind.CAMPAIGN:
                    return
                items = await self._with_facts(connection, portion)
            for item in items:
                yield item
            seen += len(portion)
            if self.subject.kind is not EvidenceKind.CAMPAIGN or len(portion) < limit:
                return
            after = portion[-1].id

    async def _contacts_after(
        self, connection: Connection, after: UUID | None, limit: int
    ) -> list[queries.PackedContact]:
        if self.subject.kind is EvidenceKind.CAMPAIGN:
            return await queries.campaign_evidence_contacts(
                connection,
                organization_id=self._organization_id,
                campaign_id=self.subject.campaign_ids[0],
                after_id=after,
                limit=limit,
            )
        return await queries.evidence_contacts(
            connection,
            organization_id=self._organization_id,
            contact_id=self.subject.contact_id,
            phone=self.subject.phone or "",
        )

    async def _with_facts(self, connection: Connection, portion: Sequence[queries.PackedContact]) -> list[Item]:
        organization_id = self._organization_id
        phones = [contact.phone for contact in portion] or [self.subject.phone or ""]
        memberships = await queries.evidence_memberships(
            connection,
            organization_id=organization_id,
            contact_ids=[contact.id for contact in portion],
            campaign_id=None if self.subject.kind is EvidenceKind.PHONE else self.subject.campaign_ids[0],
        )
        if portion:
            attempts = await queries.evidence_attempts(
                connection,
                organization_id=organization_id,
                campaign_contact_ids=[membership.id for membership in memberships],
            )
        else:
            attempts = await queries.attempts_without_contact(
                connection, organization_id=organization_id, phone=phones[0]
            )
        facts = await self._facts(
            connection,
            phones,
            calls=[attempt.id for attempt in attempts],
            subjects=[row.id for rows in (portion, memberships) for row in rows],
        )
        campaigns, calls = _by("contact_id", memberships), _by("contact_id", attempts)
        if not portion:
            return [self._item(None, phones[0], [], attempts, facts)]
        return [
            self._item(contact, contact.phone, campaigns.get(contact.id, []), calls.get(contact.id, []), facts)
            for contact in portion
        ]

    async def _facts(
        self, connection: Connection, phones: Sequence[str], *, calls: Sequence[UUID], subjects: Sequence[UUID]
    ) -> "_PhoneFacts":
        id = self._organization_id
        return _PhoneFacts(
            consents=_by(
                "phone", await evidence_facts.evidence_consents(connection, organization_id=id, phones=phones)
            ),
            blocks=_by("phone", await evidence_facts.evidence_blocks(connection, organization_id=id, phones=phones)),
            listings=_by(
                "phone", await evidence_facts.evidence_listings(connection, organization_id=id, phones=phones)
            ),
            events=_by(
                "call_id",
                await queries.evidence_events(connection, organization_id=id, call_ids=calls),
            ),
            deletions=_by(
                "call_id",
                await queries.evidence_deletions(connection, organization_id=id, call_ids=calls),
            ),
            audit=await self._audit_by_subject(connection, [*phones, *map(str, subjects), *map(str, calls)]),
        )

    def _item(
        self,
        contact: queries.PackedContact | None,
        phone: str,
        memberships: Sequence[queries.PackedMembership],
        attempts: Sequence[queries.PackedAttempt],
        facts: "_PhoneFacts",
    ) -> Item:
        subjects = [phone, *(str(row.id) for row in memberships), *(str(row.id) for row in attempts)]
        if contact is not None:
            subjects.append(str(contact.id))
        audit = {entry["id"]: entry for subject in subjects for entry in facts.audit.get(subject, [])}
        return {
            "attempts": [self._attempt(attempt, facts) for attempt in attempts],
            "audit": [audit[id] for id in sorted(audit)],
            "campaigns": [as_item(row) for row in memberships],
            "consents": [as_item(row) for row in facts.consents.get(phone, [])],
            "contact": None if contact is None else as_item(contact),
            "do_not_call": [as_item(row) for row in facts.blocks.get(phone, [])],
            "phone": phone,
            "screening_lists": [row.list_id for row in facts.listings.get(phone, [])],
        }

    def _attempt(self, attempt: queries.PackedAttempt, facts: "_PhoneFacts") -> Item:
        item = as_item(attempt, json=("decision", "hook_result"))
        decision = item["decision"]
        named = decision.get("rule_ids")
        if isinstance(named, list):
            self._used_rules.update((str(rule_id), str(decision.get("pack_date") or "")) for rule_id in named)
        return item | {
            "deletions": [as_item(deletion) for deletion in facts.deletions.get(attempt.id, [])],
            "events": [as_item(event) for event in facts.events.get(attempt.id, [])],
            "rules_note": None if isinstance(named, list) else NO_RULES_RECORDED,
        }

    async def _campaigns(self) -> AsyncIterator[Item]:
        async with self._open() as connection:
            rows = await queries.evidence_campaigns(
                connection, organization_id=self._organization_id, ids=list(self.subject.campaign_ids)
            )
        for row in rows:
            yield as_item(row, json=("calling_hours", "retry_policy"))

    async def _campaign_audit(self) -> AsyncIterator[Item]:
        subjects = [str(id) for id in self.subject.campaign_ids]
        async with self._open() as connection:
            found = await self._audit_by_subject(connection, subjects)
        for entry in sorted((entry for entries in found.values() for entry in entries), key=lambda entry: entry["id"]):
            yield entry

    async def _audit_by_subject(self, connection: Connection, subjects: Sequence[str]) -> Mapping[str, list[Item]]:
        rows = await evidence_facts.evidence_audit(
            connection, organization_id=self._organization_id, subject_ids=list(subjects)
        )
        found: dict[str, list[Item]] = {}
        for row in rows:
            found.setdefault(row.subject_id, []).append(as_item(row))
        return found

    async def _switches(self) -> AsyncIterator[Item]:
        async with self._open() as connection:
            rows = await evidence_facts.evidence_switches(connection, organization_id=self._organization_id)
        for row in rows:
            yield as_item(row)

    async def _rules(self) -> AsyncIterator[Item]:
        used = sorted(self._used_rules)
        async with self._open() as connection:
            rows = await evidence_facts.evidence_rules(
                connection,
                organization_id=self._organization_id,
                rule_ids=[rule_id for rule_id, _ in used],
                pack_dates=[pack_date for _, pack_date in used],
            )
        known: dict[tuple[str, str], Item] = {}
        for row in rows:
            known[row.rule_id, row.pack_date or ""] = as_item(row, json=("body",)) | {"on_record": True}
        for rule_id, pack_date in used:
            unknown = {"on_record": False, "pack_date": pack_date or None, "rule_id": rule_id}
            yield known.get((rule_id, pack_date)) or known.get((rule_id, "")) or unknown

    async def _lists(self) -> AsyncIterator[Item]:
        async with self._open() as connection:
            rows = await evidence_facts.evidence_lists(connection, organization_id=self._organization_id)
        for row in rows:
            yield as_item(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PhoneFacts:
    consents: Mapping[Any, list[evidence_facts.PackedConsent]]
    blocks: Mapping[Any, list[evidence_facts.PackedBlock]]
    listings: Mapping[Any, list[evidence_facts.PackedListing]]
    events: Mapping[Any, list[queries.PackedEvent]]
    deletions: Mapping[Any, list[queries.PackedDeletion]]
    audit: Mapping[str, list[Item]]


def as_item(row: Any, *, json: Sequence[str] = ()) -> Item:
    """Return a row as a JSON object; the columns in `json` hold JSON text."""
    return {
        column.name: _decode(value) if column.name in json and value is not None else value
        for column in fields(row)
        for value in [getattr(row, column.name)]
    }


def _by(column: str, rows: Iterable[Any]) -> dict[Any, list[Any]]:
    """Group rows that are sorted by a column."""
    return {key: list(group) for key, group in groupby(rows, attrgetter(column))}
