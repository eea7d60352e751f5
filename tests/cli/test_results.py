"""The results of a campaign as a file on this machine, and its import."""

import csv
import json
from pathlib import Path

import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

from tests.cli.conftest import Outdial

FILE = "phone,name,plan,Account Tier\n+12125550123,Ada,basic,gold\n+12125550124,Grace,,=silver\n"


@pytest.fixture
def filled(acme: Outdial, campaign: str, tmp_path: Path) -> str:
    (tmp_path / "people.csv").write_text(FILE)
    acme("campaign", "import", campaign, str(tmp_path / "people.csv"))
    return campaign


def test_results_are_written_in_the_format_of_the_name_and_imported_again(
    acme: Outdial, filled: str, tmp_path: Path
) -> None:
    for name in ("r.csv", "r.xlsx", "r.jsonl"):
        assert acme.json("campaign", "results", filled, str(tmp_path / name))["rows"] == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("r.")) == [
        "r.csv",
        "r.jsonl",
        "r.xlsx",
    ]

    with (tmp_path / "r.csv").open(encoding="utf-8-sig") as file:
        grace = {row["name"]: row for row in csv.DictReader(file)}["Grace"]
    assert (grace["Account Tier"], grace["plan"], grace["result_status"]) == ("'=silver", "", "pending")
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert {row["name"]: row["plan"] for row in rows} == {"Ada": "basic", "Grace": None}
    sheet = CalamineWorkbook.from_path(tmp_path / "r.xlsx").get_sheet_by_index(0).to_python()
    assert [row[0] for row in sheet] == ["phone", *(row["phone"] for row in rows)]

    for name in ("r.csv", "r.xlsx", "r.jsonl"):
        again = acme.json("campaign", "import", filled, str(tmp_path / name))
        assert (again["added"], again["already_there"], again["refused_rows"]) == (0, 2, 0)
        assert again["variables"] == ["country", "region", "postal_code", "Account Tier", "plan"]
    assert acme.json("campaign", "results", filled, str(tmp_path / "s.jsonl"))["rows"] == 2
    assert {row["Account Tier"] for row in map(json.loads, (tmp_path / "s.jsonl").read_text().splitlines())} == {
        "gold",
        "=silver",
    }


def test_results_are_filtered(acme: Outdial, filled: str, tmp_path: Path) -> None:
    file = str(tmp_path / "r.jsonl")
    for options, rows in (
        (["--status=pending"], 2),
        (["--status=completed"], 0),
        (["--search=gra"], 1),
        (["--phone=+1 212 555-0124"], 1),
        (["--phone-ends=01 23"], 1),
        (["--name=gR"], 1),
        (["--external-id=x"], 0),
    ):
        assert acme.json("campaign", "results", filled, file, *options)["rows"] == rows


@pytest.mark.parametrize(
    ("file", "options", "problem"),
    [
        ("r.txt", [], "name the file .csv, .xlsx or .jsonl"),
        ("r.csv", ["--zone=Mars"], "not a time zone"),
        ("r.csv", ["--phone=abc"], "--phone: up to 15 digits"),
        ("r.csv", ["--phone=1", "--search=a"], "--search and --phone: use only one"),
    ],
)
def test_results_that_cannot_be_written_leave_no_file(
    acme: Outdial, filled: str, tmp_path: Path, file: str, options: list[str], problem: str
) -> None:
    assert problem in acme.error("campaign", "results", filled, str(tmp_path / file), *options)
    assert not (tmp_path / file).exists()


def test_another_sheet_of_a_workbook_is_imported_and_the_others_are_named(
    acme: Outdial, campaign: str, tmp_path: Path
) -> None:
    with xlsxwriter.Workbook(tmp_path / "people.xlsx") as book:
        for name, phone in (("May", "+12125550123"), ("June", "+12125550124")):
            book.add_worksheet(name).write_column(0, 0, ["phone", phone])
    file = str(tmp_path / "people.xlsx")
    assert "has no sheet 'July' with rows; it has 'May' (1 row)" in acme.error(
        "campaign", "import", campaign, file, "--sheet=July"
    )
    for options, notice in (
        ([], "the sheet 'May' is read; 'June' (1 row) is not; import another one with --sheet"),
        (["--sheet=June"], "the sheet 'June' is read; 'May' (1 row) is not; import another one with --sheet"),
    ):
        report = acme.json("campaign", "import", campaign, file, *options)
        assert (report["added"], report["notices"]) == (1, [notice])
