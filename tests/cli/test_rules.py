"""`outdial rules`: the rules that count, and why a number may be called at a time or not."""

import json

import pytest

from tests.cli.conftest import Outdial, sql
from tests.support.postgres import Scratch

FLORIDA = "+12392000123"
EVENING = "--at=2026-12-01T01:30Z"  # 20:30 on Monday in Florida
SPAIN = {"jurisdiction": "ES", "purpose": "any", "hours": {"every_day": [["09:00", "21:00"]]}, "source": "Counsel",
         "confidence": "s"}  # fmt: skip


@pytest.fixture
def alone() -> Outdial:
    """The command line without a database."""
    return Outdial({"SUPABASE_DB_URL": "postgresql://127.0.0.1:1/none"})


def test_the_shipped_rules_are_listed_and_shown_without_a_database(alone: Outdial) -> None:
    ids = {rule["id"] for rule in alone.json("rules", "list", "--jurisdiction=us-tx", "--purpose=sales")}
    shown = alone.json("rules", "show", "US-TX-HOURS")
    listed = alone.run("rules", "list", "--jurisdiction=US-TX")

    assert {"US-TX-HOURS", "US-FTC-HOURS"} <= ids
    assert not {name for name in ids if name.startswith(("US-FL", "GB"))}
    assert (shown["jurisdiction"], shown["confidence"]) == ("US-TX", "q")
    assert "Mon–Sat 09:00–21:00; Sun 12:00–21:00" in listed.stdout
    assert "Tex. Bus. & Com. Code 301.051" in alone("rules", "show", "US-TX-HOURS")
    assert listed.stderr.count("Not legal advice") == 1
    assert "unknown rule 'US-TX'" in alone.error("rules", "show", "US-TX")


def test_an_explanation_names_each_gate_and_the_next_opening_without_a_database(alone: Outdial) -> None:
    found = alone.json("rules", "explain", FLORIDA, EVENING)
    printed = alone("rules", "explain", FLORIDA, EVENING)

    assert (found["zones"], found["jurisdictions"]) == (["America/New_York"], ["US-FL"])
    assert (found["open"], found["next_open"]) == (False, "2026-12-01T13:00:00Z")
    closed = [rule["id"] for rule in found["rules"] if not rule["is_open"]]
    assert closed == ["US-FL-HOURS"]
    assert "US-FL-HOURS" in printed
    assert "Florida" in printed


def test_both_zones_of_a_split_area_code_count(alone: Outdial) -> None:
    # 08:30 in Chattanooga is 07:30 in the western part of the area code.
    found = alone.json("rules", "explain", "+14232000123", "--at=2026-12-01T13:30Z")

    assert found["zones"] == ["America/Chicago", "America/New_York"]
    assert (found["open"], found["next_open"]) == (False, "2026-12-01T14:00:00Z")


def test_what_is_stated_about_the_contact_decides(alone: Outdial) -> None:
    texas = alone.json("rules", "explain", FLORIDA, EVENING, "--state=TX", "--timezone=America/Chicago")
    survey = alone.json("rules", "explain", FLORIDA, EVENING, "--purpose=survey")
    national = alone.json("rules", "explain", "0612345678", EVENING, "--country=FR")

    assert "US-TX" in texas["jurisdictions"]
    assert texas["zones"] == ["America/Chicago"]
    assert survey["open"] is True
    assert national["phone"] == "+33612345678"
    assert national["jurisdictions"] == ["FR"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["12"], "'12'"),
        ([FLORIDA, "--at=tomorrow"], "--at: 'tomorrow' is not a time"),
        ([FLORIDA, "--at=2026-12-01T09:00"], "--at: must be a time with a zone"),
        ([FLORIDA, "--state=Freedonia"], "region: 'Freedonia'"),
        ([FLORIDA, "--postal-code=ABCDE"], "postal code: 'ABCDE'"),
        ([FLORIDA, "--timezone=Mars"], "timezone: 'Mars'"),
        (["+18002000123"], "timezone: toll-free"),
    ],
)
def test_a_question_that_cannot_be_read_names_its_part(alone: Outdial, arguments: list[str], said: str) -> None:
    assert said in alone.error("rules", "explain", *arguments)


