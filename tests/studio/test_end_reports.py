"""The end report of a campaign: its figures, its file, and its links."""

import csv
import io
import json
import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from outdial.campaigns.results import report as reports
from outdial.clock import VirtualClock
from outdial.db.session import Database
from outdial.studio.end_reports import pages
from outdial.studio.end_reports.shared import REQUESTS_PER_MINUTE
from outdial.studio.view.phones import phone_text
from outdial.studio.web.signed_links import token_digest
from tests.support.factories import (
    NOW,
    Campaign,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_member,
    create_tenant,
)
from tests.support.jobs import working
from tests.support.postgres import Scratch
from tests.support.studio import BrowserFor, ClientFor, StudioServer

SECRET_NAME, OTHER_NUMBER = "Ada Hopper", "+12125550777"
ENDED = {"status": "ended", "request_deadline": None, "next_check_at": None}


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    """Four contacts reached, one of them at the second attempt; two missed, one skipped, one on the list."""
    campaign = await create_campaign(connection, await create_tenant(connection))
    organization_id = campaign.tenant.organization_id

    async def contact(status: str, outcome: str | None, **more: object) -> Any:
        person = await create_contact(connection, organization_id, name=SECRET_NAME)
        return await create_campaign_contact(connection, campaign, person, status=status, last_outcome=outcome, **more)

    async def call(
        entry: Any, outcome: str, *, hour: int = 9, said: object = None, good: bool = True, **more: Any
    ) -> None:
        analysis = None
        if said is not None:
            analysis = json.dumps({"call_successful": good, "custom_analysis_data": said})
        decision = json.dumps({"local_times": {"America/New_York": f"2026-03-10T{hour:02}:30:00-04:00"}})
        figures = {"outcome": outcome, "cost_cents": 10, "duration_ms": 30_000} | more
        await create_call(connection, entry, **ENDED, decision=decision, analysis=analysis, **figures)

    for number in range(3):
        said = {"interest": "high", "notes": f"Call {SECRET_NAME} at 212 555 0199, contact {number}", "rare": number}
        await call(await contact("completed", "answered"), "answered", said=said)
    late = await contact("failed", "answered")
    await call(late, "voicemail", from_number=OTHER_NUMBER)
    await call(late, "answered", hour=14, said={"interest": "low"}, good=False, attempt_number=2)
    for outcome in ("voicemail", "no_answer"):
        await call(await contact("failed", outcome), outcome, from_number=OTHER_NUMBER)
    await contact("skipped", None, status_reason=f"{SECRET_NAME} asked at the counter")
    await contact("skipped", None, status_reason="on the do-not-call list")
    forecast = {f"{of}_{part}": 5 for of in ("cost_cents", "calls") for part in ("p10", "p50", "p90")}
    finish = {f"finish_{part}": NOW + timedelta(hours=hours) for hours, part in enumerate(("p10", "p50", "p90"))}
    names = ", ".join([*forecast, *finish])
    await connection.execute(
        f"insert into campaign_forecasts (id, organization_id, campaign_id, made_at, made_for, contacts, past_calls,"  # noqa: S608
        f" {names}) values (gen_random_uuid(), $1, $2, $3, 'start', 8, 0, 60, 60, 60, 8, 8, 8, $4, $5, $6)",
        organization_id,
        campaign.id,
        NOW,
        *finish.values(),
    )
    await end(connection, campaign)
    return campaign


async def end(connection: asyncpg.Connection, campaign: Campaign) -> None:
    await connection.execute(
        "update campaigns set status = 'completed', started_at = $2, finished_at = $3, next_batch_at = null"
        " where id = $1",
        campaign.id,
        NOW - timedelta(hours=2),
        NOW,
    )


def paths(campaign: Campaign) -> tuple[str, str]:
    rest = f"{campaign.tenant.organization_id}/campaigns/{campaign.id}/report"
    return f"/o/{rest}", f"/api/v1/organizations/{rest}"


