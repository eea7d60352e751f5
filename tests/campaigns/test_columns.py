"""Columns are known by the names that people give them, or by a mapping; all others are dynamic variables."""

import pytest

from outdial.campaigns.errors import UnusableFile
from outdial.campaigns.importing.columns import HEADERS, find_columns


@pytest.mark.parametrize(
    "name", ["phone", " Phone ", "PHONE NUMBER", "Phone-Number", "to_number", "Mobile", "Tel", "cell"]
)
def test_the_phone_column_is_known_by_its_usual_names(name: str) -> None:
    assert find_columns(["plan", name]).fields == {"phone": 1}


def test_other_columns_are_variables_with_the_names_of_the_header() -> None:
    columns = find_columns(["Phone", " customerName ", "Account Tier", "due-date", "Größe", "plan.name", "E-Mail"])
    names = ("customerName", "Account Tier", "due-date", "Größe", "plan.name")
    assert columns.variables == tuple((name, index) for index, name in enumerate(names, start=1))
    assert columns.fields == {"phone": 0, "email": 6}


def test_a_campaign_keeps_the_variable_names_that_it_has() -> None:
    columns = find_columns(["phone", "Account Tier", "plan", "City", "Due Date"])
    kept = columns.keep_names({"account_tier", "plan", "City", "city"})
    assert kept.variables == (("account_tier", 1), ("plan", 2), ("City", 3), ("Due Date", 4))
    assert kept.notices == ("column 'Account Tier' is the variable account_tier, as in this campaign",)


def test_columns_without_a_name_and_those_of_refused_rows_are_left_out() -> None:
    columns = find_columns(["", "refused_line", "refused_kind", "refused_reason", "phone", " ", "plan"])
    assert (columns.fields, columns.variables) == ({"phone": 4}, (("plan", 6),))


@pytest.mark.parametrize("word", ["", "  ", "NULL", "null", "\\N", "#N/A", "N/A", "nan", "NaN", "None", " NULL "])
def test_a_word_for_no_value_is_an_empty_cell(word: str) -> None:
    columns = find_columns(["phone", "name", "timezone"])
    assert columns.cell(["1", word, word], "timezone") is None
    assert columns.details(["1", word, word])["name"] is None


@pytest.mark.parametrize("name", ["Null", "Nan", "Nathan", "0", "-"])
def test_a_word_that_may_be_a_value_stays(name: str) -> None:
    assert find_columns(["phone", "name"]).cell(["1", name], "name") == name


def test_the_apostrophe_of_an_export_is_dropped() -> None:
    columns = find_columns(["phone", "name"])
    assert columns.cell(["1", "'=A1"], "name") == "=A1"
    assert columns.cell(["1", "'t Hart"], "name") == "'t Hart"


def test_the_likeliest_of_several_phone_columns_counts_and_the_others_are_variables() -> None:
    columns = find_columns(["mobile", "phone", "tel"])
    assert columns.fields == {"phone": 1}
    assert columns.variables == (("mobile", 0), ("tel", 2))
    assert columns.other_phones == (0, 2)


def test_a_name_in_parts_is_put_together_and_its_parts_are_told_too() -> None:
    columns = find_columns(["phone", "First Name", "Last Name"])
    assert columns.variables == (("First Name", 1), ("Last Name", 2))
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
        (["phone", "Plan", " plan "], {}, "columns 2 and 3, 'Plan' and 'plan', are read as the same name"),
        (["phone", "plan", " plan "], {}, "columns 2 and 3 are both named 'plan'; rename one of them"),
        (["name", "Phone 3 - Value"], {}, "map phone to one of them, such as phone=Phone 3 - Value"),
        (["+14155550101", "Ada"], {}, "the file has no header row"),
        (["Ada", "(415) 555-0101"], {}, "the file has no header row"),
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
