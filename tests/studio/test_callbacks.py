"""Callbacks as a queue: late ones and those at risk first, each with why; members set, move and end them."""

import json
import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from outdial.db.queries.dialing.callbacks import OpenCallback
from outdial.domain.policies.callback_requests import ASKED
from outdial.domain.rules import RuleBook
from outdial.studio.callbacks import pages
from outdial.studio.callbacks.actions import time_presets
from tests.studio.test_selection import press_undo
from tests.support.factories import (
    NOW,
    Campaign,
    CampaignContact,
    create_call,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_contact,
)
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations

IN_TWO_DAYS = NOW + timedelta(days=2)
ALWAYS = json.dumps({"every_day": [["00:00", "24:00"]]})


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> httpx.AsyncClient:
    return await client_for(two_organizations.own.users["operator"])


async def wait_for_callback(
    connection: asyncpg.Connection, campaign: Campaign, at: datetime, name: str = "Ada", **columns: Any
) -> CampaignContact:
    """A contact that waits to be called back."""
    contact = await create_contact(connection, campaign.tenant.organization_id, name=name)
    waits = {"callback_at": at, "next_attempt_at": at, "callbacks": 1, "rank": 0, "usual_rank": 5}
    return await create_campaign_contact(connection, campaign, contact, **waits | columns)


async def row_of(connection: asyncpg.Connection, entry_id: UUID) -> asyncpg.Record:
    row = await connection.fetchrow("select * from campaign_contacts where id = $1", entry_id)
    assert row is not None
    return row


