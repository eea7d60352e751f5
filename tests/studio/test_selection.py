"""Rows that are selected in lists: the boxes, what an action asks first, what it does, and the undo in the message."""

import re
from html import unescape

import asyncpg
import pytest

from outdial.campaigns.undoing import acts
from outdial.studio.selection import words
from tests.support.factories import CampaignContact, create_campaign, create_campaign_contact
from tests.support.jobs import working
from tests.support.postgres import Scratch
from tests.support.studio import Browser, BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations


def value_of(entry: CampaignContact, status: str = "pending", calls: int = 0) -> str:
    return f"{entry.id}.{status}.{calls}"


async def answer(browser: Browser, question: str) -> str:
    """Send the form of a question, and return the page that shows the message."""
    form = re.search(r'<section class="stack" data-dialog-content>.*?</section>', question, re.DOTALL)
    assert form
    url = re.search(r'action="([^"]+)"', form[0])
    assert url
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0]):
        fields.setdefault(name, []).append(unescape(value))
    sent = await browser.post_form(url[1], fields | {"reason": ["wrong list"]})
    assert sent.status_code == 303, sent.text
    return (await browser.get(sent.headers["location"])).text


async def press_undo(browser: Browser, page: str) -> str:
    """Press the button of the message, and return the next page."""
    form = re.search(
        r'<div class="toast".*?<form method="post" action="([^"]+)".*?name="back" value="([^"]*)"', page, re.DOTALL
    )
    assert form, "the message offers no undo"
    sent = await browser.post_form(form[1], {"back": unescape(form[2])})
    return (await browser.get(sent.headers["location"])).text


