"""Sentences about calling rules, for those who run campaigns: why a call waits, or is not made at all."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from outdial.domain.rules import CallingRule

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


def jurisdiction_name(code: str) -> str:
    """Return how a sentence names a jurisdiction."""
    return code


def name_jurisdictions(codes: Sequence[str]) -> str:
    """Return the names of jurisdictions as a list in words; more than three are counted."""
    names = sorted({jurisdiction_name(code) for code in codes})
    if len(names) > 3:
        return f"{len(names)} states and countries"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def cap_sentence(rule: CallingRule) -> str:
    """Return how many calls a rule allows: `Florida allows 3 calls in 24 hours`."""
    if rule.cap is None:
        raise ValueError(f"the rule {rule.id} has no cap")
    days = rule.cap.period // _DAY
    is_days = days > 1 and rule.cap.period == days * _DAY
    period = f"{days} days" if is_days else _count(rule.cap.period // _HOUR, "hour")
    return f"{_capital(jurisdiction_name(rule.jurisdiction))} allows {_count(rule.cap.count, 'call')} in {period}"


def forbidden_sentence(rule: CallingRule) -> str:
    """Return who forbids the calls of a campaign: `Washington forbids such calls (rule US-WA-ADAD)`."""
    return f"{_capital(jurisdiction_name(rule.jurisdiction))} forbids such calls (rule {rule.id})"


def no_rules_sentence(countries: Sequence[str]) -> str:
    """Return what to do about countries without a rule."""
    return f"No calling rule for {name_jurisdictions(countries)}: add one or switch the check off under Rules"


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
