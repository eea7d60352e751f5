"""Explains why a contact may or may not be called at a time: the calling hours and each rule that applies."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from outdial.domain.calling_hours import ALL_HOURS, CallingHours, local_times
from outdial.domain.errors import UnknownZone
from outdial.domain.explaining.rule_wording import block_name, cap_text, default_hours_text, rule_text
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from outdial.domain.rules import (
    UNRESTRICTED,
    CallingRule,
    EffectiveWindow,
    KeysMissing,
    NoRules,
    Prohibited,
    RuleBook,
    RuleCap,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One condition of a call: the calling hours, a rule, or the check for a missing rule.

    `next_open` is when it next allows a call; None if it allows one now, or never will.
    """

    name: str
    is_open: bool
    text: str
    next_open: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneHistory:
    """What an organization knows about a number: whether it is on the do-not-call list, and when it was called.

    `called_at` is newest first and reaches back over the longest period of a cap. `permissions` are the gates of
    consent and of lists.
    """

    do_not_call: bool
    permissions: tuple[Gate, ...] = ()
    called_at: tuple[datetime, ...]
    daily_call_cap: int


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
    book: RuleBook,
    *,
    hours: CallingHours | None,
    place: Place,
    purpose: Purpose,
    at: datetime,
    history: PhoneHistory | None = None,
) -> RuleExplanation:
    """Evaluate every gate of a call at `at`: each rule in force, and what is known about the campaign and the number.

    `hours` are the calling hours of a campaign, None for no campaign.
    """
    window = book.window(hours or ALL_HOURS, place, purpose)
    rules = window.rules_at(at)
    gates = [] if hours is None else [_hours_gate(hours, place, purpose, at)]
    block = window.blocked_at(at)
    if block is not None and not isinstance(block, Prohibited):
        gates.append(Gate(name=block_name(block), is_open=False, text=_remedy(block, purpose)))
    default = book.default_window(place, purpose, at)
    if default is not None:
        gates.append(_gate("default hours", default, at, default_hours_text(book)))
    gates += [_rule_gate(rule, book=book, place=place, purpose=purpose, at=at) for rule in rules]
    known = [] if history is None else _history_gates(history, rules, at)
    return RuleExplanation(
        place=place,
        purpose=purpose,
        at=at,
        local_times=_local_times(place, at),
        rules=rules,
        gates=(*gates, *known),
        is_open=window.is_open(at) and all(gate.is_open for gate in known),
        next_open=_next_open(window, known, at),
    )


def _next_open(window: EffectiveWindow, known: list[Gate], at: datetime) -> datetime | None:
    free = at
    for gate in known:
        if not gate.is_open:
            if gate.next_open is None:
                return None
            free = max(free, gate.next_open)
    return window.next_open(free)


def _history_gates(history: PhoneHistory, rules: tuple[CallingRule, ...], at: datetime) -> list[Gate]:
    listed = "the number is on the do-not-call list" if history.do_not_call else "the number is not on the list"
    daily = RuleCap(history.daily_call_cap, timedelta(days=1))
    return [
        Gate(name="do-not-call list", is_open=not history.do_not_call, text=listed),
        *history.permissions,
        _cap_gate("daily cap", daily, history, at),
        *(_cap_gate(f"{rule.id} cap", rule.cap, history, at) for rule in rules if rule.cap is not None),
    ]


def _cap_gate(name: str, cap: RuleCap, history: PhoneHistory, at: datetime) -> Gate:
    recent = [moment for moment in history.called_at if at - cap.period < moment <= at]
    text = f"{len(recent)} of {cap_text(cap)}"
    if len(recent) < cap.count:
        return Gate(name=name, is_open=True, text=text)
    return Gate(name=name, is_open=False, text=text, next_open=recent[cap.count - 1] + cap.period)


def _remedy(block: NoRules | KeysMissing, purpose: Purpose) -> str:
    match block:
        case NoRules(countries):
            calls = "" if purpose is Purpose.SALES else f" for {purpose} calls"
            checks = ", ".join(block.rule_ids)
            return f"no rule for {', '.join(countries)}{calls}: an admin can add one, or switch {checks} off"
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
    return _gate(rule.id, book.alone(rule).window(ALL_HOURS, place, purpose), at, rule_text(rule))


def _gate(name: str, window: EffectiveWindow, at: datetime, text: str) -> Gate:
    is_open = window.is_open(at)
    return Gate(name=name, is_open=is_open, text=text, next_open=None if is_open else window.next_open(at))


def _local_times(place: Place, at: datetime) -> dict[str, str]:
    try:
        return local_times(place.zone_key, at)
    except UnknownZone:
        return {}
