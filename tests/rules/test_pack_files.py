"""A rule pack loads whole or not at all: what is wrong with it is named by file and line."""

import subprocess
import sys
from pathlib import Path

import pytest

from outdial.domain.rule_parsing import parse_rule, rule_document
from outdial.domain.rules import CallingRule
from outdial.rules.errors import InvalidPack
from outdial.rules.pack import load_packs, shipped_rules

RULE = """\
[[rule]]
id = "US-TX-HOURS"
jurisdiction = "US-TX"
purpose = ["sales"]
source = "a law"
confidence = "q"
"""
PACK = f"checked_on = 2026-11-28\n\n{RULE}"


def load(directory: Path, text: str) -> None:
    path = directory / "states.toml"
    path.write_text(text)
    load_packs([path])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PACK + 'hour = { every_day = [["08:00", "21:00"]] }', "states.toml:9: hour: is not a field of a rule"),
        (PACK + 'hours = { every_day = [["21:00", "08:00"]] }', "states.toml:9: hours: every_day: a window must end"),
        (PACK + 'hours = { every_day = [["08:00", "12:00"], ["11:00", "13:00"]] }', "states.toml:9: .* overlap"),
        (PACK + "hours = {}", "states.toml:9: hours: must have days"),
        (PACK + 'hours = { excluded_dates = ["2026-12-25"] }', "states.toml:9: hours: must have days"),
        (PACK + 'holidays = ["US-XY"]', "states.toml:9: holidays: 'US-XY' has no calendar"),
        (PACK + 'zone = "CST"', "states.toml:9: zone: 'CST' is not a known time zone"),
        (PACK + 'cap = { count = 3, period = "a day" }', "states.toml:9: cap: must be a count and a period"),
        (PACK + 'cap = { count = 0, period = "24h" }', "states.toml:9: cap: must be a count and a period"),
        (PACK + 'prohibited = "yes"', "states.toml:9: prohibited: must be true or false"),
        (PACK + 'consent = "verbal"', "states.toml:9: consent: must be one of none, express, written"),
        (PACK + "in_force_from = 2026-01-02\nin_force_to = 2026-01-01", "states.toml:10: in_force_to: .* is before"),
        (PACK + "in_force_from = 2026-01-01T00:00:00Z", "states.toml:9: in_force_from: .* is not a date"),
        (PACK.replace('"US-TX"\n', '"Texas"\n'), "states.toml:5: jurisdiction: must be an ISO 3166 code"),
        (PACK.replace('["sales"]', '["selling"]'), "states.toml:6: purpose: must be one of sales,"),
        (PACK.replace('source = "a law"\n', ""), "states.toml:3: source: is missing"),
        (PACK.replace('"q"', '"sure"'), "states.toml:8: confidence: must be one of q, s, open"),
        (PACK.replace("checked_on = 2026-11-28", ""), "states.toml:1: checked_on: must be a date"),
        (PACK + "\n" + RULE, "states.toml:10: US-TX-HOURS: another row has this id"),
        (PACK + '\n[[rules]]\nid = "X"', "states.toml:10: rules: is not a field of a pack"),
        (PACK + "\nhours = [", "states.toml:10: not valid TOML"),
        (PACK + "\n[groups]\nEU = 27", "states.toml:11: EU: must be a list of countries"),
        (PACK + '\n[[holiday]]\ncalendar = "US-AL"\nname = "Moon"', "states.toml:10: month: a holiday needs"),
        (PACK + '\n[[holiday]]\ncalendar = "US-AL"\nname = "M"\nphase = 1', "states.toml:13: phase: is not a field"),
        (PACK + '\n[[holiday]]\ncalendar = "US-AL"\nname = "M"\nmonth = 2\nday = 30', "states.toml:14: day: is not a"),
        (
            PACK + '\n[[holiday]]\ncalendar = "US-AL"\nname = "M"\nmonth = "May"',
            "states.toml:13: month: Expected `int`",
        ),
        (PACK + '\n[[holiday]]\nname = "M"\nmonth = 5', "states.toml:10: .* missing required field `calendar`"),
        ("checked_on = 2026-11-28", "no rule"),
    ],
)
def test_a_pack_that_is_not_valid_does_not_load_and_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidPack, match=f"^.*{message}"):
        load(tmp_path, text)


VERSIONS = """\
checked_on = 2026-11-28
[[rule]]
id = "US-PA-HOURS"
jurisdiction = "US-PA"
purpose = "any"
source = "a law"
in_force_to = {old_ends}
confidence = "q"

[[rule]]
id = "US-PA-HOURS-2026"
jurisdiction = "US-PA"
purpose = "any"
source = "a law"
in_force_from = {new_starts}
confidence = "q"
"""


@pytest.mark.parametrize(
    ("old_ends", "new_starts", "message"),
    [
        ("2026-10-18", "2026-10-18", "states.toml:10: US-PA-HOURS-2026: overlaps US-PA-HOURS"),
        ("2026-10-16", "2026-10-18", "states.toml:10: US-PA-HOURS-2026: leaves a gap: US-PA-HOURS ends on 2026-10-16"),
    ],
)
def test_the_versions_of_a_rule_may_neither_overlap_nor_leave_a_gap(
    tmp_path: Path, old_ends: str, new_starts: str, message: str
) -> None:
    with pytest.raises(InvalidPack, match=f"^{message}"):
        load(tmp_path, VERSIONS.format(old_ends=old_ends, new_starts=new_starts))
    load(tmp_path, VERSIONS.format(old_ends="2026-10-17", new_starts="2026-10-18"))


def test_a_row_without_an_end_may_not_be_followed_by_a_later_one(tmp_path: Path) -> None:
    text = VERSIONS.format(old_ends="2026-10-17", new_starts="2026-10-18").replace("in_force_to = 2026-10-17\n", "")

    with pytest.raises(InvalidPack, match="overlaps US-PA-HOURS; end that one the day before"):
        load(tmp_path, text)


@pytest.mark.parametrize("rule", shipped_rules().rules, ids=lambda rule: rule.id)
def test_a_stored_rule_is_read_back_as_it_was(rule: CallingRule) -> None:
    assert parse_rule(rule_document(rule)) == rule


def test_every_shipped_row_names_its_source_and_its_calendars_exist() -> None:
    book = shipped_rules()

    assert all(rule.source and rule.checked_on <= book.pack_date for rule in book.rules)
    assert {"US-AL", "US-LA", "US-PA", "US-RI", "US-UT", "FR", "AU"} <= {
        calendar for rule in book.rules for calendar in rule.holidays
    }
    assert len(book.groups["EU"]) == 27


def test_the_library_of_holidays_is_loaded_with_the_rules_and_not_before() -> None:
    """It takes 0.1 s, which every command would wait for."""
    program = (
        "import sys, outdial.cli.main as cli, outdial.domain.rules, outdial.rules.pack as pack\n"
        "cli.whole_command()\n"
        "print('holidays' in sys.modules)\n"
        "pack.shipped_rules()\n"
        "print('holidays' in sys.modules)\n"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert printed.stdout.split() == ["False", "True"]
