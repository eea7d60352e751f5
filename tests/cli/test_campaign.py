"""Campaigns from the command line: creating, finding, changing and showing them."""

import asyncio
import json
import re
from dataclasses import fields
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from outdial.campaigns.create import CampaignSettings
from tests.cli.conftest import Outdial, sql
from tests.support.postgres import Scratch


def import_two(outdial: Outdial, campaign: str, directory: Path) -> None:
    file = directory / "two.csv"
    file.write_text("phone,name\n+12125550123,Ada\n+12125550124,Grace\n")
    outdial("campaign", "import", campaign, str(file))


def test_a_campaign_is_created_with_its_settings(acme: Outdial, tmp_path: Path) -> None:
    hours = tmp_path / "hours.json"
    hours.write_text('{"monday": [["10:00", "12:00"]]}')

    created = acme.json(
        "campaign", "create", "--name=Spring", "--agent=agent_1", "--from=+1 212 555 0100", f"--hours=@{hours}",
        '--retry={"busy": {"delays": ["10m"]}}', "--max-attempts=2", "--batch-size=25", "--max-concurrency=7",
        "--schedule=2026-12-01T09:00:00Z", "--var=greeting=Good day", "--var=offer=a=b",
        "--purpose=survey", "--consent=express", "--require-list=state", "--require-list=national",
        "--more-number=+1 212 555 0101", "--day-part=evening", "--day-part=morning", "--budget-cents=25000",
        '--callbacks={"time_field": "when"}', '--voicemail={"action": "hang_up"}', "--priority=8", "--share=3",
        "--keep-open", "--reentry-after=36h",
    )  # fmt: skip
    shown = acme.json("campaign", "show", created["id"])

    assert shown["from_number"] == "+12125550100"
    assert shown["calling_hours"] == {"monday": [["10:00", "12:00"]]}
    assert shown["retry_policy"] == {"busy": {"delays": ["10m"]}}
    assert (shown["max_attempts"], shown["batch_size"], shown["max_concurrency"]) == (2, 25, 7)
    assert shown["dynamic_variables"] == {"greeting": "Good day", "offer": "a=b"}
    assert shown["scheduled_at"].startswith("2026-12-01T09:00:00")
    assert (shown["purpose"], shown["consent_required"]) == ("survey", "express")
    assert shown["lists_required"] == ["national", "state"]
    assert (shown["more_numbers"], shown["day_parts"]) == (["+12125550101"], ["evening", "morning"])
    assert (shown["callback_policy"], shown["voicemail_policy"]) == ({"time_field": "when"}, {"action": "hang_up"})
    assert (shown["budget_cents"], shown["priority"], shown["share"]) == (25000, 8, 3)
    assert (shown["keep_open"], shown["reentry_after"]) == (True, "36h")


def test_an_edit_changes_the_given_settings_only(acme: Outdial, campaign: str) -> None:
    before = acme.json("campaign", "show", campaign)

    edited = acme.json("campaign", "edit", "Spring", "--name=Summer", "--purpose=collection", "--require-list=state")
    shown = acme.json("campaign", "show", campaign)
    acme("campaign", "edit", campaign, "--no-lists", "--hours=always", "--var=offer=none", "--max-attempts=2")
    acme("campaign", "edit", campaign, "--no-keep-open", "--reentry-after=30d", "--share=2", "--budget-cents=900")
    assert "campaign budget $9.00: $0.00 spent, $0.00 reserved, $9.00 left" in acme("campaign", "show", campaign)
    acme("campaign", "edit", campaign, "--no-budget")
    again = acme.json("campaign", "show", campaign)

    assert edited == {"id": campaign, "changed": ["lists_required", "name", "purpose"]}
    changes = {"name": "Summer", "purpose": "collection", "lists_required": ["state"]}
    assert {key: shown[key] for key in shown if shown[key] != before[key] and key != "updated_at"} == changes
    assert again["lists_required"] == []
    assert (again["keep_open"], again["reentry_after"], again["share"]) == (False, "30d", 2)
    assert (again["budget_cents"], again["budgets"]) == (None, [])
    assert again["calling_hours"] == {"every_day": [["00:00", "24:00"]]}
    assert (again["dynamic_variables"], again["max_attempts"], again["purpose"]) == ({"offer": "none"}, 2, "collection")