async def erase(connection: asyncpg.Connection, contact_id: UUID) -> None:
    """Replace a phone in both tables, as an erasure does."""
    async with connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(
            "update contacts set phone = 'erased:' || id::text, erased_at = $2 where id = $1", contact_id, NOW
        )
        await connection.execute(
            "update campaign_contacts set phone = 'erased:' || contact_id::text where contact_id = $1", contact_id
        )


async def test_the_new_campaign_from_those_not_reached_gets_as_many_as_its_button_says(
    connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor, campaign: Campaign
) -> None:
    operator = await create_member(connection, campaign.tenant.organization_id, "operator")
    browser, client = await browser_for(operator), await client_for(operator)
    page_url, api_url = paths(campaign)
    base, api = page_url.removesuffix("/report"), api_url.removesuffix("/report")

    async def said() -> int:
        found = re.search(r"New campaign from the (\d+) not reached", (await browser.get(page_url)).text)
        assert found is not None
        return int(found[1])

    assert await said() == 2, "of three failed ones, one was reached at the second attempt"
    link = f"{base}/bulk-jobs?reached=false&amp;action=new_campaign"
    assert link in (await browser.get(page_url)).text
    shown = (await browser.get(unescape(link))).text
    assert "2 contacts match: not reached." in shown
    assert '<option value="new_campaign" selected>New campaign from these contacts (2)' in shown
    listed = {}
    for reached in ("true", "false"):
        found = (await client.get(f"{api}/contacts", params={"reached": reached})).json()["items"]
        by_text = (await client.get(f"{api}/contacts", params={"reached": reached, "search": "hopper"})).json()["items"]
        listed[reached] = len(found)
        assert sorted(one["id"] for one in found) == sorted(one["id"] for one in by_text)
        page = (await browser.get(f"{base}/contacts", params={"reached": reached})).text
        assert all(one["id"] in page for one in found)
        assert page.count("<th scope=row>") == len(found)
    assert listed == {"true": 4, "false": 2}

    # A member has decided after the last call that this one was reached: it is not called again.
    decided = await create_contact(connection, campaign.tenant.organization_id, name=SECRET_NAME)
    entry = await create_campaign_contact(
        connection,
        campaign,
        decided,
        **{"status": "completed", "last_outcome": "unknown", "decision": "completed"},
        decided_at=NOW,
        decided_by="ada@example.com",
    )
    await create_call(connection, entry, **ENDED, outcome="unknown")
    assert await said() == 2
    for params in ({"reached": "false"}, {"reached": "false", "search": "hopper"}):
        assert len((await client.get(f"{api}/contacts", params=params)).json()["items"]) == 2

    erased = await connection.fetchval(
        "select contact_id from campaign_contacts where campaign_id = $1 and last_outcome = 'voicemail'", campaign.id
    )
    await erase(connection, erased)
    number = await said()
    made = (await client.post(f"{api}/new-campaign", json={"reached": False})).json()
    assert (number, made["added"], made["left_out"]) == (1, 1, 0)


async def test_a_contact_that_a_member_has_completed_is_counted_apart_everywhere(
    connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor, campaign: Campaign
) -> None:
    viewer = await create_member(connection, campaign.tenant.organization_id, "viewer")
    browser = await browser_for(viewer)
    url, api = paths(campaign)
    assert "Completed by members" not in (await browser.get(url)).text
    decided = {"decision": "completed", "decided_at": NOW, "decided_by": "ada@example.com"}
    entry = await create_campaign_contact(connection, campaign, status="completed", last_outcome="unknown", **decided)
    await create_call(connection, entry, **ENDED, outcome="unknown")

    report = (await (await client_for(viewer)).get(api)).json()
    others = sum(row["contacts"] for row in (*report["not_reached"], *report["uncalled"]))
    assert (report["contacts"], report["reached"], report["completed_by_members"], others) == (9, 4, 1, 4)
    assert "<dt>Completed by members</dt><dd>1 " in (await browser.get(url)).text
    assert "completed by members,1," in (await browser.get(f"{url}.csv")).text


