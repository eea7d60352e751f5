"""Sentences about calling rules for users: why a call waits, or is never placed."""

from collections.abc import Sequence
from typing import Final

from outdial.domain.explaining.rule_wording import cap_text
from outdial.domain.geography.place_names import place_name
from outdial.domain.place import UNKNOWN_STATE
from outdial.domain.purpose import Purpose
from outdial.domain.rules import CallingRule

_WITH_ARTICLE: Final = frozenset({"AE", "BS", "CZ", "DO", "EU", "GB", "GM", "MV", "NL", "PH", "US", "US-DC"})


def jurisdiction_name(code: str) -> str:
    """Return how a sentence names a jurisdiction: `Florida`, `Ontario`, `Spain`, `the United States`."""
    if code == UNKNOWN_STATE:
        return "an unknown state"
    return f"the {place_name(code)}" if code in _WITH_ARTICLE else place_name(code)


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
    return f"{_capital(jurisdiction_name(rule.jurisdiction))} allows {cap_text(rule.cap)}"


def forbidden_sentence(rule: CallingRule) -> str:
    """Return who forbids the calls of a campaign: `Washington forbids such calls (rule US-WA-AUTOMATED)`."""
    return f"{_capital(jurisdiction_name(rule.jurisdiction))} forbids such calls (rule {rule.id})"


def no_rules_sentence(countries: Sequence[str], purpose: Purpose) -> str:
    """Return what to do about countries without a rule for the purpose of a campaign."""
    calls = "" if purpose is Purpose.SALES else f" for {purpose} calls"
    return f"No calling rule for {name_jurisdictions(countries)}{calls}: add one or switch the check off under Rules"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
