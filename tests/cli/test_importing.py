"""An import from the command line: the report, the refused rows, and the exit status."""

import csv
import os
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Outdial

FILE = """Mobile,First Name,plan
(212) 555-0123,Ada,basic
no number,Bob,basic
212-555-0124,Grace,plus
+1 212 555 0123,Ada again,basic
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(FILE)
    return path


def test_valid_rows_are_imported_and_the_others_reported(acme: Outdial, campaign: str, file: Path) -> None:
    report = acme.json("campaign", "import", campaign, str(file), "--region=US", "--map=phone=Mobile")

    assert (report["added"], report["refused_rows"]) == (2, 2)
    assert [(row["line"], row["kind"]) for row in report["first_refused"]] == [(3, "bad_phone"), (5, "duplicate")]
    assert acme.json("campaign", "show", campaign)["progress"]["contacts"] == {"pending": 2}


def test_refused_rows_are_shown_with_line_and_reason_and_written_to_a_file(
    acme: Outdial, campaign: str, file: Path
) -> None:
    shown = acme("campaign", "import", "Spring", str(file), "--region=US")

    assert "4 rows: 2 added, 0 already present, 2 refused" in shown
    assert "no number" in shown
    with (file.parent / "people.csv.refused.csv").open(encoding="utf-8-sig") as refused:
        rows = list(csv.DictReader(refused))
    assert [(row["refused_line"], row["Mobile"]) for row in rows] == [("3", "no number"), ("5", "'+1 212 555 0123")]
    assert [(row["First Name"], row["plan"]) for row in rows] == [("Bob", "basic"), ("Ada again", "basic")]
    assert all(row["refused_reason"] for row in rows)


def test_the_file_of_refused_rows_is_imported_again_once_it_is_corrected(
    acme: Outdial, campaign: str, file: Path
) -> None:
    acme("campaign", "import", "Spring", str(file), "--region=US")
    refused = file.parent / "people.csv.refused.csv"
    refused.write_text(
        refused.read_text(encoding="utf-8-sig").replace("no number", "212-555-0125"), encoding="utf-8-sig"
    )

    report = acme.json("campaign", "import", campaign, str(refused), "--region=US")

    assert (report["added"], report["already_there"], report["refused_rows"]) == (1, 1, 0)
    assert report["variables"] == ["First Name", "plan"]


def test_the_table_shows_the_first_refused_rows_and_the_file_all(acme: Outdial, campaign: str, tmp_path: Path) -> None:
    file, refused = tmp_path / "many.csv", tmp_path / "elsewhere.csv"
    file.write_text("phone\n+12125550123\n" + "".join(f"bad {n}\n" for n in range(50)))

    shown = acme("campaign", "import", campaign, str(file), f"--refused={refused}")

    assert "bad 19" in shown
    assert "bad 20" not in shown
    assert "30 more refused rows: " in shown
    assert len(refused.read_text().splitlines()) == 51


def test_an_import_without_refused_rows_leaves_no_file_of_an_earlier_one(
    acme: Outdial, campaign: str, file: Path
) -> None:
    acme("campaign", "import", campaign, str(file), "--region=US")
    file.write_text("phone\n+12125550199\n")

    acme("campaign", "import", campaign, str(file))

    assert not (file.parent / "people.csv.refused.csv").exists()


@pytest.mark.parametrize("content", ["phone\n+12125550199\n", "phone,phone\n", None])
def test_an_import_that_fails_keeps_the_file_of_an_earlier_one(
    acme: Outdial, campaign: str, file: Path, content: str | None
) -> None:
    acme("campaign", "import", campaign, str(file), "--region=US")
    refused = file.parent / "people.csv.refused.csv"
    corrected = refused.read_text(encoding="utf-8-sig").replace("no number", "212-555-0125")
    refused.write_text(corrected)
    if content is None:
        file.unlink()
    else:
        file.write_text(content)

    acme.error("campaign", "import", campaign, str(file), "--map=phone=Handy")

    assert refused.read_text() == corrected


def test_the_file_of_refused_rows_never_replaces_the_imported_one(acme: Outdial, campaign: str, file: Path) -> None:
    assert "choose another name" in acme.error("campaign", "import", campaign, str(file), f"--refused={file}")
    assert file.read_text() == FILE


def test_a_file_of_refused_rows_that_is_a_device_is_kept(acme: Outdial, campaign: str, tmp_path: Path) -> None:
    file, device = tmp_path / "valid.csv", tmp_path / "device"
    file.write_text("phone\n+12125550123\n")
    os.mkfifo(device)

    report = acme.json("campaign", "import", campaign, str(file), f"--refused={device}")

    assert (report["added"], report["refused_file"]) == (1, None)
    assert device.is_fifo()


def test_the_status_is_1_when_no_row_is_valid(acme: Outdial, campaign: str, file: Path) -> None:
    file.write_text("phone\nn/a\n")
    assert acme.run("campaign", "import", campaign, str(file)).exit_code == 1


def test_importing_again_succeeds(acme: Outdial, campaign: str, file: Path) -> None:
    acme("campaign", "import", campaign, str(file), "--region=US")
    assert acme.json("campaign", "import", campaign, str(file), "--region=US")["already_there"] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--region=XX",), "unknown default region XX"),
        (("--map=phone=Handy",), "phone is mapped to 'Handy'"),
        (("--map=phone",), "--map: 'phone' is not NAME=VALUE"),
    ],
)
def test_an_unusable_file_is_reported_in_one_line(
    acme: Outdial, campaign: str, file: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in acme.error("campaign", "import", campaign, str(file), *arguments)


def test_a_missing_file_is_reported_in_one_line(acme: Outdial, campaign: str, tmp_path: Path) -> None:
    error = acme.error("campaign", "import", campaign, str(tmp_path / "nowhere.csv"))
    assert error.endswith("nowhere.csv: No such file or directory")


def test_an_import_is_undone_with_the_command_that_it_prints(acme: Outdial, campaign: str, file: Path) -> None:
    done = acme.run("campaign", "import", "Spring", str(file), "--region=US", "--map=phone=Mobile")
    (line,) = [line for line in done.stderr.splitlines() if "To undo it" in line]
    _, *command = shlex.split(line.partition(": ")[2])

    assert acme(*command) == "Removed 2 contacts.\n"

    assert acme.json("campaign", "show", campaign)["progress"]["contacts"] == {}
    assert "no contacts in the campaign, or it is still running" in acme.error(*command)
    assert "no contacts in the campaign, or it is still running" in acme.error(*command, "--json")
    report = acme.json("campaign", "import", campaign, str(file), "--region=US", "--map=phone=Mobile")
    assert report["added"] == 2
    assert acme.json("campaign", "undo-import", campaign, report["import_id"])["removed"] == 2


def test_a_file_without_a_header_and_with_names_of_zones_is_read_as_the_options_say(
    acme: Outdial, campaign: str, tmp_path: Path
) -> None:
    file = tmp_path / "bare.csv"
    file.write_text("+12125550123,Eastern,Ada\n+12125550124,Mars,Bob\n")
    options = ("--no-header", "--map=timezone=Column 2", "--map=name=Column 3", "--zone=eastern=America/New_York")

    report = acme.json("campaign", "import", campaign, str(file), *options)

    assert (report["added"], [row["kind"] for row in report["first_refused"]]) == (1, ["unknown_time_zone"])
    refused = acme.error("campaign", "import", campaign, str(file), "--zone=Mars=Mars/Olympus")
    assert "'Mars/Olympus' is not a time zone" in refused