async def test_a_report_adds_up_what_happened_on_the_page_in_the_api_and_in_the_file(
    connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor, campaign: Campaign
) -> None:
    viewer = await create_member(connection, campaign.tenant.organization_id, "viewer")
    url, api = paths(campaign)
    found = (await (await client_for(viewer)).get(api)).json()

    sums = ("contacts", "reached", "open", "failed", "calls", "conversations", "successful", "unsuccessful")
    assert {name: found[name] for name in sums} == dict(zip(sums, (8, 4, 0, 3, 7, 4, 3, 1), strict=True))
    assert (found["cost_cents"], found["talk_ms"]) == (70, 210_000)
    assert found["cost_per_conversation_cents"] == 17.5
    assert found["cost_per_success_cents"] == pytest.approx(70 / 3)
    assert found["not_reached"] == [{"outcome": "no_answer", "contacts": 1}, {"outcome": "voicemail", "contacts": 1}]
    assert [(row["attempt"], row["calls"], row["reached"]) for row in found["attempts"]] == [(1, 6, 3), (2, 1, 1)]
    assert [(row["attempt"], row["hour"], row["reached"], row["finished"]) for row in found["hours"]] == [
        (1, 9, 3, 6),
        (2, 14, 1, 1),
    ]
    assert [(row["number"], row["calls"], row["reached"]) for row in found["numbers"]] == [
        ("+12125550000", 4, 4),
        (OTHER_NUMBER, 3, 0),
    ]
    assert [(row["reason"], row["contacts"]) for row in found["uncalled"]] == [
        ("On the do-not-call list", 1),
        ("Skipped by a member, or for another reason", 1),
    ]
    fields = {row["field"]: row for row in found["fields"]}
    assert fields["interest"]["values"] == [{"value": "high", "calls": 3}, {"value": "low", "calls": 1}]
    assert (fields["notes"]["is_text"], fields["notes"]["values"]) == (True, [])
    assert (found["forecast"]["calls_p50"], found["forecast"]["cost_cents_p50"]) == (8, 60)

    browser = await browser_for(viewer)
    shown = (await browser.get(url)).text
    for text in (
        "50%",
        "4 of 8 contacts",
        "75%",
        "Why not reached",
        "Interest",
        "Free-text answers are not counted: Notes",
    ):
        assert text in shown, text
    assert phone_text(OTHER_NUMBER) in shown
    assert SECRET_NAME not in shown
    assert "Create link" not in shown
    assert "Not called" not in shown, "some of those were called"
    browser.client.cookies.set("outdial_zone", "America%2FNew_York", domain="127.0.0.1")
    ends = (await browser.get(url)).text.partition('id="forecast"')[2].partition("</table>")[0]
    assert re.findall(r"<time [^>]*>[^<]*at ([^<]*)</time>", ends) == ["2:00 PM", "1:00 PM", "3:00 PM", "1:00 PM"]
    assert (
        f"/o/{campaign.tenant.organization_id}/campaigns/{campaign.id}/report"
        in (await browser.get(url.removesuffix("/report"))).text
    )

    rows = list(csv.DictReader(io.StringIO((await browser.get(f"{url}.csv")).text.removeprefix("\ufeff"))))
    assert {(row["table"], row["row"]): row["calls"] for row in rows}["analysis.interest", "high"] == "3"
    # Text that a spreadsheet would run as a formula is escaped, as in every file.
    assert [row["reached"] for row in rows if row["table"] == "numbers"] == ["4", "0"]
    assert sum(int(row["contacts"]) for row in rows if row["contacts"] and row["row"] != "all") == 8


async def forged_link(connection: asyncpg.Connection, link_id: str) -> str:
    """Store a link that the studio has not signed beside another one, as a member can; return its path."""
    token = "a-token-that-the-studio-has-not-signed"
    await connection.execute(
        "insert into report_links (id, organization_id, campaign_id, token_sha256, created_by, created_at, expires_at)"
        " select gen_random_uuid(), organization_id, campaign_id, $2, created_by, created_at, created_at + '1 hour'"
        " from report_links where id = $1::uuid",
        link_id,
        token_digest(token),
    )
    return f"/shared/reports/{token}"


