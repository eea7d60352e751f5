"""Evidence packs: take one, which the audit log records, and read the sections of its page."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from outdial.db.queries.proofs import evidence_pack
from outdial.domain.errors import DomainError
from outdial.domain.explaining.rule_wording import force_text, rule_text
from outdial.domain.phone import InvalidPhone, parse_phone
from outdial.domain.rule_parsing import parse_rule
from outdial.evidence.errors import EvidenceNotFound
from outdial.evidence.file import pack_chunks
from outdial.evidence.pack import EvidenceKind, EvidencePack, Item, find_subject
from outdial.studio.view.decisions import explain_decision
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceNotFound

MOST_CONTACTS: Final = 20
"""Contacts on the page of a campaign. Its file has all of them."""
_NAMES: Final[Mapping[EvidenceKind, str]] = {
    EvidenceKind.CALL: "Call",
    EvidenceKind.PHONE: "Phone number",
    EvidenceKind.CAMPAIGN: "Campaign",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenEvidence:
    """A pack that may be read, and the name of its file."""

    pack: EvidencePack
    file_name: str

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the file."""
        return pack_chunks(self.pack)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidencePage:
    """The sections of a pack for its page. `contact_count` includes contacts that are only in the file."""

    sections: Mapping[str, Any]
    contact_count: int


async def take_evidence(context: OrganizationContext, kind: EvidenceKind, id: str) -> TakenEvidence:
    """Record that the caller takes evidence, and return the pack.

    Raises PermissionDenied below operator, ResourceNotFound and InvalidInput.
    """
    context.require("operator")
    if kind is EvidenceKind.PHONE:
        parsed = parse_phone(id, None)
        if isinstance(parsed, InvalidPhone):
            raise InvalidInput("Invalid phone number", {"id": parsed.reason})
        id = parsed.e164
    elif not _is_uuid(id):
        raise InvalidInput("Invalid id", {"id": f"must be the id of a {kind}"})
    async with context.transaction() as connection:
        try:
            subject = await find_subject(connection, kind, id, context.organization_id)
        except EvidenceNotFound:
            raise ResourceNotFound(f"{_NAMES[kind]} not found") from None
        await record_audit(connection, context, "take_evidence", subject.kind, subject.id)
    now = context.studio.clock.now()
    name = f"evidence-{subject.kind}-{subject.id.lstrip('+')}-{now:%Y-%m-%d}.json"
    pack = EvidencePack(context.transaction, subject, taken_at=now, taken_by=context.actor.name)
    return TakenEvidence(pack=pack, file_name=name)


async def evidence_page(context: OrganizationContext, taken: TakenEvidence) -> EvidencePage:
    """Read the sections of a pack for its page; of a campaign, the first contacts only."""
    subject = taken.pack.subject
    is_campaign = subject.kind is EvidenceKind.CAMPAIGN
    sections: dict[str, Any] = {}
    async for section in taken.pack.sections(most_contacts=MOST_CONTACTS if is_campaign else None):
        if section.items is None:
            sections[section.name] = section.value
        else:
            sections[section.name] = [item async for item in section.items]
    count = len(sections["contacts"])
    if is_campaign:
        async with context.transaction() as connection:
            count = await evidence_pack.count_evidence_contacts(
                connection, organization_id=context.organization_id, campaign_id=subject.campaign_ids[0]
            )
    return EvidencePage(sections=sections, contact_count=count)


def decision_sentences(attempt: Item) -> list[str]:
    """Return why an attempt was allowed, in sentences."""
    return explain_decision(attempt["decision"] | {"pre_dial_hook": attempt["hook_result"]})


def rule_sentence(rule: Item) -> str:
    """Return what a rule required, and when it was in force."""
    if not rule["on_record"]:
        return "No copy of this rule is on record"
    try:
        parsed = parse_rule(rule["body"])
    except DomainError:
        return "This page cannot show the format of this rule: see the file"
    return "; ".join(part for part in (rule_text(parsed), force_text(parsed)) if part)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
