"""The rule book of one organization: the shipped rules, minus those it has switched off, plus its own."""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from outdial.domain.errors import InvalidRule
from outdial.domain.rule_parsing import parse_rule
from outdial.domain.rules import UNRESTRICTED, CallingRule, RuleBook
from outdial.rules.pack import shipped_rules


def rules_in_use(*, ignored: bool) -> RuleBook:
    """Return the shipped rules, or a book that restricts nothing where OUTDIAL_CALLING_RULES is `ignore`."""
    return UNRESTRICTED if ignored else shipped_rules()


def rules_of_organization(shipped: RuleBook, *, switched_off: Sequence[str], own_rules: Sequence[str]) -> RuleBook:
    """Return the book of an organization, from the columns of the query `rules_of`; cached. Raises InvalidRule.

    Without shipped rules, those of the organization do not count either.
    """
    if shipped is UNRESTRICTED:
        return shipped
    return shipped.for_organization(frozenset(switched_off), tuple(_parse(body) for body in own_rules))


def readable_rules(own_rules: Sequence[str]) -> list[str]:
    """Return the organization's own rules that can be read, for pages.

    Members can insert rules with SQL, which skips Outdial's checks. The dialer places no calls while one is unreadable.
    """
    return [body for body in own_rules if isinstance(try_rule(body), CallingRule)]


@lru_cache(maxsize=4096)
def try_rule(body: str) -> CallingRule | str:
    """Read a rule as the database has it, as JSON text, or return why it cannot be read."""
    try:
        return _parse(body)
    except InvalidRule as error:
        return str(error)


@lru_cache(maxsize=4096)
def _parse(body: str) -> CallingRule:
    return parse_rule(msgspec.json.decode(body))
