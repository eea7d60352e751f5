"""The demo's contact file has the stated numbers of rows, and depends only on the seed."""

import csv
import io
from datetime import timedelta

import pytest

from outdial.domain.location import Location, StatedPlace, locate
from outdial.domain.phone import InvalidPhone, Phone, parse_phone
from outdial.promises.demo_contacts import LAW_OPENS, PHONE_COLUMN, make_contacts, make_other_contacts
from outdial.promises.law import written_law


@pytest.mark.parametrize(("rows", "seed"), [(100, 1), (300, 7), (1000, 2)])
def test_the_file_has_the_stated_number_of_good_and_bad_rows(rows: int, seed: int) -> None:
    file = make_contacts(rows, seed)
    lines = list(csv.DictReader(io.StringIO(file.text)))

    phones = [parse_phone(line[PHONE_COLUMN], "US") for line in lines if line["Time Zone"] != "EST"]
    numbers = [phone.e164 for phone in phones if isinstance(phone, Phone)]

    assert len(lines) == rows == file.good + file.refused
    assert len(set(numbers) - set(file.do_not_call)) == file.good
    assert any(isinstance(phone, InvalidPhone) for phone in phones)
    assert len(numbers) > len(set(numbers))
    assert set(file.do_not_call) <= set(numbers)
    assert {number[:3] for number in numbers} >= {"+12", "+44", "+91"}
    assert {line["State"] for line in lines} >= {"NY", "TX", "WA", ""}


def test_the_states_open_as_the_demo_says() -> None:
    """Judge by the rules themselves: a change of law on that day would break the demo."""
    law, before = written_law(), LAW_OPENS - timedelta(seconds=10)
    opened: dict[bool, set[str]] = {True: set(), False: set()}
    for line in csv.DictReader(io.StringIO(make_contacts(1000, 3).text)):
        phone = parse_phone(line[PHONE_COLUMN], "US")
        if not isinstance(phone, Phone) or line["Time Zone"] == "EST" or phone.e164.startswith("+91"):
            continue
        found = locate(phone, StatedPlace(timezone=line["Time Zone"], region=line["State"]))
        assert isinstance(found, Location)
        of_place, zones = law.in_place(found.place.jurisdictions, "sales"), found.place.zone_key.split("|")
        waits = bool(of_place.breaches(before, zones))
        assert bool(of_place.breaches(LAW_OPENS, zones)) is (found.place.jurisdictions == ("US-WA",))
        assert not of_place.without(["US-WA-AUTOMATED", "US-WA-HOURS"]).breaches(LAW_OPENS + timedelta(hours=1), zones)
        opened[waits].update(found.place.jurisdictions)

    assert opened == {True: {"US-IL", "US-CO", "US-KY", "US-TX", "US-AZ", "US-WA"}, False: {"US-NY", "GB"}}


def test_the_states_on_holiday_are_closed_all_day() -> None:
    lines = list(csv.DictReader(io.StringIO(make_other_contacts(12, 3))))

    assert [line["State"] for line in lines[12:] if line["State"] not in ("NY", "")] == []
    for line in lines[:12]:
        phone = parse_phone(line[PHONE_COLUMN], "US")
        assert isinstance(phone, Phone)
        found = locate(phone, StatedPlace(region=line["State"]))
        assert isinstance(found, Location)
        breaches = written_law().in_place(found.place.jurisdictions, "sales").breaches(LAW_OPENS, ["America/Chicago"])
        assert {breach.reason[:9] for breach in breaches} == {"a holiday"}


def test_the_same_seed_gives_the_same_file() -> None:
    assert make_contacts(300, 7) == make_contacts(300, 7)
    assert make_contacts(300, 7) != make_contacts(300, 8)
