"""Small rule books for tests of those who ask the rules: what the laws themselves say is tested in tests/domain."""

from datetime import date
from typing import Any, Final

from outdial.domain.rule_parsing import parse_rule
from outdial.domain.rules import CallingRule, RuleBook

PACK_DATE: Final = date(2026, 3, 1)


def rule(id: str, jurisdiction: str, **fields: Any) -> CallingRule:
    """Return a rule for sales calls with the fields of a pack."""
    raw = {"id": id, "jurisdiction": jurisdiction, "purpose": ["sales"], "source": "A test", "confidence": "open"}
    return parse_rule(raw | {"checked_on": PACK_DATE} | fields)


def book(*rules: CallingRule) -> RuleBook:
    """Return a book with these rules only."""
    return RuleBook(rules, pack_date=PACK_DATE)


FRANCE: Final = rule("FR-HOURS", "FR", hours={"weekdays": [["10:00", "13:00"], ["14:00", "20:00"]]})
FRENCH_CAP: Final = rule("FR-CAP", "FR", cap={"count": 2, "period": "30d"})
FLORIDA: Final = rule("US-FL-CAP", "US-FL", cap={"count": 3, "period": "24h"})
MAINE: Final = rule("US-ME-CAP", "US-ME", cap={"count": 1, "period": "8h"})
WASHINGTON: Final = rule("US-WA-BAN", "US-WA", prohibited=True)
FEDERAL: Final = rule("US-HOURS", "US", hours={"every_day": [["08:00", "21:00"]]})
BOOK: Final = book(FRANCE, FRENCH_CAP, FLORIDA, MAINE, WASHINGTON, FEDERAL)
"""Rules of France and of the United States; Spain has none."""
