"""The demo's contact file has the stated numbers of rows, and depends only on the seed."""

import csv
import io

import pytest

from outdial.domain.phone import InvalidPhone, Phone, parse_phone
from outdial.promises.demo_contacts import PHONE_COLUMN, make_contacts


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


def test_the_same_seed_gives_the_same_file() -> None:
    assert make_contacts(300, 7) == make_contacts(300, 7)
    assert make_contacts(300, 7) != make_contacts(300, 8)
