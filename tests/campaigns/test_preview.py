"""What a preview tells of the beginning of a file: the same as the import would, without storing anything."""

from collections.abc import Mapping

import pytest

from outdial.campaigns.importing.causes import group_refusals
from outdial.campaigns.importing.preview import MOST_ROWS, Preview, preview
from tests.support.factories import NOW


def of(
    content: bytes,
    *,
    is_whole: bool = True,
    region: str | None = None,
    zone_names: Mapping[str, str] | None = None,
    has_header: bool = True,
    **mapping: str,
) -> Preview:
    return preview(
        content,
        is_whole=is_whole,
        mapping=mapping or None,
        default_region=region,
        now=NOW,
        zone_names=zone_names,
        has_header=has_header,
    )


def test_rows_are_sorted_into_good_and_refused_with_their_lines_zones_and_columns() -> None:
    found = of(
        b"Phone,First Name,Last Name,plan\n"
        b"+12122000001,Ada,Lovelace,gold\n"
        b"none,Bob,,\n"
        b"+12122000001,Twin,,\n"
        b"+493012345678,Cyd,,silver\n"
    )

    assert found.problem is None
    assert found.mapping == {"phone": "Phone", "first_name": "First Name", "last_name": "Last Name"}
    assert found.variables == ["First Name", "Last Name", "plan"]
    assert [(contact.line, contact.details["name"]) for contact in found.contacts] == [(2, "Ada Lovelace"), (5, "Cyd")]
    assert [(row.line, row.kind) for row in found.refused] == [(3, "bad_phone"), (4, "duplicate")]
    assert found.zones == {"America/New_York": 1, "Europe/Berlin": 1}
    assert found.rows == 4


def test_a_column_priority_is_read_and_stays_a_variable_and_a_bad_one_refuses_its_row() -> None:
    given = ["9", "1", "", "5.0", " 7 ", "0", "10", "high", "-1", "5.5", "\u0665"]
    content = "phone,Priority\n" + "".join(f"+1212{2_000_000 + n},{value}\n" for n, value in enumerate(given))

    found = of(content.encode())
    assert found.mapping == {"phone": "phone", "priority": "Priority"}
    assert [(contact.line, contact.rank) for contact in found.contacts] == [(2, 1), (3, 9), (4, 5), (5, 5), (6, 3)]
    assert found.contacts[0].variables == '{"Priority":"9"}'
    assert [(row.line, row.kind) for row in found.refused] == [(line, "bad_priority") for line in range(7, 13)]
    assert found.refused[2].reason == (
        "Priority is 'high': write a whole number from 1 to 9, 9 goes first; or map no column to priority, and it is a"
        " variable only"
    )

    left_out = of(content.encode(), priority="")
    assert (len(left_out.contacts), left_out.contacts[0].rank) == (len(given), 5)


def test_the_last_row_of_a_beginning_may_be_cut_off_and_is_left_out() -> None:
    content = b"phone,name\n+12122000001,Ada\n+12122000002,Bo"

    assert of(content).rows == 2
    assert of(content, is_whole=False).rows == 1
    assert of(b"phone,name\n", is_whole=False).rows == 0


def test_no_more_rows_are_read_than_are_shown_to_be() -> None:
    content = "\n".join(["phone", *(f"+1212{2_000_000 + number}" for number in range(MOST_ROWS + 50))]).encode()

    assert of(content).rows == MOST_ROWS


