"""The demo's report says which checks hold, and what broke the others."""

import pytest

from outdial.db.events import EventCount
from outdial.db.evidence import LimitRow
from outdial.promises.checks import Check, Evidence, Resolved
from outdial.promises.demo_report import Report, print_report

NOTHING = Evidence([], [], [], [], [], LimitRow("default", 1, 1.0))


def report(*checks: Check) -> Report:
    events = [
        EventCount("call_ended", "webhook", "applied", 5, 2),
        EventCount("call_ended", "reconciler", "applied", 3, 0),
    ]
    imported = {"refused": {"bad_phone": 4, "duplicate": 6}}
    return Report(NOTHING, imported, events, {"webhooks": {"dropped": 9}}, Resolved(2, 1), checks)


def test_the_numbers_tell_received_events_from_reports_that_were_asked_for() -> None:
    numbers = report().numbers()
    assert (numbers["events received"], numbers["duplicates among them"]) == (7, 2)
    assert (numbers["reports got by asking"], numbers["events dropped on the way"]) == (3, 9)
    assert (numbers["calls with an answer that told nothing"], numbers["of these known now"]) == (2, 1)
    assert numbers["refused rows"] == "6 duplicate, 4 bad_phone"


def test_a_broken_check_is_shown_with_what_broke_it(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Check(1, "says", "3 calls", []), Check(3, "says", "3 phones", [f"breach {n}" for n in range(7)])

    print_report(report(good, bad), 61.4)

    said = capsys.readouterr().out
    assert "BROKEN  3" in said
    assert "holds   1" in said
    assert "promise 3: breach 4" in said
    assert "breach 5" not in said
    assert "promise 3: and 2 more" in said
    assert "Done in 61 s: 1 of 2 checks broken." in said
    assert report(good, bad).as_dict()["holds"] is False


def test_a_run_in_which_every_check_holds_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(report(Check(1, "says", "3 calls", [])), 40)
    assert "every check holds" in capsys.readouterr().out
