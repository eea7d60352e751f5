"""Contacts that the calling rules exclude, counted by place: for imports and campaigns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from outdial.domain.calling_hours import CallingHours
from outdial.domain.explaining.rule_wording import block_text
from outdial.domain.geography.place_names import place_names
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import Block, KeysMissing, NoRules, Prohibited, RuleBook

COUNTED: Final = 1_000
"""Contacts of a place are counted up to this number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedContacts:
    """Contacts of one place with the same reason; `block` is None if the hours never meet the rules."""

    jurisdiction_key: str
    block: Block | None
    contacts: int

    @property
    def text(self) -> str:
        """The reason in a sentence without a full stop, such as `12 contacts in Spain: no rule`."""
        number = f"{self.contacts:,}" if self.contacts < COUNTED else f"{self.contacts:,} or more"
        those = "1 contact" if self.contacts == 1 else f"{number} contacts"
        reason = "the calling hours never meet the rules" if self.block is None else block_text(self.block)
        if isinstance(self.block, KeysMissing):
            return f"{those}: {reason}"
        return f"{those} in {place_names(self.jurisdiction_key)}: {reason}"

    @property
    def rule_id(self) -> str | None:
        """The rule, or pseudo rule, to look at; None if there is not exactly one."""
        match self.block:
            case Prohibited(rule):
                return rule.id
            case NoRules(countries) if len(countries) == 1:
                return self.block.rule_ids[0]
            case _:
                return None


def closed_contacts(
    book: RuleBook, *, hours: CallingHours, purpose: Purpose, counts: Mapping[Place, int], at: datetime
) -> tuple[ClosedContacts, ...]:
    """Return the contacts in places where no call is allowed at any hour, most first."""
    found: dict[tuple[str, Block | None], int] = {}
    for place, contacts in counts.items():
        window = book.window(hours, place, purpose)
        block = window.blocked_at(at)
        if block is not None or window.never_opens(at):
            key = place.jurisdiction_key, block
            found[key] = found.get(key, 0) + contacts
    closed = (ClosedContacts(jurisdiction_key=key[0], block=key[1], contacts=count) for key, count in found.items())
    return tuple(sorted(closed, key=lambda each: (-each.contacts, each.jurisdiction_key)))