def test_an_edit_removes_every_setting_that_may_be_empty(acme: Outdial, campaign: str, database: Scratch) -> None:
    given: dict[str, tuple[str, str, object]] = {
        "more_numbers": ("--more-number=+12125550001", "--no-more-numbers", []),
        "lists_required": ("--require-list=state", "--no-lists", []),
        "day_parts": ("--day-part=morning", "--no-day-parts", []),
        "max_concurrency": ("--max-concurrency=3", "--no-max-concurrency", None),
        "budget_cents": ("--budget-cents=900", "--no-budget", None),
        "reentry_after": ("--reentry-after=30d", "--no-reentry", None),
        "scheduled_at": ("--schedule=2099-12-01T09:00Z", "--no-schedule", None),
        "dynamic_variables": ("--var=offer=none", "--no-vars", "{}"),
    }
    # Hours and policies take {} for their default.
    empty_by_default = {each.name for each in fields(CampaignSettings) if each.default in (None, ())}
    assert set(given) == (empty_by_default - {"provider_account_id"}) | {"dynamic_variables"}
    read = f"select {', '.join(given)} from campaigns"  # noqa: S608
    acme("campaign", "edit", campaign, *(option for option, _, _ in given.values()))
    stored = zip(sql(database, read)[0], given.values(), strict=True)
    assert [value for value, (_, _, empty) in stored if value == empty] == []
    for option, removal, _ in given.values():
        refused = acme.error("campaign", "edit", campaign, option, removal)
        assert f"{removal} and {option.split('=')[0]} exclude each other" in refused
    edited = acme.json("campaign", "edit", campaign, *(removal for _, removal, _ in given.values()))
    assert edited["changed"] == sorted(given)
    assert list(sql(database, read)[0]) == [empty for _, _, empty in given.values()]