@pytest.mark.parametrize(
    ("content", "header", "problem"),
    [
        (b"", [], "the file is empty"),
        (b"name,city\nAda,Paris\n", ["name", "city"], "no phone column"),
        (b"phone,phone\n1,2\n", ["phone", "phone"], "are both named 'phone'"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why_and_shows_its_header(
    content: bytes, header: list[str], problem: str
) -> None:
    found = of(content)

    assert problem in str(found.problem)
    assert (list(found.header), found.rows, found.contacts) == (header, 0, ())


def test_a_mapping_and_a_country_are_heeded_and_wrong_ones_told() -> None:
    content = b"Handy,name\n212 200 0001,Ada\n"

    assert [contact.phone for contact in of(content, region="US", phone="Handy").contacts] == ["+12122000001"]
    assert "is mapped to 'Nummer'" in str(of(content, phone="Nummer").problem)
    assert of(content, region="US", phone="Handy").header == ["Handy", "name"]
    assert "unknown default region" in str(of(content, region="QQ", phone="Handy").problem)


PEOPLE = (
    b"Customer;Handy;E-Mail;Due Date;Time Zone\n"
    b"Ada;(206) 222-7481;ada@example.com;2026-12-01;Eastern\n"
    b"Bob;(206) 222-7482;;2026-12-02;America/Chicago\n"
    b"Bob;(206) 222-7483;;2026-12-02;Eastern\n"
    b"Cyd;+442079460123;;;\n"
)


def test_each_column_says_where_it_goes_before_a_phone_column_is_found() -> None:
    found = of(PEOPLE)

    assert str(found.problem).startswith("no phone column")
    assert (found.lacks_phone, found.likely_phone) == (True, "Handy")
    assert [(column.name, column.field, column.variable) for column in found.columns] == [
        ("Customer", None, "Customer"),
        ("Handy", None, "Handy"),
        ("E-Mail", "email", None),
        ("Due Date", None, "Due Date"),
        ("Time Zone", "timezone", None),
    ]
    assert [list(column.samples) for column in found.columns][:2] == [
        ["Ada", "Bob", "Cyd"],
        ["(206) 222-7481", "(206) 222-7482", "(206) 222-7483"],
    ]
    assert found.mapping == {"email": "E-Mail", "timezone": "Time Zone"}


def test_a_choice_says_what_is_automatic_without_it() -> None:
    columns = {column.name: column for column in of(b"phone,mobile,name\n+12122000001,,Ada\n", phone="mobile").columns}

    assert (columns["phone"].automatic, columns["phone"].field, columns["phone"].variable) == ("phone", None, "phone")
    assert (columns["mobile"].automatic, columns["mobile"].field) == (None, "phone")


def test_causes_are_grouped_with_the_cells_that_are_wrong_and_a_choice_cures_each() -> None:
    found = of(PEOPLE, phone="Handy")
    assert [(row.kind, row.rows) for row in group_refusals(found.refused)] == [("no_country_code", 3)]
    assert found.likely_region == "GB"
    assert found.columns[1].refused == {"no_country_code": 3}

    found = of(PEOPLE, phone="Handy", region="US")
    (cause,) = group_refusals(found.refused)
    assert (cause.kind, cause.rows, cause.values) == ("unknown_time_zone", 2, {"Eastern": 2})
    assert [row.value for row in cause.examples] == ["Eastern"]
    assert found.columns[4].refused == {"unknown_time_zone": 2}
    assert found.likely_region is None

    cured = of(PEOPLE, phone="Handy", region="US", zone_names={"EASTERN ": "America/New_York"})
    assert (len(cured.contacts), cured.refused) == (4, [])
    assert cured.contacts[0].details["timezone"] == "America/New_York"


def test_the_first_line_of_a_file_without_a_header_is_a_contact_when_the_user_says_so() -> None:
    content = b"Ada,+12122000001,ada@example.com\nBob,+12122000002,\n\nCyd,+12122000003,,,more\n"

    assert of(content).lacks_header
    assert not of(b"Ada,Handy\nBob,+12122000002\n").lacks_header
    found = of(content, has_header=False)
    assert found.header == ["Column 1", "phone", "email"]
    assert [(contact.line, contact.phone) for contact in found.contacts] == [(1, "+12122000001"), (2, "+12122000002")]
    assert [(row.line, row.kind) for row in found.refused] == [(4, "wrong_columns")]
    named = of(content, has_header=False, name="Column 1")
    assert named.contacts[0].details["name"] == "Ada"
