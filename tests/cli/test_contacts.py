"""The do-not-call list from the command line."""

from pathlib import Path

from outdial.domain.location import KEYS_VERSION
from tests.cli.conftest import Outdial, sql
from tests.support.postgres import Scratch


def test_numbers_are_added_listed_and_removed(acme: Outdial) -> None:
    assert "Added 2; 0 already listed" in acme(
        "contacts", "dnc", "add", "+12125550123", "(212) 555-0124", "--region=US"
    )
    assert "Added 1; 1 already listed" in acme(
        "contacts", "dnc", "add", "+12125550123", "+12125550125", "--reason=asked"
    )

    listed = {row["phone"]: row for row in acme.json("contacts", "dnc", "list")}
    assert listed.keys() == {"+12125550123", "+12125550124", "+12125550125"}
    assert listed["+12125550125"]["reason"] == "asked"
    assert "+12125550124" in acme("contacts", "dnc", "list")

    assert "Removed 1; 1 not listed" in acme("contacts", "dnc", "remove", "+12125550123", "+12125550199")
    assert len(acme.json("contacts", "dnc", "list")) == 2


def test_numbers_come_from_a_file_or_from_standard_input(acme: Outdial, tmp_path: Path) -> None:
    file = tmp_path / "numbers.txt"
    file.write_text("﻿+12125550123\n\n  +12125550124  \n")

    acme("contacts", "dnc", "add", f"--file={file}")
    acme("contacts", "dnc", "add", "--file=-", stdin="+12125550125\n")

    assert {row["source"] for row in acme.json("contacts", "dnc", "list")} == {"import"}
    assert len(acme.json("contacts", "dnc", "list")) == 3


def test_an_invalid_number_is_reported_and_the_others_are_added(acme: Outdial) -> None:
    result = acme.run("contacts", "dnc", "add", "+12125550123", "12")

    assert result.exit_code == 1
    assert "'12': has no country code" in result.stderr
    assert len(acme.json("contacts", "dnc", "list")) == 1


def test_numbers_are_required(acme: Outdial) -> None:
    assert "pass numbers" in acme.error("contacts", "dnc", "add")


def test_contacts_whose_place_is_not_computed_are_counted(acme: Outdial, database: Scratch) -> None:
    assert "are known" in acme("contacts", "places")
    # As an older version does.
    sql(
        database,
        "insert into contacts (organization_id, phone, zone_key, zone_source)"
        " select id, '+14235550142', 'America/New_York', 'number' from organizations",
    )
    assert acme.json("contacts", "places") == {"waiting": 1, "keys_version": KEYS_VERSION}
    assert "1 contacts wait" in acme("contacts", "places")
    assert acme.json("dialer", "--once", env={"RETELL_API_KEY": "key"})["located"] == 1
    assert acme.json("contacts", "places")["waiting"] == 0
