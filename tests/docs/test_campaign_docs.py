"""The page about campaigns lists every key of calling hours and retry policies, with the defaults of the code."""

import json
import re
from datetime import date
from pathlib import Path

import pytest

from outdial.domain.calling_hours import DEFAULT_HOURS, WEEKDAYS, parse_calling_hours
from outdial.domain.errors import InvalidCallingHours, InvalidRetryPolicy
from outdial.domain.openings import Window
from outdial.domain.retry import DEFAULT_POLICY, parse_retry_policy

PAGE = (Path(__file__).parents[2] / "docs" / "campaigns.md").read_text()


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the table in a section, without the head."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:3] == "| `"]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_key_of_calling_hours_is_documented() -> None:
    documented = {name for row in rows_of("Calling hours") for name in names_in(row[0])}

    assert {*WEEKDAYS, "every_day", "weekdays", "weekend", "excluded_dates"} == documented
    for name in documented - {"excluded_dates"}:
        parse_calling_hours({name: [["09:00", "10:00"]]})
    with pytest.raises(InvalidCallingHours):
        parse_calling_hours({"hours": []})


def test_the_example_of_calling_hours_means_what_the_page_says() -> None:
    [example] = re.findall(r"```json\n(.*?)```", PAGE.split("## Calling hours\n")[1].split("\n## ")[0], re.DOTALL)

    hours = parse_calling_hours(json.loads(example))

    assert hours.week[0] == (Window(540, 720), Window(810, 1200))
    assert hours.week[5:] == ((Window(600, 1440),), ())
    assert hours.excluded_dates == {date(2026, 12, 25), date(2027, 1, 1)}


def test_the_documented_retry_policy_is_the_default() -> None:
    documented = {names_in(row[0])[0]: json.loads(names_in(row[1])[0]) for row in rows_of("Retries")}

    assert parse_retry_policy(documented) == DEFAULT_POLICY
    with pytest.raises(InvalidRetryPolicy, match="use ") as refused:
        parse_retry_policy({"nothing": 1})
    assert set(str(refused.value).partition("use ")[2].split(", ")) == documented.keys()


def test_the_default_hours_are_those_on_the_page() -> None:
    default = DEFAULT_HOURS.week
    assert default == (((Window(9 * 60, 20 * 60),),) * 5) + ((), ())
    assert "Monday to Friday, 09:00 to\n20:00" in PAGE
