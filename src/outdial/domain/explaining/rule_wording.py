"""Calling rules in words, for pages and commands."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Final, assert_never

from outdial.domain.calling_hours import clock_text
from outdial.domain.openings import ALL_DAY, Window, Windows
from outdial.domain.purpose import Purpose, RequiredConsent
from outdial.domain.rules import (
    STALE_AFTER,
    Block,
    CallingRule,
    KeysMissing,
    NoRules,
    Prohibited,
    RuleBook,
    RuleCap,
    RuleConfidence,
)

NOT_LEGAL_ADVICE: Final = "Not legal advice: verify a rule at its source before you rely on it."
CONFIDENCES: Final = {
    RuleConfidence.QUOTED: "Text of the law quoted",
    RuleConfidence.SECONDARY: "Secondary source",
    RuleConfidence.OPEN: "To be verified before use",
}

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOUR: Final = timedelta(hours=1)

MinuteText = Callable[[int], str]
"""Writes a minute of the day, up to 1440: `20:00` for commands and the API, `8:00 PM` for pages."""


def week_text(week: Sequence[Windows], minute_text: MinuteText = clock_text) -> str:
    """Return the windows of a week, Monday first: `Mon–Fri 09:00–20:00; Sat 10:00–17:00; Sun closed`."""
    parts = []
    for windows, days in groupby(zip(_DAYS, week, strict=True), key=lambda item: item[1]):
        names = [name for name, _ in days]
        text = ", ".join(window_text(window, minute_text) for window in windows) or "closed"
        parts.append((names[0] if len(names) == 1 else f"{names[0]}–{names[-1]}", text))
    if len(parts) == 1:
        if week[0] == ALL_DAY:
            return "Around the clock"
        return f"Every day {parts[0][1]}" if week[0] else "Closed every day"
    return "; ".join(f"{days} {text}" for days, text in parts)


def window_text(window: Window, minute_text: MinuteText = clock_text) -> str:
    """Return a window as `09:00–20:00`."""
    return f"{minute_text(window.start_minute)}–{minute_text(window.end_minute)}"


def hours_text(rule: CallingRule, minute_text: MinuteText = clock_text) -> str:
    """Return the hours that a rule allows, with its time zone and holidays if it has them; empty without hours."""
    parts = []
    if rule.week is not None:
        parts.append(week_text(rule.week, minute_text))
        if rule.zone is not None:
            parts.append(f"in {rule.zone} time")
    if rule.holidays:
        parts.append(f"closed on public holidays ({', '.join(rule.holidays)})")
    return ", ".join(parts)


def default_hours_text(book: RuleBook, minute_text: MinuteText = clock_text) -> str:
    """Return what holds where no rule sets hours, in a sentence without a full stop; empty if nothing does."""
    if book.default_hours is None:
        return ""
    week = week_text(book.default_hours, minute_text)
    return f"where no rule sets hours, Outdial's default hours hold: {week[:1].lower()}{week[1:]}"


def cap_text(cap: RuleCap) -> str:
    """Return a cap as `3 calls in 24 hours`."""
    calls = "1 call" if cap.count == 1 else f"{cap.count} calls"
    hours = cap.period // _HOUR
    return f"{calls} in {hours // 24} days" if hours > 24 and hours % 24 == 0 else f"{calls} in {hours} hours"


def duties_of(rule: CallingRule) -> list[str]:
    """Return what a rule requires of the caller besides hours and caps: consent, lists and disclosures."""
    duties = [] if rule.consent is RequiredConsent.NONE else [f"{rule.consent} consent".capitalize()]
    if rule.lists:
        duties.append(f"{' and '.join(rule.lists)} list checked".capitalize())
    return duties + ([rule.disclosure] if rule.disclosure else [])


def rule_text(rule: CallingRule, minute_text: MinuteText = clock_text) -> str:
    """Return all that a rule requires, in one line; its note if no field of Outdial holds a requirement."""
    prohibited = ["No such calls"] if rule.prohibited else []
    caps = [] if rule.cap is None else [f"At most {cap_text(rule.cap)} to a number"]
    hours = hours_text(rule, minute_text)
    parts = [*prohibited, *([hours] if hours else []), *caps, *duties_of(rule)]
    return "; ".join(part.rstrip(".") for part in parts) or rule.note


def purposes_text(rule: CallingRule) -> str:
    """Return the purposes that a rule applies to, or `any`."""
    return (
        "any" if rule.purposes == frozenset(Purpose) else ", ".join(each for each in Purpose if each in rule.purposes)
    )


def force_text(rule: CallingRule) -> str:
    """Return from when until when a rule is in force."""
    if not rule.adopted:
        return "never in force"
    first, last = rule.in_force_from, rule.in_force_to
    if first is None:
        return "in force" if last is None else f"until {last}"
    return f"from {first}" if last is None else f"{first} to {last}"


def block_name(block: Block) -> str:
    """Return the id of the rule that blocks all calls, or what is missing."""
    match block:
        case NoRules():
            return ", ".join(block.rule_ids)
        case Prohibited(rule):
            return rule.id
        case KeysMissing():
            return "place"
        case never:
            assert_never(never)


def block_text(block: Block) -> str:
    """Return why all calls are blocked, as part of a sentence."""
    match block:
        case NoRules():
            return "no rule"
        case Prohibited(rule):
            return f"such calls are prohibited ({rule.id})"
        case KeysMissing():
            return "the place is not computed yet"
        case never:
            assert_never(never)


def stale_text(rules: int) -> str:
    """Return the warning about rules whose text was last checked too long ago."""
    those = "1 rule was" if rules == 1 else f"{rules:,} rules were"
    return (
        f"{those} last checked more than {STALE_AFTER.days} days ago. They stay in force; update Outdial, or verify "
        "them at their source."
    )
