"""Columns are known by the names that people give them, or by a mapping; all others are dynamic variables."""

import pytest

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.columns import HEADERS, find_columns


@pytest.mark.parametrize(
    "name", ["phone", " Phone ", "PHONE NUMBER", "Phone-Number", "to_number", "Mobile", "Tel", "cell"]
)
def test_the_phone_column_is_known_by_its_usual_names(name: str) -> None:
    assert find_columns(["plan", name]).fields == {"phone": 1}


def test_other_columns_are_variables_by_their_normalised_names() -> None:
    columns = find_columns(["Phone", "Appointment Date", "plan-type", "E-Mail"])
    assert columns.variables == (("appointment_date", 1), ("plan_type", 2))
    assert columns.fields == {"phone": 0, "email": 3}


def test_the_likeliest_of_several_phone_columns_counts_and_the_others_are_variables() -> None:
    columns = find_columns(["mobile", "phone", "tel"])
    assert columns.fields == {"phone": 1}
    assert columns.variables == (("mobile", 0), ("tel", 2))


def test_a_name_in_parts_is_put_together_and_its_parts_are_told_too() -> None:
    columns = find_columns(["phone", "First Name", "Last Name"])
    assert columns.variables == (("first_name", 1), ("last_name", 2))
    assert columns.details(["1", " Ada ", "Lovelace"])["name"] == "Ada Lovelace"
    assert columns.details(["1", "", "Lovelace"])["name"] == "Lovelace"
    assert columns.details(["1", "", " "])["name"] is None


def test_a_whole_name_wins_over_its_parts() -> None:
    columns = find_columns(["phone", "first_name", "name"])
    assert columns.details(["1", "Ada", "Countess Lovelace"])["name"] == "Countess Lovelace"
    assert columns.details(["1", "Ada", ""])["name"] == "Ada"


def test_a_mapping_wins_over_names() -> None:
    columns = find_columns(["phone", "Handy Nr", "Zone"], {"phone": "handy-nr", "timezone": "Zone"})
    assert columns.fields == {"phone": 1, "timezone": 2}
    assert columns.variables == (("phone", 0),)


@pytest.mark.parametrize(
    ("header", "mapping", "message"),
    [
        (["name", "plan"], {}, "no phone column among name, plan"),
        (["phone", "Plan", " plan "], {}, "columns 2 and 3 are both named plan"),
        (["phone", "", "plan"], {}, "column 2 has no name"),
        (["phone"], {"phone": "handy"}, "phone is mapped to 'handy', but the file has phone"),
        (["phone"], {"telefon": "phone"}, "'telefon' is not a field"),
        (["phone", "plan"], {"name": "phone", "phone": "phone"}, "phone and name are both mapped to 'phone'"),
    ],
)
def test_headers_that_leave_a_doubt_are_refused(header: list[str], mapping: dict[str, str], message: str) -> None:
    with pytest.raises(UnusableFile, match=message):
        find_columns(header, mapping)


def test_no_name_stands_for_two_fields() -> None:
    names = [name for known in HEADERS.values() for name in known]
    assert len(names) == len(set(names))
