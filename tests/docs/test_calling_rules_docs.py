"""The page about calling rules lists every field of a rule, and its example is a rule."""

import json
import re
from datetime import date
from pathlib import Path

from outdial.campaigns.calling_rules import read_new_rule
from outdial.domain.explaining.rule_wording import rule_text
from outdial.domain.purpose import Purpose
from outdial.domain.rule_parsing import RULE_FIELDS
from outdial.domain.rules import STALE_AFTER
from outdial.rules.pack import shipped_rules

PAGE = (Path(__file__).parents[2] / "docs" / "calling-rules.md").read_text()


def test_every_field_of_a_rule_is_documented() -> None:
    section = PAGE.split("| field | value |\n")[1].split("\n## ")[0]
    documented = {name for row in section.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1:2][0:1][0])
                  if row.startswith("| `")}  # fmt: skip

    assert documented == set(RULE_FIELDS)


def test_the_example_is_a_rule() -> None:
    [example] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)

    rule = read_new_rule(json.loads(example), [], date(2026, 11, 29))

    assert (rule.id, rule.purposes) == ("OWN-ES-1", {Purpose.SALES, Purpose.SURVEY})
    assert rule_text(rule) == (
        "Mon–Fri 09:00–21:00; Sat–Sun closed, closed on public holidays (ES); "
        "At most 2 calls in 24 hours to a number; Express consent"
    )


def test_the_rules_that_the_page_names_are_shipped() -> None:
    named = {name for name in re.findall(r"\b(?:US|ES)-[A-Z0-9-]+\b", PAGE) if name.count("-") > 1}
    pseudo = {"ES-NO-RULE", "ES-HOURS"}

    assert {name for name in named - pseudo if shipped_rules().rule(name) is None} == set()
    assert f"{STALE_AFTER.days} days" in PAGE