async def test_a_report_is_shared_until_the_link_expires_or_is_revoked_and_names_no_one(
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    database: Scratch,
    studio_app: StudioServer,
    client_for: ClientFor,
    campaign: Campaign,
) -> None:
    organization_id = campaign.tenant.organization_id
    operator = await browser_for(await create_member(connection, organization_id, "operator"))
    client = await client_for(await create_member(connection, organization_id, "operator"))
    visitor = await browser_for(None)
    url, api = paths(campaign)
    refused = await operator.post_form(f"{url}/links", {"days": "91"})
    assert refused.status_code == 400
    assert "Enter a whole number of days from 1 to 90" in refused.text
    assert 'value="91"' in refused.text
    assert (await operator.post_form(f"{url}/links", {"days": "7"})).status_code == 303
    link = (await client.get(f"{api}/links")).json()[0]
    assert link["path"] in (await operator.get(url)).text
    assert (await visitor.get(link["path"])).status_code == 503, "not added up yet"

    async with working(database) as worker:
        assert await worker.reports.run_once() == 1
        assert await worker.reports.run_once() == 0
    visitor.client.cookies.set("outdial_zone", "America%2FNew_York", domain="127.0.0.1")
    shared = await visitor.get(link["path"])
    assert shared.status_code == 200
    assert shared.headers["x-robots-tag"] == "noindex, nofollow"
    assert shared.headers["referrer-policy"] == "no-referrer"
    assert 'content="noindex, nofollow"' in shared.text
    for text in ("4 of 8 contacts", "Number 2", "high", "Times are in UTC", "at 5:00 PM</time>, started"):
        assert text in shared.text
    for text in (
        "<a ",
        "<script",
        "<form",
        SECRET_NAME,
        "+1",
        "212",
        "low</dt>",
        str(campaign.id),
        str(organization_id),
    ):
        assert text not in shared.text, text

    assert (await visitor.get(f"{link['path']}x")).status_code == 404
    again = (await client.post(f"{api}/links", json={"days": 90})).json()
    assert (await visitor.get(again["path"])).status_code == 200
    assert (await visitor.get(await forged_link(connection, again["id"]))).status_code == 404
    assert (await operator.post_form(f"{url}/links/{again['id']}/revoke")).status_code == 303
    assert (await visitor.get(again["path"])).status_code == 404
    assert {row["id"]: row["path"] for row in (await client.get(f"{api}/links")).json() if row["path"]} == {
        link["id"]: link["path"]
    }
    studio_app.clock.advance(timedelta(days=7))
    assert "has expired or was revoked" in (await visitor.get(link["path"])).text

    said = await connection.fetch(
        "select action from audit_log where organization_id = $1 and subject_id = $2", organization_id, str(campaign.id)
    )
    assert sorted(row["action"] for row in said) == ["revoke_report_link", "share_report", "share_report"]
    for _ in range(REQUESTS_PER_MINUTE):
        last = await visitor.get("/shared/reports/guess")
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) > 0
    studio_app.clock.advance(timedelta(minutes=1))
    assert (await visitor.get("/shared/reports/guess")).status_code == 404


async def test_a_large_campaign_has_its_report_after_its_end_and_again_when_late_results_are_in(
    connection: asyncpg.Connection,
    database: Scratch,
    browser_for: BrowserFor,
    client_for: ClientFor,
    campaign: Campaign,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reports, "COUNTED_AT_ONCE", 3)
    viewer = await create_member(connection, campaign.tenant.organization_id, "viewer")
    browser, client = await browser_for(viewer), await client_for(viewer)
    url, api = paths(campaign)
    assert "The report is being prepared" in (await browser.get(url)).text
    assert (await client.get(api)).status_code == 409
    assert (await browser.get(f"{url}.csv")).status_code == 409

    clock = VirtualClock(NOW)
    async with await Database.connect(database.dsn, application_name="t", max_size=2, role="outdial_jobs") as jobs:
        writer = reports.ReportWriter(jobs, clock)
        assert await writer.run_once() == 1
        assert "4 of 8 contacts" in (await browser.get(url)).text
        stored = (await client.get(api)).json()
        assert [row["value"] for row in stored["fields"][0]["values"]] == ["high"], "a value of one call is not stored"

        await connection.execute("update calls set cost_cents = 20 where outcome = 'answered'")
        assert await writer.run_once() == 0
        clock.advance(timedelta(minutes=15))
        assert await writer.run_once() == 1
        assert (await client.get(api)).json()["cost_cents"] == 110
        clock.advance(timedelta(days=1))
        assert [await writer.run_once() for _ in range(2)] == [1, 0]