def test_an_edit_that_cannot_be_saved_is_refused_with_the_reason(acme: Outdial, campaign: str, tmp_path: Path) -> None:
    import_two(acme, campaign, tmp_path)

    assert "nothing to change" in acme.error("campaign", "edit", campaign)
    assert "exclude each other" in acme.error("campaign", "edit", campaign, "--no-lists", "--require-list=state")
    assert "max_attempts: must be a whole number" in acme.error("campaign", "edit", campaign, "--max-attempts=0")
    assert "budget_cents: must be a whole number of cents" in acme.error(
        "campaign", "edit", campaign, "--budget-cents=-1"
    )
    assert "unknown campaign 'Winter'" in acme.error("campaign", "edit", "Winter", "--name=x")
    assert "Forecast: Finishes " in acme.run("campaign", "start", campaign).stderr
    assert "pause it first" in acme.error("campaign", "edit", campaign, "--agent=agent_2")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--hours={", "--hours: invalid JSON"),
        ("--hours=[]", "--hours: must be a JSON object"),
        ('--hours={"someday": []}', "unknown key 'someday'"),
        ('--retry={"busy": 1}', "busy: must be an object"),
        ("--hours=@nowhere.json", "nowhere.json: No such file"),
        ("--schedule=tomorrow", "--schedule: 'tomorrow' is not a time"),
        ("--schedule=2026-12-01T09:00:00", "scheduled_at: must be a time with a zone"),
        ("--var=greeting", "--var: 'greeting' is not NAME=VALUE"),
        ("--from=555", "from_number: '555'"),
        ("--max-attempts=0", "max_attempts: must be a whole number"),
        ("--organization=Globex", "unknown organization 'Globex'"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line(acme: Outdial, option: str, said: str) -> None:
    error = acme.error("campaign", "create", "--name=x", "--agent=agent_1", "--from=+12125550100", option)
    assert said in error


def test_the_organization_is_optional_only_when_there_is_one(acme: Outdial) -> None:
    acme("organization", "create", "Globex", "--credential=globex")
    new = ("campaign", "create", "--name=x", "--agent=agent_1", "--from=+12125550100")

    assert "choose an organization" in acme.error(*new)
    acme(*new, "--organization=Globex")


def test_a_campaign_is_found_by_id_prefix_or_name(acme: Outdial, campaign: str) -> None:
    for given in (campaign, campaign.upper(), campaign[:30], "Spring"):
        assert acme.json("campaign", "show", given)["id"] == campaign


def test_an_unknown_or_ambiguous_name_is_reported(acme: Outdial, campaign: str) -> None:
    acme("campaign", "create", "--name=Spring", "--agent=agent_1", "--from=+12125550100")

    assert "matches several campaigns" in acme.error("campaign", "show", "Spring")
    assert "matches several campaigns" in acme.error("campaign", "show", campaign[:4])
    for given in ("Winter", str(uuid4()), campaign[:3], "%", ""):
        assert "unknown campaign" in acme.error("campaign", "show", given)


def test_contacts_in_review_are_listed_and_decided(
    acme: Outdial, campaign: str, tmp_path: Path, database: Scratch
) -> None:
    import_two(acme, campaign, tmp_path)

    async def hold() -> None:
        connection = await asyncpg.connect(database.dsn)
        try:
            await connection.execute("set session_replication_role = replica")
            await connection.execute("update campaign_contacts set status = 'review', status_reason = 'no one knows'")
        finally:
            await connection.close()

    asyncio.run(hold())

    listed = acme.json("campaign", "review", campaign)
    assert {(row["phone"], row["status_reason"]) for row in listed} == {
        ("+12125550123", "no one knows"),
        ("+12125550124", "no one knows"),
    }
    again = ("campaign", "decide", campaign, "+1 212 555 0123", "call_again", "--note=asked for it")
    assert acme(*again, "--at=2026-12-01T09:00Z") == "+12125550123 is pending.\n"
    assert acme.json("campaign", "decide", campaign, "+12125550124", "never_call")["status"] == "failed"
    assert [row["phone"] for row in acme.json("contacts", "dnc", "list")] == ["+12125550124"]
    assert "No contact needs a decision." in acme.run("campaign", "review", campaign).stderr
    assert "this one is pending" in acme.error(*again)
    assert "no contact +12125550199" in acme.error("campaign", "decide", campaign, "+12125550199", "failed")
    assert "--at: must be a time with a zone" in acme.error(*again, "--at=2026-12-01T09:00")
    assert "not a phone number" in acme.error("campaign", "decide", campaign, "Ada", "failed")


def test_a_campaign_goes_through_its_life_cycle(acme: Outdial, campaign: str, tmp_path: Path) -> None:
    assert "has no contacts" in acme.error("campaign", "start", campaign)
    import_two(acme, campaign, tmp_path)

    assert acme.json("campaign", "start", campaign) == {"id": campaign, "status": "active", "changed": True}
    assert acme.json("campaign", "start", campaign)["changed"] is False
    assert acme.json("campaign", "pause", campaign, "--reason=lunch")["status"] == "paused"
    assert "not dialing: paused: lunch" in acme("campaign", "show", campaign)
    assert f"Campaign {campaign} is active." in acme("campaign", "resume", "Spring")
    assert acme.json("campaign", "cancel", campaign, "--hang-up")["status"] == "cancelling"
    assert "cannot be resumed, only one that is pausing or paused" in acme.error("campaign", "resume", campaign)


def test_a_campaign_is_forecast_and_its_forecasts_are_listed(acme: Outdial, campaign: str, tmp_path: Path) -> None:
    assert "there are no contacts left to call" in acme.error("campaign", "forecast", campaign)
    import_two(acme, campaign, tmp_path)

    made = acme.json("campaign", "forecast", campaign)
    assert made["contacts"] == 2
    assert made["finish_at"]["p10"] <= made["finish_at"]["p50"] <= made["finish_at"]["p90"]
    printed = acme("campaign", "forecast", "Spring")
    assert re.search(r"^cost of the remaining calls +\$.+", printed, re.MULTILINE)
    assert re.search(r"^based on +0 past calls and defaults$", printed, re.MULTILINE)
    assert [each["id"] for each in acme.json("campaign", "forecasts", campaign)][1] == made["id"]
    assert "Actual cost" in acme("campaign", "forecasts", campaign)

    report = acme.json("campaign", "report", campaign)
    assert (report["contacts"], report["open"], report["reached"]) == (2, 2, 0)
    assert report["forecast"]["calls_p50"] == made["calls"]["p50"]
    assert re.search(r"^reached +0 \(0%\)$", acme("campaign", "report", "Spring"), re.MULTILINE)
    assert "contacts,all,2,,,,," in acme("campaign", "report", campaign, "--csv").splitlines()


def test_campaigns_are_listed_and_filtered(acme: Outdial, campaign: str) -> None:
    assert [row["id"] for row in acme.json("campaign", "list")] == [campaign]
    assert [row["id"] for row in acme.json("campaign", "list", "--status=draft", "--organization=Acme")] == [campaign]
    assert acme.json("campaign", "list", "--status=active") == []
    assert campaign in acme("campaign", "list")
    assert f"Campaign {campaign} is in the archive." in acme("campaign", "archive", "Spring")
    assert acme.json("campaign", "list") == []
    (archived,) = acme.json("campaign", "list", "--archived")
    assert (archived["id"], archived["progress"]["total"], archived["progress"]["reached"]) == (campaign, 0, 0)
    assert acme.json("campaign", "unarchive", campaign) == {"id": campaign, "status": "draft", "changed": True}
    assert f"Campaign {campaign} is already unarchived." in acme("campaign", "unarchive", "Spring")


def test_watching_a_stopped_campaign_prints_its_state_and_ends(acme: Outdial, campaign: str, tmp_path: Path) -> None:
    import_two(acme, campaign, tmp_path)

    assert acme("campaign", "watch", campaign) == (
        f"draft: 0/2 contacts done, 0 calls live; not dialing: not started yet: outdial campaign start {campaign}\n"
    )
    assert json.loads(acme("campaign", "watch", campaign, "--json"))["progress"]["total"] == 2


def test_output_may_contain_square_brackets(acme: Outdial) -> None:
    acme("campaign", "create", "--name=[bold] it", "--agent=agent_1", "--from=+12125550100")

    assert "[bold] it" in acme("campaign", "list")
    assert "[bold] it" in acme("campaign", "show", "[bold] it")


def test_a_campaign_is_duplicated_and_its_draft_deleted(acme: Outdial, campaign: str) -> None:
    copy = acme.json("campaign", "duplicate", campaign)

    assert (copy["name"], copy["status"]) == ("Copy of Spring", "draft")
    assert acme("campaign", "duplicate", campaign, "--name=Autumn").endswith("as a draft.\n")
    assert acme.json("campaign", "delete", "Copy of Spring") == {"id": copy["id"], "deleted": True}
    assert "unknown campaign" in acme.error("campaign", "delete", copy["id"])
    acme("campaign", "cancel", campaign)
    assert "only a draft can be deleted; this campaign is cancelling" in acme.error("campaign", "delete", campaign)


def test_contacts_are_added_and_changed_one_by_one_and_from_json_lines(
    acme: Outdial, campaign: str, tmp_path: Path
) -> None:
    acme("campaign", "edit", campaign, "--keep-open")
    one = acme.json("campaign", "add-contact", campaign, "+12125550123", "--field=name=Ada", "--variable=plan=gold")
    again = acme("campaign", "add-contact", campaign, "(212) 555-0123", "--region=US")
    lines = tmp_path / "more.jsonl"
    lines.write_text('{"phone": "+12125550124", "priority": 9}\n\n{"phone": "123"}\n')
    more = acme.run("campaign", "add-contacts", campaign, str(lines), "--json")
    changed = acme("campaign", "change-contact", campaign, "+12125550123", "--priority=9", "--variable=plan=")

    assert (one["status"], one["contact_status"]) == ("added", "pending")
    assert "in the campaign already; it is pending" in again
    assert more.exit_code == 1
    counts = json.loads(more.stdout)
    assert (counts["added"], counts["already_there"], counts["refused"]) == (1, 0, 1)
    assert [(row["line"], row["kind"]) for row in counts["refused_lines"]] == [(3, "bad_phone")]
    assert changed == "Changed +12125550123.\n"
    assert "bad_time" in acme.error("campaign", "add-contact", campaign, "+12125550125", "--not-before=soon")
    assert "with a zone" in acme.error("campaign", "change-contact", campaign, "+12125550123", "--not-before=soon")
    assert "no contact +12125550199" in acme.error("campaign", "change-contact", campaign, "+12125550199")
    lines.write_text('{"phone": "+12125550126"}\n{"phone": \n')
    assert "line 2 is not JSON" in acme.error("campaign", "add-contacts", campaign, str(lines))
    closed = acme.json("campaign", "close", campaign)
    assert (closed["status"], closed["changed"]) == ("draft", True)
