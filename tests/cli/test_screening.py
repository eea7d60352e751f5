"""Screening lists from the command line."""

from pathlib import Path

from outdial.clock import SystemClock
from tests.cli.conftest import Outdial

TODAY = SystemClock().now().date().isoformat()


def test_a_list_is_uploaded_listed_replaced_and_removed(acme: Outdial, tmp_path: Path) -> None:
    file = tmp_path / "national.txt"
    file.write_text("212,5550101\n212,5550102\nnonsense\n")

    result = acme.run("screening", "upload", str(file), "--kind=national", f"--registry-date={TODAY}")
    assert "Uploaded 2 numbers" in result.stdout
    assert "line 3: 'nonsense'" in result.stderr
    assert result.exit_code == 0
    replaced = acme.json(
        "screening", "upload", "-", "--kind=national", f"--registry-date={TODAY}", stdin="2125550103\n"
    )
    assert (replaced["jurisdiction"], replaced["numbers"], replaced["refused"]) == ("US", 1, 0)

    listed = acme.json("screening", "list")
    assert [(row["status"], row["numbers"]) for row in listed] == [("current", 1), ("replaced", 2)]
    assert "national.txt" not in acme("screening", "list")
    assert "Removed the list" in acme("screening", "remove", replaced["id"])
    assert "is not a current list" in acme.error("screening", "remove", replaced["id"])


def test_a_list_that_cannot_be_used_is_refused_with_the_reason(acme: Outdial, tmp_path: Path) -> None:
    file = tmp_path / "numbers.txt"
    file.write_text("phone\nnonsense\n")
    upload = ("screening", "upload", str(file))

    assert "'yesterday' is not a day" in acme.error(*upload, "--kind=national", "--registry-date=yesterday")
    assert "give the state of the list" in acme.error(*upload, "--kind=state", f"--registry-date={TODAY}")
    assert "no readable number: line 2" in acme.error(*upload, "--kind=national", f"--registry-date={TODAY}")
    assert "more than 31 days ago" in acme.error(*upload, "--kind=national", "--registry-date=2020-01-01")


def test_an_opt_out_names_its_purpose(acme: Outdial) -> None:
    acme("contacts", "dnc", "add", "+12125550123", "--purpose=survey")
    acme("contacts", "dnc", "add", "+12125550123")
    assert {row["purpose"] for row in acme.json("contacts", "dnc", "list")} == {"survey", "any"}

    assert "Removed 1" in acme("contacts", "dnc", "remove", "+12125550123", "--purpose=survey")
    assert [row["purpose"] for row in acme.json("contacts", "dnc", "list")] == ["any"]


def test_what_a_campaign_will_not_call_is_printed_before_it_starts(acme: Outdial, tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_text("phone\n+12125550101\n+12125550102\n")
    created = acme.json(
        "campaign", "create", "--name=Spring", "--agent=agent_1", "--from=+12125550000", "--consent=express"
    )
    acme("campaign", "import", created["id"], str(file))

    sentence = "2 contacts: 0 can be called, 2 without consent"
    assert sentence in acme("campaign", "check", created["id"])
    report = acme.json("campaign", "check", created["id"])
    assert (report["contacts"], report["uncalled"], report["missing_lists"]) == (2, 2, [])
    assert "No forecast: there are no contacts left to call" in acme("campaign", "check", created["id"])
    started = acme.run("campaign", "start", created["id"])
    assert sentence in started.stderr
    assert "is active" in started.stdout