async def test_selected_contacts_are_skipped_after_a_question_and_the_message_takes_it_back(
    browser_for: BrowserFor, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active")
    entries = [await create_campaign_contact(connection, campaign) for _ in range(3)]
    failed = await create_campaign_contact(connection, campaign, status="failed", call_count=1)
    await connection.execute("update contacts set name = 'Hopper' where id = $1", entries[2].contact.id)
    home = f"/o/{own.tenant.organization_id}"
    contacts = f"{home}/campaigns/{campaign.id}/contacts"
    operator, viewer = await browser_for(own.users["operator"]), await browser_for(own.users["viewer"])

    listed = (await operator.get(contacts)).text
    assert listed.count("name=chosen") == 4
    assert f'value="{value_of(entries[0])}"' in listed
    for page in (contacts, f"{home}/contacts", f"{home}/review"):
        assert "name=chosen" not in (await viewer.get(page)).text

    chosen = "&".join(f"chosen={value_of(entry)}" for entry in entries)
    url = f"{home}/selection?action=skip&back={contacts}&{chosen}&chosen={value_of(failed, 'failed', 1)}"
    question = (await operator.get(url)).text
    assert "Skip 3 contacts?" in question
    assert "They will not be called in this campaign." in question
    assert "You can undo this for an hour" in question
    assert "only contacts that are pending can be skipped; this one is failed" in question
    again = (await operator.get(url.replace("action=skip", "action=call_again"))).text
    assert "only contacts that are finished or in review can be called again; this one is pending" in again
    await connection.execute("update campaign_contacts set status = 'calling' where id = $1", entries[2].id)
    done = await answer(operator, question)
    assert "2 contacts skipped; 1 had changed: Hopper." in done
    reasons = "select status_reason from campaign_contacts where id = $1"
    assert "wrong list" in await connection.fetchval(reasons, entries[0].id)

    undone = await press_undo(operator, done)
    assert "Undone. 2 contacts are as before." in undone
    assert await connection.fetchval("select count(*) from campaign_contacts where status = 'skipped'") == 0
    act_id = await connection.fetchval("select details ->> 'act' from audit_log where action = 'undo'")
    again = await operator.post_form(f"{home}/acts/{act_id}/undo", {"back": contacts})
    assert "This cannot be undone: it has already been undone." in (await operator.get(again.headers["location"])).text

    nothing = await operator.get(f"{home}/selection?action=skip&back={contacts}")
    assert "No contacts selected" in nothing.text
    for bad in ("action=skip&chosen=ada", f"action=call&chosen={entries[0].id}"):
        assert (await operator.get(f"{home}/selection?{bad}")).status_code == 400


async def test_numbers_of_the_list_of_all_contacts_are_blocked_and_given_back(
    browser_for: BrowserFor, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    entries = [await create_campaign_contact(connection, campaign) for _ in range(2)]
    home = f"/o/{own.tenant.organization_id}"
    operator, admin = await browser_for(own.users["operator"]), await browser_for(own.users["admin"])
    blocked = "select count(*) from do_not_call where phone = any ($1)"
    phones = [entry.contact.phone for entry in entries]

    chosen = "&".join(f"chosen={entry.contact.id}" for entry in entries)
    question = (
        await operator.get(f"{home}/selection?of=contacts&action=do_not_call&back={home}/contacts&{chosen}")
    ).text
    assert "Never call 2 contacts again?" in question
    assert "Revoked consents stay revoked." in question
    done = await answer(operator, question)
    assert "2 numbers put on the do-not-call list." in done
    assert await connection.fetchval(blocked, phones) == 2
    assert "2 numbers are off the do-not-call list" in await press_undo(operator, done)
    assert await connection.fetchval(blocked, phones) == 0

    await operator.post_form(f"{home}/do-not-call", {"numbers": phones[0], "reason": "asked by letter"})
    before = dict(await connection.fetchrow("select * from do_not_call where phone = $1", phones[0]))
    removed = await admin.post_form(f"{home}/do-not-call/remove", {"phone": phones[0]})
    page = (await admin.get(removed.headers["location"])).text
    assert "1 entry is on the do-not-call list again." in await press_undo(admin, page)
    assert dict(await connection.fetchrow("select * from do_not_call where phone = $1", phones[0])) == before


async def test_all_that_match_are_changed_by_a_job_and_another_job_undoes_it(
    browser_for: BrowserFor, database: Scratch, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active")
    for number in range(60):
        await create_campaign_contact(connection, campaign, status="failed" if number < 4 else "pending")
    home = f"/o/{own.tenant.organization_id}"
    contacts = f"{home}/campaigns/{campaign.id}/contacts"
    operator = await browser_for(own.users["operator"])
    counts = "select status, count(*) from campaign_contacts where campaign_id = $1 group by status order by status"

    assert "Select all 60 that match" in (await operator.get(contacts)).text
    listed = f"{home}/selection?campaign={campaign.id}&all=1&back={contacts}&action="
    skip = (await operator.get(f"{listed}skip")).text
    assert "Skip 56 contacts?" in skip
    assert "4 contacts that match with another status" in skip
    job = await answer(operator, skip)
    assert "Job started." in job
    async with working(database) as worker:
        await worker.run_once()
    assert [tuple(row) for row in await connection.fetch(counts, campaign.id)] == [("failed", 4), ("skipped", 56)]
    undoing = await press_undo(operator, job)
    assert "A job is undoing this for 56 contacts." in undoing
    async with working(database) as worker:
        await worker.run_once()
    assert [tuple(row) for row in await connection.fetch(counts, campaign.id)] == [("failed", 4), ("pending", 56)]

    block = (await operator.get(f"{listed}do_not_call&status=failed")).text
    assert "Never call 4 contacts again?" in block
    job = await answer(operator, block)
    async with working(database) as worker:
        await worker.run_once()
    assert (
        await connection.fetchval("select count(*) from do_not_call where source = 'manual' and reason = 'wrong list'")
        == 4
    )
    await press_undo(operator, job)
    async with working(database) as worker:
        await worker.run_once()
    assert await connection.fetchval("select count(*) from do_not_call where reason = 'wrong list'") == 0

    entries = await connection.fetch(
        "select id from campaign_contacts where campaign_id = $1 order by id limit 2", campaign.id
    )
    chosen = "&".join(f"chosen={row['id']}.pending.0" for row in entries)
    export = (await operator.get(f"{home}/selection?action=export&campaign={campaign.id}&{chosen}")).text
    assert "Export 2 contacts?" in export
    await answer(operator, export)
    async with working(database) as worker:
        await worker.run_once()
    assert await connection.fetchval("select rows from exports where kind = 'results' and status = 'completed'") == 2


async def test_a_job_on_too_many_contacts_stores_nothing_to_undo_and_says_so_before(
    browser_for: BrowserFor,
    database: Scratch,
    connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active")
    for _ in range(3):
        await create_campaign_contact(connection, campaign)
    home = f"/o/{own.tenant.organization_id}"
    operator = await browser_for(own.users["operator"])
    for module in (words, acts):
        monkeypatch.setattr(module, "MOST_UNDONE", 2)

    question = (await operator.get(f"{home}/selection?campaign={campaign.id}&all=1&action=skip")).text
    assert "You cannot undo this: undo works for at most 2 contacts." in question
    job = await answer(operator, question)
    assert "/undo" not in job
    async with working(database) as worker:
        await worker.run_once()
    entries = "select id from campaign_contacts where campaign_id = $1 and status = 'skipped'"
    skipped = [row["id"] for row in await connection.fetch(entries, campaign.id)]
    assert len(skipped) == 3
    stored = "select count(*) from undo_contacts where campaign_contact_id = any ($1)"
    assert await connection.fetchval(stored, skipped) == 0


async def test_a_pause_a_decision_and_a_skip_offer_undo_in_pages_and_in_the_api(
    browser_for: BrowserFor, client_for: ClientFor, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active")
    review = await create_campaign_contact(connection, campaign, status="review", call_count=1)
    pending = await create_campaign_contact(connection, campaign)
    home, api = (f"{start}/{own.tenant.organization_id}" for start in ("/o", "/api/v1/organizations"))
    operator, client = await browser_for(own.users["operator"]), await client_for(own.users["operator"])

    for path, form, back in (
        (f"/campaigns/{campaign.id}/pause", {}, "The campaign is running again."),
        (f"/review/{review.id}", {"decision": "failed"}, "1 contact is as before."),
        (f"/campaigns/{campaign.id}/contacts/{pending.id}/skip", {}, "1 contact is as before."),
    ):
        sent = await operator.post_form(home + path, form)
        page = (await operator.get(sent.headers["location"].partition("#")[0])).text
        assert back in await press_undo(operator, page), path
    statuses = "select status from campaign_contacts where campaign_id = $1 order by status"
    assert [row["status"] for row in await connection.fetch(statuses, campaign.id)] == ["pending", "review"]

    body = {"action": "completed", "campaign_contact_ids": [str(review.id), str(pending.id)], "reason": "reached"}
    acted = (await client.post(f"{api}/selected-contacts", json=body)).json()
    assert (acted["changed"], [each["kind"] for each in acted["left_out"]]) == (1, ["other_status"])
    undone = (await client.post(f"{api}/acts/{acted['act_id']}/undo")).json()
    assert undone == {"kind": "decide", "changed": 1, "kept": 0, "campaign_id": None, "bulk_job_id": None}
    for answers in (
        (await client.post(f"{api}/campaigns/{campaign.id}/pause")).json(),
        (await client.delete(f"{api}/campaigns/{campaign.id}/contacts/{pending.id}")).json(),
        (await client.post(f"{api}/do-not-call", json={"numbers": ["+12127009902"]})).json(),
    ):
        assert (await client.post(f"{api}/acts/{answers['act_id']}/undo")).status_code == 200
    assert (await client.post(f"{api}/acts/{review.id}/undo")).status_code == 404
    assert (await client.post(f"{api}/selected-contacts", json=body | {"campaign_contact_ids": []})).status_code == 400


async def test_a_list_that_is_empty_at_opening_has_the_bar_that_its_first_rows_need(
    browser_for: BrowserFor, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant, status="active")
    await connection.execute("delete from contacts where organization_id = $1", own.tenant.organization_id)
    browser = await browser_for(own.users["operator"])
    base = f"/o/{own.tenant.organization_id}/campaigns"

    # The bar is outside of what an update replaces. It is hidden until a row is selected.
    empty = (await browser.get(f"{base}/{campaign.id}/contacts")).text
    assert re.search(r'<form class="selection-bar"[^>]* hidden>', empty)
    # How many match, and what all of them are exported or changed with, come with the rows.
    for name in ("selection-all", "list-actions", "campaign-contacts"):
        assert re.search(rf'<\w+ class="[\w-]+" id="{name}" data-live[ >]', empty), name

    for _ in range(51):
        await create_campaign_contact(connection, campaign)
    filled = (await browser.get(f"{base}/{campaign.id}/contacts")).text
    assert re.search(r'<form class="selection-bar"[^>]* data-selection>', filled)
    assert "Select all 51 that match" in filled

    await connection.execute("delete from campaigns where organization_id = $1", own.tenant.organization_id)
    assert re.search(r'<form class="selection-bar"[^>]* hidden>', (await browser.get(base)).text)