async def test_callbacks_are_listed_in_order_and_moved(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own.tenant
    campaign = await create_campaign(connection, own)
    entries = [await wait_for_callback(connection, campaign, NOW + timedelta(hours=hours)) for hours in (3, 2)]
    plain, _ = await create_calling(connection, campaign)
    url = f"/api/v1/organizations/{own.organization_id}/callbacks"

    first = (await operator.get(url, params={"limit": 1, "campaign": str(campaign.id)})).json()
    rest = (await operator.get(url, params={"cursor": first["next"], "campaign": str(campaign.id)})).json()
    listed = [item["campaign_contact_id"] for item in first["items"] + rest["items"]]
    assert listed == [str(entries[1].id), str(entries[0].id)]
    assert list(first["items"][0]["local_times"]) == ["America/New_York"]
    assert (await operator.get(url, params={"zone": "Mars/Olympus"})).status_code == 400

    # The page filters by campaign, keeps the filter after an action, and is linked from campaign and contact.
    other = await create_campaign(connection, own, name="Other")
    page, query = f"/o/{own.organization_id}/callbacks", f"/o/{own.organization_id}/callbacks?campaign={campaign.id}"
    assert f'name="back" value="{query}"' in (await operator.get(query)).text
    assert "No contacts match this filter" in (await operator.get(f"{page}?campaign={other.id}")).text
    unknown = await operator.get(f"{page}?campaign=x")
    assert (unknown.status_code, "Unknown campaign" in unknown.text) == (400, True)
    of_campaign = f"/o/{own.organization_id}/campaigns/{campaign.id}"
    assert f'href="{query}"' in (await operator.get(f"{of_campaign}/contacts/{entries[0].id}")).text
    tab = f"{of_campaign}/callbacks"
    assert f'href="{tab}"' in (await operator.get(of_campaign)).text
    shown = (await operator.get(tab)).text
    assert f'name="back" value="{tab}"' in shown
    assert 'aria-current="page">Callbacks</a>' in shown

    moved = await operator.patch(f"{url}/{entries[0].id}", json={"time": "in 1 hour"})
    assert moved.status_code == 200
    row = await row_of(connection, entries[0].id)
    assert row["callback_at"] == row["next_attempt_at"]
    assert (row["rank"], row["callbacks"]) == (0, 1)
    assert await connection.fetchval("select count(*) from audit_log where action = 'move_callback'") == 1

    for time, word in (
        ("2001-01-01T10:00", "has passed"),
        ("sometime", "no time can be read"),
        ("in 9 weeks", "60 days"),
    ):
        refused = await operator.patch(f"{url}/{entries[0].id}", json={"time": time})
        assert refused.status_code == 400
        assert word in refused.text.lower()
    assert (await operator.patch(f"{url}/{plain.id}", json={"time": "in 1 hour"})).status_code == 409
    assert await connection.fetchval("select count(*) from audit_log where action = 'move_callback'") == 1


async def test_the_queue_shows_first_what_is_overdue_or_at_risk_and_why(
    two_organizations: TwoOrganizations,
    operator: httpx.AsyncClient,
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
) -> None:
    own = two_organizations.own.tenant
    runs = await create_campaign(connection, own, name="Runs", calling_hours=ALWAYS)
    paused = await create_campaign(connection, own, name="Rests", calling_hours=ALWAYS)
    await connection.execute(
        "update campaigns set status = 'pausing', paused_reason = 'lunch' where id = $1", paused.id
    )
    # Noon in New York is 16:00 UTC: these hours are closed when the second one asked to be called.
    closed = await create_campaign(
        connection, own, name="Early", calling_hours=json.dumps({"every_day": [["00:00", "00:30"]]})
    )
    hour = timedelta(hours=1)
    expected = {
        "late": await wait_for_callback(
            connection, runs, NOW - hour, "Late", callback_late="no dialer claimed it in time"
        ),
        "closed": await wait_for_callback(connection, closed, NOW + hour, "Closed"),
        "paused": await wait_for_callback(connection, paused, NOW + hour, "Paused"),
        "listed": await wait_for_callback(connection, runs, NOW + hour, "Listed"),
        "capped": await wait_for_callback(connection, runs, NOW + 2 * hour, "Capped", call_count=2),
        "fine": await wait_for_callback(connection, runs, NOW + 3 * hour, "Fine", callback_tries=1),
        "tomorrow": await wait_for_callback(connection, runs, NOW + 26 * hour, "Morrow"),
        "later": await wait_for_callback(connection, paused, NOW + timedelta(days=9), "Someday"),
    }
    blocked = {"numbers": [expected["listed"].contact.phone]}
    await operator.post(f"/api/v1/organizations/{own.organization_id}/do-not-call", json=blocked)
    for number in (1, 2, 3, 4):
        await create_call(
            connection,
            expected["capped"],
            status="ended",
            outcome="answered",
            attempt_number=number,
            requested_at=NOW - number * hour,
            analysis=json.dumps(
                {"call_summary": "Was driving.", "custom_analysis_data": {"callback_at": "in 2 hours"}}
            ),
        )
    ids = {str(entry.id): name for name, entry in expected.items()}

    items = (await operator.get(f"/api/v1/organizations/{own.organization_id}/callbacks")).json()["items"]

    found = {ids[item["campaign_contact_id"]]: item for item in items if item["campaign_contact_id"] in ids}
    assert {name: item["group"] for name, item in found.items()} == {
        "late": "attention", "closed": "attention", "paused": "attention", "listed": "attention", "capped": "attention",
        "fine": "today", "tomorrow": "tomorrow", "later": "later",
    }  # fmt: skip
    assert {name: item["obstacle_code"] for name, item in found.items()} == {
        "late": "late", "closed": "zone_opens", "paused": "paused", "listed": "do_not_call", "capped": "daily_cap",
        "fine": None, "tomorrow": None, "later": "paused",
    }  # fmt: skip
    assert found["late"]["obstacle"] == "no dialer claimed it in time"
    assert "lunch" in found["paused"]["obstacle"]
    assert found["paused"]["earliest_at"] is None
    assert found["closed"]["earliest_at"] > found["closed"]["callback_at"]
    assert (found["capped"]["words"], found["capped"]["summary"]) == ("in 2 hours", "Was driving.")
    assert (found["fine"]["tries_left"], found["late"]["tries_left"]) == (1, 2)

    queue = (await operator.get(f"/api/v1/organizations/{own.organization_id}/callbacks/queue")).json()
    counts = {each["group"]: each["count"] for each in queue["counts"]}
    assert counts == {group: sum(item["group"] == group for item in items) for group in counts}
    assert [each["campaign_contact_id"] for each in queue["soon"]] == [
        item["campaign_contact_id"] for item in items if item["group"] != "later"
    ]

    browser = await browser_for(two_organizations.own.users["operator"])
    page = (await browser.get(f"/o/{own.organization_id}/callbacks")).text
    groups = [page.index(f">{title} <span") for title in ("Overdue or at risk", "Today", "Tomorrow", "Later")]
    assert groups == sorted(groups)
    assert '<q>in 2 hours</q> <span class="muted">Was driving.</span>' in page
    # The menu counts those that are overdue.
    assert re.search(r'Callbacks <span class="count">1</span>', page)


async def test_a_long_group_has_pages_of_its_own(
    two_organizations: TwoOrganizations,
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = two_organizations.own.tenant
    campaign = await create_campaign(connection, own, calling_hours=ALWAYS)
    expected = {"Ada", "Grace", "Alan", "Katherine", "Edsger"}
    for name in expected:
        await wait_for_callback(connection, campaign, NOW - timedelta(hours=1), name)
    for number in range(pages.SHOWN):
        entry = await wait_for_callback(connection, campaign, NOW + timedelta(days=9), f"Katherine Johnson {number}")
        analysis = {"call_summary": "Was driving. " * 40, "custom_analysis_data": {"callback_at": "in a day " * 40}}
        await create_call(connection, entry, status="ended", outcome="answered", analysis=json.dumps(analysis))
    browser = await browser_for(two_organizations.own.users["operator"])
    whole = await browser.get(f"/o/{own.organization_id}/callbacks?group=later")
    assert len(re.findall("<h3>", whole.text)) == pages.SHOWN
    assert len(whole.content) < 60_000
    monkeypatch.setattr(pages, "SHOWN", 2)

    page = (await browser.get(f"/o/{own.organization_id}/callbacks")).text

    # The first groups fill the page, and the others are counted.
    assert re.search(r'Later <span class="count">\d+</span>', page)
    assert len(re.findall("<h3>", page)) == 2
    attention = f"/o/{own.organization_id}/callbacks?group=attention"
    assert f'href="{attention}">Show all' in page
    names = list[str]()
    while attention:
        page = (await browser.get(attention)).text
        names += re.findall(r"<h3><a [^>]*>(\w+)</a>", page)
        following = re.search(r'href="([^"]*)" rel="next"', page)
        attention = following[1].replace("&amp;", "&") if following else ""
    assert (set(names), len(names)) == (expected, 5)


Queue = Callable[..., Awaitable[str]]


@pytest.fixture
async def waiting(connection: asyncpg.Connection, two_organizations: TwoOrganizations) -> dict[str, CampaignContact]:
    """Contacts that wait to be called back in two days, by what becomes of them."""
    campaign = await create_campaign(connection, two_organizations.own.tenant, calling_hours=ALWAYS)
    return {
        name: await wait_for_callback(connection, campaign, IN_TWO_DAYS, name, attempts=used, call_count=used)
        for name, used in (("Now", 0), ("Time", 0), ("Turn", 0), ("Used", 3), ("Done", 3), ("Never", 0))
    }


@pytest.fixture
async def act(
    waiting: dict[str, CampaignContact], two_organizations: TwoOrganizations, browser_for: BrowserFor
) -> Queue:
    """Sends the form of a contact of the queue, and returns the page that follows."""
    operator = await browser_for(two_organizations.own.users["operator"])
    queue = f"/o/{two_organizations.own.tenant.organization_id}/callbacks"

    async def send(name: str, **sent: str) -> str:
        response = await operator.post_form(f"{queue}/{waiting[name].id}", {"back": f"{queue}?group=later", **sent})
        assert response.status_code == 303, response.text
        assert response.headers["location"].startswith(f"{queue}?group=later")
        return (await operator.get(response.headers["location"])).text

    return send


async def test_a_member_calls_now_or_chooses_a_time(
    two_organizations: TwoOrganizations,
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    waiting: dict[str, CampaignContact],
    act: Queue,
) -> None:
    operator = await browser_for(two_organizations.own.users["operator"])
    queue = f"/o/{two_organizations.own.tenant.organization_id}/callbacks"
    entries, at = waiting, IN_TWO_DAYS

    page = await act("Now", time="now")
    assert "called as soon as a line is free" in page
    row = await row_of(connection, entries["Now"].id)
    assert (row["callback_at"], row["next_attempt_at"], row["rank"]) == (NOW, NOW, 0)
    undo = re.search(r'action="([^"]*[?]to=[^"]*)"', page)
    assert undo is not None
    # Someone who has been called since is not called again by an undo.
    calls = "update campaign_contacts set call_count = call_count + $2 where id = $1"
    await connection.execute(calls, entries["Now"].id, 1)
    too_late = await operator.post_form(unescape(undo[1]), {"back": queue})
    assert "the contact has changed since" in (await operator.get(too_late.headers["location"])).text
    assert (await row_of(connection, entries["Now"].id))["callback_at"] == NOW
    await connection.execute(calls, entries["Now"].id, -1)
    taken_back = await operator.post_form(unescape(undo[1]), {"back": queue})
    assert taken_back.headers["location"] == queue
    assert (await row_of(connection, entries["Now"].id))["callback_at"] == at

    chooser = (await operator.get(f"{queue}/{entries['Time'].id}/time?back={queue}")).text
    assert "Tomorrow morning</span> <span" in chooser
    assert "9:00 AM in New York" in chooser
    await act("Time", time="tomorrow at 9am")
    moved = (await row_of(connection, entries["Time"].id))["callback_at"]
    assert moved.isoformat().endswith("T13:00:00+00:00")
    await act("Time", at="2026-03-14T15:30", reason="after the match")
    assert (await row_of(connection, entries["Time"].id))["callback_at"].isoformat() == "2026-03-14T19:30:00+00:00"
    details = await connection.fetchval("select details from audit_log where action = 'set_callback' order by id desc")
    assert json.loads(details)["reason"] == "after the match"
    refused = await operator.post_form(f"{queue}/{entries['Time'].id}", {"at": "2001-01-01T10:00", "reason": "typo"})
    assert refused.status_code == 400
    assert "That time has passed" in refused.text
    assert 'value="typo"' in refused.text


async def test_a_member_ends_a_callback_without_a_call(
    two_organizations: TwoOrganizations,
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    waiting: dict[str, CampaignContact],
    act: Queue,
) -> None:
    entries, at = waiting, IN_TWO_DAYS
    operator = await browser_for(two_organizations.own.users["operator"])
    kept = await row_of(connection, entries["Turn"].id)
    turned = await act("Turn", end="retry")
    assert "called in the usual turn" in turned
    turn = await row_of(connection, entries["Turn"].id)
    assert (turn["status"], turn["callback_at"], turn["rank"], turn["usual_rank"]) == ("pending", None, 5, None)
    assert turn["next_attempt_at"] == at, "not earlier than the contact asked for"
    assert "all 3 attempts have been used" in (await act("Used", end="retry")).lower()
    assert "1 contact is as before" in await press_undo(operator, turned)
    assert dict(await row_of(connection, entries["Turn"].id)) == {**kept, "updated_at": NOW}
    page = await act("Done", end="done")
    done = await row_of(connection, entries["Done"].id)
    assert (done["status"], done["callback_at"], done["rank"]) == ("completed", None, 5)
    assert (done["decision"], done["decided_by"]) == ("completed", str(two_organizations.own.users["operator"]))
    assert "1 contact is as before" in await press_undo(operator, page)
    undone = await row_of(connection, entries["Done"].id)
    assert (undone["status"], undone["callback_at"], undone["rank"], undone["decision"]) == ("pending", at, 0, None)
    page = await act("Never", end="never_call", reason="asked by mail")
    assert (await row_of(connection, entries["Never"].id))["status"] == "skipped"
    phone = entries["Never"].contact.phone
    assert await connection.fetchval("select reason from do_not_call where phone = $1", phone) == "asked by mail"
    actions = await connection.fetch("select distinct action from audit_log where action like '%call%'")
    assert {row["action"] for row in actions} >= {"drop_callback", "never_call"}
    before = await row_of(connection, entries["Never"].id)
    assert "Undone for 1 contact." in await press_undo(operator, page)
    never = await row_of(connection, entries["Never"].id)
    assert (before["status"], never["status"], never["callback_at"]) == ("skipped", "pending", at)
    assert await connection.fetchval("select count(*) from do_not_call where phone = $1", phone) == 0


async def test_any_contact_that_may_still_be_called_gets_a_callback_and_refusals_say_why(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own.tenant
    campaign = await create_campaign(connection, own, calling_hours=ALWAYS)
    over = await create_campaign(connection, own, status="cancelled")
    url = f"/api/v1/organizations/{own.organization_id}/callbacks"
    for status in ("pending", "completed", "failed", "skipped", "review"):
        entry = await create_campaign_contact(connection, campaign, status=status, attempts=3, call_count=3)
        response = await operator.put(f"{url}/{entry.id}", json={"time": "in 2 hours", "reason": "called us"})
        assert response.status_code == 200, (status, response.text)
        row = await row_of(connection, entry.id)
        assert (row["status"], row["rank"], row["usual_rank"], row["attempts"]) == ("pending", 0, 5, 3)
        assert row["callback_at"] == row["next_attempt_at"] == NOW + timedelta(hours=2)
        # Events of the calls before the decision change the contact no more.
        assert row["decided_calls"] == (0 if status == "pending" else 3)

    erased = await create_campaign_contact(connection, campaign, status="skipped")
    async with connection.transaction():
        await connection.execute("set constraints all deferred")
        for table in ("contacts", "campaign_contacts"):
            key = erased.contact.id if table == "contacts" else erased.id
            mark = ", erased_at = created_at" if table == "contacts" else ""
            update = f"update {table} set phone = 'erased:' || $2{mark} where id = $1"  # noqa: S608
            await connection.execute(update, key, str(erased.contact.id))
    assert (await operator.delete(f"{url}/{erased.id}", params={"then": "never_call"})).status_code == 409
    calling, _ = await create_calling(connection, campaign)
    finished = await create_campaign_contact(connection, over, status="completed")
    listed = await create_campaign_contact(connection, campaign, status="completed")
    await operator.post(
        f"/api/v1/organizations/{own.organization_id}/do-not-call", json={"numbers": [listed.contact.phone]}
    )
    for entry, why in (
        (erased, "the contact was erased"),
        (calling, "in a call"),
        (finished, "the campaign is cancelled and places no more calls"),
        (listed, "on the do-not-call list"),
    ):
        refused = await operator.put(f"{url}/{entry.id}", json={"time": "now"})
        assert (refused.status_code, why in refused.text.lower()) == (409, True), refused.text
    assert (await operator.delete(f"{url}/{finished.id}", params={"then": "retry"})).status_code == 409
    ended = await operator.delete(f"{url}/{entry.id}", params={"then": "never_call"})
    undone = f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/acts/{ended.json()['act_id']}/undo"
    assert (await operator.post(undone)).json()["kind"] == "block"
    fresh = await create_campaign_contact(connection, campaign)
    await operator.put(f"{url}/{fresh.id}", json={"time": "in 2 hours"})
    again = await operator.delete(f"{url}/{fresh.id}", params={"then": "done"})
    undone = f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/acts/{again.json()['act_id']}/undo"
    assert (await operator.post(undone)).json() | {"campaign_id": None} == {
        "kind": "end_callback",
        "changed": 1,
        "kept": 0,
        "campaign_id": None,
        "bulk_job_id": None,
    }
    other = two_organizations.other.tenant.organization_id
    assert (
        await operator.put(f"/api/v1/organizations/{other}/callbacks/{entry.id}", json={"time": "now"})
    ).status_code == 404


async def test_contacts_in_review_that_asked_for_a_callback_are_listed_until_they_are_decided(
    two_organizations: TwoOrganizations,
    operator: httpx.AsyncClient,
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
) -> None:
    own = two_organizations.own.tenant
    campaign = await create_campaign(connection, own)
    reason = f"{ASKED}: 'in 2 hours', that is 2026-03-10T15:00 in America/New_York; the analysis came late"
    entries, calls = [], []
    for text in (reason, f"{ASKED}; decide when to call again", "the caller number was blocked"):
        entry, call_id = await create_calling(connection, campaign)
        await connection.execute(
            "update campaign_contacts set status = 'review', status_reason = $2 where id = $1", entry.id, text
        )
        entries.append(entry)
        calls.append(call_id)
    url = f"/api/v1/organizations/{own.organization_id}/callbacks/requests"
    first = (await operator.get(url, params={"limit": 1, "campaign": str(campaign.id)})).json()
    rest = (await operator.get(url, params={"cursor": first["next"], "campaign": str(campaign.id)})).json()
    listed = [(item["campaign_contact_id"], item["asked_in_call"]) for item in first["items"] + rest["items"]]
    assert listed == [(str(entries[0].id), str(calls[0])), (str(entries[1].id), str(calls[1]))]
    queue = f"/o/{own.organization_id}/callbacks"
    page = (await operator.get(queue)).text
    assert "2026-03-10T15:00 in America/New York" in page
    assert f'href="campaigns/{campaign.id}/contacts/{entries[0].id}"' in page

    browser = await browser_for(two_organizations.own.users["operator"])
    await browser.post_form(f"{queue}/{entries[0].id}", {"time": "in 1 hour"})
    row = await row_of(connection, entries[0].id)
    assert (row["status"], row["decision"], row["callback_at"]) == ("pending", "call_again", NOW + timedelta(hours=1))
    await browser.post_form(f"{queue}/{entries[1].id}", {"end": "done"})
    assert (await row_of(connection, entries[1].id))["status"] == "completed"
    assert (await operator.get(url)).json()["items"] == []


async def test_the_pages_of_a_contact_and_a_call_offer_what_is_possible_and_say_why_not(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, browser_for: BrowserFor
) -> None:
    own = two_organizations.own
    home = f"/o/{own.tenant.organization_id}"
    campaign = await create_campaign(connection, own.tenant, calling_hours=ALWAYS)
    over = await create_campaign(connection, own.tenant, status="cancelled")
    operator = await browser_for(own.users["operator"])
    pages_of = {}
    for name, status, of in (
        ("new", "pending", campaign),
        ("done", "completed", campaign),
        ("over", "completed", over),
    ):
        entry = await create_campaign_contact(connection, of, status=status, call_count=1)
        call_id = await create_call(connection, entry, status="ended", outcome="answered")
        pages_of[name] = (entry, f"{home}/campaigns/{of.id}/contacts/{entry.id}", f"{home}/calls/{call_id}")
    expected = {
        "new": {"New callback", "Skip", "Never call again"},
        "done": {"New callback", "Call again", "Never call again"},
        "over": {"Never call again"},
    }
    for name, (_, contact, call) in pages_of.items():
        for address in (contact, call):
            page = (await operator.get(address)).text
            offered = set(re.findall(r">(New callback|Skip|Call again|Never call again)\u2026<", page))
            assert offered == expected[name], (name, address)
            assert ("the campaign is cancelled and places no more calls" in page) is (name == "over")
    viewer = await browser_for(own.users["viewer"])
    assert "Never call again" not in (await viewer.get(pages_of["new"][2])).text

    # Each action returns to the page that it was sent from; a skip can be undone.
    entry, contact, call = pages_of["new"]
    skipped = await operator.post_form(f"{contact}/skip", {"back": call, "reason": "wrong number"})
    assert skipped.headers["location"] == call
    undo = re.search(r'action="([^"]*/acts/[^"]*/undo)"', (await operator.get(call)).text)
    assert undo is not None
    await operator.post_form(undo[1], {"back": call})
    assert (await row_of(connection, entry.id))["status"] == "pending"
    await operator.post_form(f"{home}/callbacks/{entry.id}", {"time": "tomorrow at 2pm", "back": call})
    assert "Callback <time" in (await operator.get(call)).text
    skipped = await operator.post_form(f"{contact}/skip", {"back": call})
    undo = re.search(r'action="([^"]*/acts/[^"]*/undo)"', (await operator.get(call)).text)
    assert undo is not None
    await operator.post_form(undo[1], {"back": call})
    assert (await row_of(connection, entry.id))["callback_at"].isoformat() == "2026-03-11T18:00:00+00:00"


@pytest.mark.parametrize(("day", "labels"), [(28, ["Tomorrow morning", "Monday morning"]), (29, ["Tomorrow morning"])])
def test_a_time_is_offered_under_one_name(day: int, labels: list[str]) -> None:
    contact = OpenCallback(
        id=uuid.uuid4(),
        campaign_id=uuid.uuid4(),
        campaign_status="active",
        max_attempts=3,
        calling_hours=ALWAYS,
        purpose="sales",
        status="pending",
        phone="+12125550188",
        name=None,
        zone_key="UTC",
        jurisdiction_key="",
        attempts=0,
        call_count=0,
        callback_at=None,
        do_not_call=False,
    )
    presets = time_presets(contact, RuleBook((), pack_date=None), datetime(2026, 11, day, 12, tzinfo=UTC))
    assert [preset.label for preset in presets if preset.label.endswith("morning")] == labels
    assert len({preset.at for preset in presets}) == len(presets)
