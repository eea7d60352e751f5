"""Says why a contact may be called at a time or not: calling hours and each rule that applies, one by one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from outdial.domain.calling_hours import ALWAYS_OPEN, CallingHours, local_times, parse_calling_hours
from outdial.domain.errors import UnknownZone
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rule_wording import block_name, rule_text
from outdial.domain.rules import (
    UNRESTRICTED,
    CallingRule,
    EffectiveWindow,
    KeysMissing,
    NoRules,
    Prohibited,
    RuleBook,
)

_ALL_DAY: Final = parse_calling_hours(ALWAYS_OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One thing that has to allow a call: the calling hours, a rule, or the want of one.

    `next_open` is when it allows one again; None if it does now, or never does.
    """

    name: str
    is_open: bool
    text: str
    next_open: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleExplanation:
    """Whether a contact may be called at a time, what decides it, and the next moment when every gate is open."""

    place: Place
    purpose: Purpose
    at: datetime
    local_times: Mapping[str, str]
    rules: tuple[CallingRule, ...]
    gates: tuple[Gate, ...]
    is_open: bool
    next_open: datetime | None


def explain_rules(
    book: RuleBook, *, hours: CallingHours | None, place: Place, purpose: Purpose, at: datetime
) -> RuleExplanation:
    """Evaluate the calling hours of a campaign, None for no campaign, and each rule in force at `at`."""
    window = book.window(hours or _ALL_DAY, place, purpose)
    block = window.blocked_at(at)
    gates = [] if hours is None else [_hours_gate(hours, place, purpose, at)]
    if block is not None and not isinstance(block, Prohibited):
        gates.append(Gate(name=block_name(block), is_open=False, text=_remedy(block)))
    rules = window.rules_at(at)
    gates += [_rule_gate(rule, book=book, place=place, purpose=purpose, at=at) for rule in rules]
    is_open = window.is_open(at)
    return RuleExplanation(
        place=place,
        purpose=purpose,
        at=at,
        local_times=_local_times(place, at),
        rules=rules,
        gates=tuple(gates),
        is_open=is_open,
        next_open=at if is_open else window.next_open(at),
    )


def _remedy(block: NoRules | KeysMissing) -> str:
    match block:
        case NoRules(countries):
            return (
                f"no rule for {', '.join(countries)}: an admin can add one, or switch {', '.join(block.rule_ids)} off"
            )
        case KeysMissing():
            return "the place of the contact is not computed yet"
        case never:
            assert_never(never)


def _hours_gate(hours: CallingHours, place: Place, purpose: Purpose, at: datetime) -> Gate:
    window = UNRESTRICTED.window(hours, place, purpose)
    return _gate("calling hours", window, at, "the calling hours of the campaign")


def _rule_gate(rule: CallingRule, *, book: RuleBook, place: Place, purpose: Purpose, at: datetime) -> Gate:
    if rule.prohibited:
        return Gate(name=rule.id, is_open=False, text=rule_text(rule))
    return _gate(rule.id, book.alone(rule).window(_ALL_DAY, place, purpose), at, rule_text(rule))


def _gate(name: str, window: EffectiveWindow, at: datetime, text: str) -> Gate:
    is_open = window.is_open(at)
    return Gate(name=name, is_open=is_open, text=text, next_open=None if is_open else window.next_open(at))


def _local_times(place: Place, at: datetime) -> dict[str, str]:
    try:
        return local_times(place.zone_key, at)
    except UnknownZone:
        return {}
