"""The demo's report shows which promises hold, and the breaches of the others."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from outdial.cli.demo_report import print_report
from outdial.db.queries.evidence import AccountLimits, VoicemailCount
from outdial.db.queries.inbox import EventCount
from outdial.domain.policies.budget import BudgetScope, BudgetUse
from outdial.promises.checks import PromiseCheck, ResolvedCalls, RunEvidence
from outdial.promises.demo import DemoReport
from outdial.promises.highlights import Highlights
from outdial.promises.promise import Promise

NOTHING = RunEvidence(
    requests=[],
    provider_calls=[],
    calls=[],
    contacts=[],
    campaigns=[],
    limits=AccountLimits(credential="default", concurrency_limit=1, calls_per_second=1.0),
)
HIGHLIGHTS = Highlights(
    callback_delays=[],
    voicemail=VoicemailCount(reached=0, left_for=0),
    day_parts=[],
    budget=BudgetUse(scope=BudgetScope.CAMPAIGN, limit_cents=3000, spent_cents=Decimal(100), reserved_cents=Decimal(0)),
    forecast=None,
    finished_at=datetime(2026, 3, 10, 17, 0, tzinfo=UTC),
    calls=3,
    spent_cents=100.0,
)


def check(promise: int, examined: str, *breaches: str) -> PromiseCheck:
    return PromiseCheck(promise=Promise(promise), examined=examined, breaches=breaches)


def report(*checks: PromiseCheck) -> DemoReport:
    events = [
        EventCount(event="call_ended", source="webhook", status="applied", events=5, repeats=2),
        EventCount(event="call_ended", source="reconciler", status="applied", events=3, repeats=0),
    ]
    imported = {"refused": {"bad_phone": 4, "duplicate": 6}}
    return DemoReport(
        evidence=NOTHING,
        imported=imported,
        events=events,
        state={"webhooks": {"dropped": 9}},
        resolved=ResolvedCalls(2, 1),
        law={"contacts that waited for the law": 5},
        highlights=HIGHLIGHTS,
        checks=checks,
    )


def test_received_events_are_counted_apart_from_fetched_ones() -> None:
    numbers = report().numbers()
    assert (numbers["events received"], numbers["of these duplicates"]) == (7, 2)
    assert (numbers["events fetched by reconciling"], numbers["events lost on the way"]) == (3, 9)
    assert (numbers["calls with an ambiguous response"], numbers["of these resolved"]) == (2, 1)
    assert numbers["refused rows"] == "6 duplicate, 4 bad_phone"
    assert numbers["contacts that waited for the law"] == 5


def test_a_broken_promise_is_shown_with_its_breaches(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = (
        check(1, "3 calls"),
        check(3, "3 phones", *(f"breach {n}" for n in range(7))),
    )

    print_report(report(good, bad), 61.4)

    said = capsys.readouterr().out
    assert "BROKEN  3" in said
    assert "holds   1" in said
    assert "promise 3: breach 4" in said
    assert "breach 5" not in said
    assert "promise 3: and 2 more" in said
    assert "Done in 61 s: 1 of 2 promises broken." in said
    assert report(good, bad).as_dict()["holds"] is False


def test_a_run_in_which_every_promise_holds(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(report(check(1, "3 calls")), 40)
    assert "every promise holds" in capsys.readouterr().out