def test_rules_are_switched_and_added_for_an_organization(acme: Outdial) -> None:
    off = acme("rules", "off", "US-FL-HOURS", "--reason=Advice of counsel")
    again = acme("rules", "off", "US-FL-HOURS", "--reason=Advice of counsel")
    added = acme.json("rules", "add", json.dumps(SPAIN))
    evening = acme.json("rules", "explain", FLORIDA, EVENING, "--organization=Acme")
    spain = acme.json("rules", "explain", "+34912000123", "--at=2026-12-01T10:00Z", "--organization=Acme")
    ids = {rule["id"] for rule in acme.json("rules", "list", "--organization=Acme")}
    acme("rules", "on", "US-FL-HOURS", "--reason=Advice withdrawn")

    assert (off, again) == ("US-FL-HOURS is off.\n", "US-FL-HOURS is already off.\n")
    assert added["id"] == "OWN-ES-1"
    assert evening["open"] is True
    assert (spain["open"], "OWN-ES-1" in ids, "US-FL-HOURS" in ids) == (True, True, False)
    assert acme.json("rules", "show", "US-FL-HOURS", "--organization=Acme")["id"] == "US-FL-HOURS"
    assert "reason: must have 1 to 1000 characters" in acme.error("rules", "off", "US-FL-HOURS", "--reason= ")
    assert "unknown rule 'US-XX'" in acme.error("rules", "off", "US-XX", "--reason=x")
    assert "source: is missing" in acme.error("rules", "add", '{"jurisdiction": "ES", "purpose": "any"}')


def test_a_campaign_adds_its_hours_and_purpose_and_what_is_known_of_the_number(
    acme: Outdial, database: Scratch
) -> None:
    acme("campaign", "create", "--name=Spring", "--agent=agent_1", "--from=+12125550100", "--purpose=survey")
    question = ("rules", "explain", FLORIDA, "--at=2026-12-01T02:30Z", "--campaign=Spring")
    before = acme.json(*question)
    acme("contacts", "dnc", "add", FLORIDA)
    sql(
        database,
        "insert into contacts (organization_id, phone, zone_key, zone_source, jurisdiction_key)"
        " select id, $1, 'America/Los_Angeles', 'contact', 'US-OR' from organizations",
        FLORIDA,
    )
    after = acme.json(*question)

    closed = [gate["name"] for gate in before["gates"] if not gate["is_open"]]
    assert (before["purpose"], before["next_open"]) == ("survey", "2026-12-01T14:00:00Z")
    assert closed == ["calling hours", "default hours"]  # 21:30 in Florida, which sets hours for sales only.
    gates = {gate["name"]: gate["is_open"] for gate in after["gates"]}
    assert (after["jurisdictions"], gates["calling hours"], gates["do-not-call list"]) == (["US-OR"], True, False)
    assert (gates["daily cap"], after["open"], after["next_open"]) == (True, False, None)


def test_consent_and_lists_that_a_campaign_requires_are_gates(acme: Outdial) -> None:
    acme(
        "campaign", "create", "--name=Spring", "--agent=agent_1", "--from=+12125550100", "--hours=always",
        "--consent=express", "--require-list=national",
    )  # fmt: skip
    question = ("rules", "explain", FLORIDA, "--at=2026-12-01T15:00Z")

    required = {gate["name"]: gate for gate in acme.json(*question, "--campaign=Spring")["gates"]}
    other = {gate["name"] for gate in acme.json(*question, "--organization=Acme")["gates"]}

    assert (required["consent"]["is_open"], required["national list"]["is_open"]) == (False, False)
    assert required["consent"]["text"] == "no express consent for sales calls on record"
    assert required["national list"]["text"].startswith("upload a national list")
    assert required["screening lists"]["is_open"] is True
    assert "consent" not in other