async def test_a_running_campaign_shows_what_is_known_so_far(
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    studio_app: StudioServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="active")
    entry = await create_campaign_contact(connection, campaign, status="completed", last_outcome="answered")
    await create_call(connection, entry, **ENDED, outcome="answered", cost_cents=100)
    await create_campaign_contact(connection, campaign)
    operator = await browser_for(await create_member(connection, campaign.tenant.organization_id, "operator"))
    url, _ = paths(campaign)
    shown = (await operator.get(url)).text
    assert "Results so far" in shown
    assert "1 of 2 contacts" in shown
    assert "Create link" not in shown
    added_up = 0

    async def find_slowly(*given: Any) -> reports.EndReport | None:
        nonlocal added_up
        added_up += 1
        found = await reports.find_report(*given)
        studio_app.clock.advance(timedelta(seconds=10))
        return found

    monkeypatch.setattr(pages, "find_report", find_slowly)
    for _ in range(3):
        assert "1 of 2 contacts" in (await operator.get(url)).text
    assert added_up == 1, "live updates share one slow reading"
    studio_app.clock.advance(timedelta(minutes=5))
    monkeypatch.setattr(reports, "COUNTED_AT_ONCE", 1)
    counted = (await operator.get(url)).text
    assert "Results so far" in counted
    assert "Contacts finished" in counted
    assert "$1.00" in counted


async def test_a_stored_report_has_no_value_of_one_contact_and_one_that_fails_stops_no_other(
    connection: asyncpg.Connection, database: Scratch, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = await create_campaign_contact(connection, campaign, status="completed", last_outcome="answered")
    said = json.dumps({"custom_analysis_data": {"illness": "asthma"}})
    for attempt in range(1, 4):
        odd = json.dumps({"local_times": {"America/New_York": "some time of the day"}})
        calling = {"attempt_number": attempt, "outcome": "answered", "decision": odd, "analysis": said}
        await create_call(connection, entry, **ENDED, **calling)
    broken, newer = [await create_campaign(connection, campaign.tenant) for _ in range(2)]
    for other in (broken, newer):
        await end(connection, other)
    await connection.execute(
        "update campaigns set finished_at = $2 where id = $1", campaign.id, NOW - timedelta(days=9)
    )
    stored = "insert into campaign_reports values ($1, $2, $3, $4, '{}')"
    await connection.execute(stored, newer.id, newer.tenant.organization_id, reports.FORMAT + 1, NOW)
    compute = reports.compute_report

    async def compute_some(opened: Any, campaign_id: Any, *given: Any, **named: Any) -> reports.EndReport | None:
        if campaign_id == broken.id:
            await opened.execute("select 1 / 0")
        return await compute(opened, campaign_id, *given, **named)

    monkeypatch.setattr(reports, "compute_report", compute_some)
    async with working(database) as worker:
        assert [await worker.reports.run_once() for _ in range(2)] == [1, 0]

    rows = await connection.fetch("select campaign_id, report::text from campaign_reports where report <> '{}'")
    assert [row["campaign_id"] for row in rows] == [campaign.id]
    report = reports.decode_report(rows[0]["report"])
    assert {field.field: field.values for field in report.fields}.get("illness", []) == []
    assert sum(row.calls for row in report.hours) == report.calls - 3
