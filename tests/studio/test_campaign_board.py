"""The list of campaigns as a control room: sections, alerts with their cures, order, search, strip and live rows."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import asyncpg
import pytest

from outdial.dialer.admission import SkipReason, WaitReason
from outdial.dialer.doctor import RunReason
from outdial.studio.campaign_board import service
from outdial.studio.campaign_board.alerts import needs_member
from tests.support.factories import NOW, create_calling, create_campaign, create_campaign_contact
from tests.support.studio import Browser, BrowserFor
from tests.support.two_organizations import TwoOrganizations


@pytest.fixture
def base(two_organizations: TwoOrganizations) -> str:
    return f"/o/{two_organizations.own.tenant.organization_id}/campaigns"


@pytest.fixture
async def operator(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, connection: asyncpg.Connection
) -> Browser:
    await connection.execute("delete from campaigns")
    return await browser_for(two_organizations.own.users["operator"])


def sections_of(html: str) -> dict[str, list[str]]:
    """The names of the campaigns in each section, under its title with its count."""
    found: dict[str, list[str]] = {}
    for body in re.findall(r"<tbody>(.*?)</tbody>", html, re.DOTALL):
        head = re.search(r'scope="rowgroup"[^>]*>(.*?)</th>', body, re.DOTALL)
        assert head is not None
        title = re.sub(r"\s+", " ", re.sub(r"<a.*?</a>|<[^>]+>", "", head[1])).strip()
        found[title] = [unescape(name) for name in re.findall(r'<a class="truncate"[^>]*>([^<]*)</a>', body)]
    return found


def row_of(html: str, campaign_id: object) -> str:
    """The text of a row, as a reader sees it."""
    row = re.search(rf'<tr id="campaign-{campaign_id}".*?</tr>', html, re.DOTALL)
    assert row is not None
    shown = re.sub(r"<title>.*?</title>|<details.*?</details>", "", row[0], flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", shown))).strip()


async def fill(connection: asyncpg.Connection, tenant: Any) -> dict[str, Any]:
    """One campaign for each section and each kind of alert."""
    later = NOW + timedelta(days=2)
    made = {
        "running": await create_campaign(connection, tenant, name="Running", created_at=NOW),
        "by hand": await create_campaign(
            connection, tenant, name="By hand", status="paused", paused_reason="lunch", next_batch_at=None
        ),
        "refused": await create_campaign(
            connection,
            tenant,
            name="Refused",
            status="paused",
            paused_reason="Retell refused the account: no key",
            paused_automatically=True,
            next_batch_at=None,
        ),
        "budget": await create_campaign(connection, tenant, name="No money", budget_cents=1),
        "review": await create_campaign(connection, tenant, name="Unclear"),
        "scheduled": await create_campaign(
            connection, tenant, name="Planned", status="scheduled", scheduled_at=later, next_batch_at=None
        ),
        "draft": await create_campaign(connection, tenant, name="Draft <b>", status="draft", next_batch_at=None),
    }
    for name in ("running", "budget", "draft"):
        await create_campaign_contact(connection, made[name])
    for outcome in ("answered", "no_answer"):
        await create_calling(
            connection, made["running"], status="ended", outcome=outcome, cost_cents=50, created_at=NOW
        )
    await create_campaign_contact(connection, made["review"], status="review")
    # A campaign is over only when its contacts are: this one still has a contact that someone has to decide about.
    await connection.execute(
        "update campaigns set status = 'completed', finished_at = $2 where id = $1", made["review"].id, NOW
    )
    made["over"] = await create_campaign(
        connection, tenant, name="Over", status="cancelled", next_batch_at=None, finished_at=NOW
    )
    return made


@pytest.mark.parametrize("reason", [*WaitReason, *SkipReason, *RunReason])
def test_each_reason_needs_a_member_or_not(reason: WaitReason | SkipReason | RunReason) -> None:
    expected = (
        "budget no_api_key no_rules not_screened numbers pre_dial_hook stopped never_opens law_never_opens prohibited"
    )
    assert needs_member(reason) == (reason in (*expected.split(), "no_dialer", "failing"))


async def test_campaigns_stand_in_sections_by_what_they_need(
    operator: Browser,
    browser_for: BrowserFor,
    base: str,
    connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
) -> None:
    made = await fill(connection, two_organizations.own.tenant)

    page = await operator.get(base)
    html = page.text
    sections = sections_of(html)

    assert {title: set(names) for title, names in sections.items()} == {
        "Needs attention 3": {"Refused", "No money", "Unclear"},
        "Running 2": {"Running", "By hand"},
        "Scheduled 1": {"Planned"},
        "Drafts 1": {"Draft <b>"},
        "Finished 1": {"Over"},
    }
    assert list(sections) == [
        "Needs attention 3", "Running 2", "Scheduled 1", "Drafts 1", "Finished 1"
    ]  # fmt: skip
    # Each alert has its reason in one line and what ends it.
    refused, budget, review = (row_of(html, made[name].id) for name in ("refused", "budget", "review"))
    assert "Paused: Retell refused the account: no key. Resume" in refused
    assert "Add budget" in budget
    assert f'href="{base}/{made["budget"].id}/edit#field-budget"' in html
    assert "1 contact needs a decision Review" in review
    assert f'href="campaigns/{made["review"].id}/contacts?status=review"' in html
    # The others say what comes next.
    assert "0% 50% answered – $1.00 Dialing" in row_of(html, made["running"].id)
    assert "Paused: lunch." in row_of(html, made["by hand"].id)
    assert re.search(r"0 contacts .*Starts (today|Mar \d+) at", row_of(html, made["scheduled"].id))
    assert "1 contact – – Ready to start" in row_of(html, made["draft"].id)
    assert re.search(r"Cancelled (today|Mar \d+) at", row_of(html, made["over"].id))
    strip = re.sub(r"<[^>]+>", "", html[html.index('id="board-strip"') : html.index("</dl>")])
    words = re.sub(r"\s+", " ", unescape(strip))
    assert "Live calls0 of 20 lines" in words
    assert "Calls today2" in words
    assert "Reached today1 50% of finished calls" in words
    assert "Cost today$1.00" in words
    assert "Alerts3 need attention" in words
    # The strip is about all campaigns, also while some are searched for.
    searched = (await operator.get(base, params={"name": "NED plán"})).text
    assert sections_of(searched) == {"Scheduled 1": ["Planned"]}
    assert f'<a href="{base}#needs-attention">3 ' in searched
    assert "<b>" not in html.replace("&lt;b&gt;", "")
    viewer = await browser_for(two_organizations.own.users["viewer"])
    seen = (await viewer.get(base)).text
    assert sections_of(seen) == sections
    assert "row-menu" not in seen
    assert "formaction" not in seen
    assert "contacts?status=review" in seen


async def test_the_rows_are_sorted_searched_and_paged_by_the_address(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    tenant = two_organizations.own.tenant
    names = ["beta", "Alpha", "Gamma 100%"]
    for number, name in enumerate(names):
        campaign = await create_campaign(connection, tenant, name=name, created_at=NOW + timedelta(minutes=number))
        for status in ["completed"] * number + ["pending"]:
            await create_campaign_contact(connection, campaign, status=status)
        await create_calling(connection, campaign, status="ended", outcome="busy", cost_cents=10 - number)
    for number in range(27):
        await create_campaign(
            connection, tenant, name=f"Draft {number:02}", status="draft", created_at=NOW - timedelta(hours=number)
        )

    async def listed(**query: str) -> dict[str, list[str]]:
        page = await operator.get(base, params=query)
        assert page.status_code == 200
        assert len(page.content) < 60_000
        return sections_of(page.text)

    assert (await listed())["Running 3"] == ["Gamma 100%", "Alpha", "beta"]
    assert (await listed(sort="name"))["Running 3"] == ["Alpha", "beta", "Gamma 100%"]
    assert (await listed(sort="progress"))["Running 3"] == ["Gamma 100%", "Alpha", "beta"]
    assert (await listed(sort="cost"))["Running 3"] == ["beta", "Alpha", "Gamma 100%"]
    assert await listed(name="ALPH", sort="cost") == {"Running 1": ["Alpha"]}
    assert await listed(name="0%") == {"Running 1": ["Gamma 100%"]}
    assert await listed(name="Draft", sort="x", section="x", page="x", archived="x") == {
        "Drafts 27": [f"Draft {number:02}" for number in range(4)]
    }
    assert len((await listed(section="drafts"))["Drafts 27"]) == 20
    second = await operator.get(base, params={"section": "drafts", "page": "2", "name": "Draft"})
    assert sections_of(second.text) == {"Drafts 27": [f"Draft {number}" for number in range(20, 27)]}
    first = (await operator.get(base, params={"section": "drafts", "name": "Draft", "sort": "name"})).text
    following = re.search(r'href="([^"]+)" rel="next"', first)
    assert following is not None
    assert unquote(unescape(following[1])) == f"{base}?name=Draft&sort=name&section=drafts&page=2"
    assert "No matching campaigns" in (await operator.get(base, params={"name": "nothing"})).text
    assert "No matching campaigns" in (await operator.get(base, params={"section": "scheduled"})).text
    assert sections_of((await operator.get(base, params={"section": "drafts", "page": "9"})).text) == sections_of(
        second.text
    )


async def test_campaigns_at_work_are_listed_before_newer_ones_that_are_over(
    operator: Browser,
    base: str,
    connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "MOST", 7)
    made = {}
    unclear = await create_campaign(connection, two_organizations.own.tenant, name="unclear", created_at=NOW)
    await create_campaign_contact(connection, unclear, status="review")
    await connection.execute(
        "update campaigns set status = 'completed', finished_at = $2 where id = $1", unclear.id, NOW
    )
    for hours, status in enumerate(["active", "pausing", "paused", "cancelling", "scheduled", *["completed"] * 6]):
        name = f"{status} {hours}"
        made[name] = await create_campaign(
            connection,
            two_organizations.own.tenant,
            name=name,
            status=status,
            created_at=NOW + timedelta(hours=hours),
            scheduled_at=NOW + timedelta(days=9) if status == "scheduled" else None,
            finished_at=NOW if status == "completed" else None,
        )

    html = (await operator.get(base)).text

    listed = [name for names in sections_of(html).values() for name in names]
    assert sorted(listed) == sorted(["unclear", *list(made)[:5], "completed 10"])
    assert "unclear" in sections_of(html)["Needs attention 1"]
    assert "campaigns are listed: running and scheduled ones" in html


async def test_a_row_menu_acts_and_returns_to_the_list_as_it_was(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    made = await fill(connection, two_organizations.own.tenant)
    here = f"{base}?sort=name"
    over = f"{base}/{made['over'].id}"

    archived = await operator.post_form(f"{over}/archive", {"back": here}, page=base)
    assert archived.headers["location"] == here
    shown = (await operator.get(here)).text
    assert "Campaign archived." in shown
    assert f'action="{over}/unarchive"' in shown
    assert "Finished" not in " ".join(sections_of(shown))
    assert "Archived (1)" in shown
    assert list(sections_of((await operator.get(base, params={"archived": "true"})).text)) == ["Finished 1"]
    undone = await operator.post_form(f"{over}/unarchive", {"back": here}, page=base)
    assert undone.headers["location"] == here
    assert sections_of((await operator.get(base)).text)["Finished 1"] == ["Over"]

    paused = await operator.post_form(f"{base}/{made['running'].id}/pause", {"back": here}, page=base)
    assert paused.headers["location"] == here
    elsewhere = await operator.post_form(f"{over}/archive", {"back": "https://example.com/"}, page=base)
    assert elsewhere.headers["location"] == "/"
    deleted = await operator.post_form(f"{base}/{made['draft'].id}/delete", {"back": here}, page=base)
    assert deleted.headers["location"] == here
    refused = await operator.post_form(f"{base}/{made['budget'].id}/archive", {"back": here}, page=base)
    assert refused.headers["location"] == here
    assert "Only a draft or a finished campaign can be archived" in (await operator.get(here)).text


async def test_a_live_update_brings_the_changed_row_and_the_strip_and_knows_when_sections_change(
    operator: Browser, base: str, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    made = await fill(connection, two_organizations.own.tenant)
    changed = {"x-live": str(made["running"].id)}

    def layout(html: str) -> str:
        found = re.search(r'data-live-rows="([^"]+)"', html)
        assert found is not None
        return found[1]

    whole = (await operator.get(base)).text
    part = (await operator.client.get(base, headers=changed)).text
    assert layout(part) == layout(whole)
    assert set(re.findall(r'<tr id="campaign-([^"]+)"', part)) == {str(made["running"].id)}
    assert 'id="board-strip"' in part
    assert "data-live-with-rows" in part

    await connection.execute(
        "update campaigns set status = 'pausing', paused_automatically = true where id = $1", made["running"].id
    )
    moved = (await operator.client.get(base, headers=changed)).text
    assert layout(moved) != layout(whole)
    assert "Needs attention 4" in sections_of(moved)


async def names_of(connection: asyncpg.Connection) -> dict[str, str]:
    """The status of each campaign; of an archived one, with a star."""
    rows = await connection.fetch("select name, status, archived_at from campaigns")
    return {row["name"]: f"{row['status']}{'*' * (row['archived_at'] is not None)}" for row in rows}


async def send(browser: Browser, url: str, fields: dict[str, Any]) -> str:
    """Send a form of the list, and return the text of the message that it leads to."""
    sent = await browser.post_form(url, fields)
    assert sent.status_code == 303, sent.text
    page = (await browser.get(sent.headers["location"])).text
    shown = re.search(r'<(?:div class="toast"|p class="notice notice-warn" role="status").*?</(?:div|p)>\s', page, re.S)
    assert shown, page
    return unescape(re.sub(r"<[^>]+>", "", re.sub(r"<form.*", "", shown[0], flags=re.S))).strip()


def undo_of(page: str) -> str:
    """Where the message of a page undoes what it says."""
    form = re.search(r'<div class="toast".*?<form method="post" action="([^"]+)"', page, re.DOTALL)
    assert form
    return unescape(form[1])


async def test_selected_campaigns_are_paused_resumed_and_archived_as_their_menus_do_it(
    connection: asyncpg.Connection, two_organizations: TwoOrganizations, operator: Browser, base: str
) -> None:
    tenant = two_organizations.own.tenant
    made = {
        name: await create_campaign(
            connection, tenant, name=name, status=status, next_batch_at=NOW if status == "active" else None
        )
        for name, status in (("Autumn", "active"), ("Spring", "active"), ("Winter", "draft"), ("Old", "paused"))
    }
    await create_calling(connection, made["Spring"], status="ongoing", created_at=NOW)
    theirs = await create_campaign(connection, two_organizations.other.tenant, name="Theirs")
    listed = (await operator.get(base)).text
    assert listed.count("name=chosen") == 4
    assert re.search(r'<form class="selection-bar"[^>]*method="post" action="[^"]+/campaigns/selected"', listed)
    assert ">Unarchive<" not in listed
    chosen = [str(each.id) for each in (*made.values(), theirs)]

    paused = await operator.post_form(f"{base}/selected", {"action": "pause", "chosen": chosen, "back": base})
    page = (await operator.get(paused.headers["location"])).text
    undo = undo_of(page)
    assert "2 campaigns paused, and calls in progress continue; Winter is a draft and cannot be paused; " in page
    assert "Old is already paused; 1 was deleted meanwhile." in page
    assert await names_of(connection) == {
        "Autumn": "paused", "Spring": "pausing", "Winter": "draft", "Old": "paused", "Theirs": "active"
    }  # fmt: skip
    audited = await connection.fetch("select subject_id from audit_log where action = 'pause_campaign'")
    assert {row["subject_id"] for row in audited} == {str(made["Autumn"].id), str(made["Spring"].id)}

    # One of the two is resumed by someone else: the undo takes back the other pause only.
    await send(operator, f"{base}/{made['Autumn'].id}/resume", {"back": base})
    assert await send(operator, undo, {"back": base}) == (
        "Undone for 1 campaign. 1 campaign stays unchanged: the campaign is active now."
    )
    assert (await names_of(connection))["Spring"] == "active"
    resumed = {"action": "resume", "chosen": chosen[:4], "back": base}
    assert await send(operator, f"{base}/selected", resumed) == (
        "1 campaign resumed; Autumn and Spring are already active; Winter is a draft and cannot be resumed."
    )

    finished = await create_campaign(connection, tenant, name="Done", status="completed", next_batch_at=None)
    ended = [str(made["Winter"].id), str(finished.id), str(made["Autumn"].id)]
    sent = await operator.post_form(f"{base}/selected", {"action": "archive", "chosen": ended, "back": base})
    page = (await operator.get(sent.headers["location"])).text
    undo = undo_of(page)
    assert "2 campaigns archived; Autumn is active and cannot be archived." in page
    assert {name for name, status in (await names_of(connection)).items() if status.endswith("*")} == {"Winter", "Done"}
    archived = (await operator.get(f"{base}?archived=true")).text
    assert ">Unarchive<" in archived
    assert 'value="pause"' not in archived
    # The address of an undo does nothing that asks first elsewhere.
    forged = await operator.post_form(undo.replace("action=unarchive", "action=delete"), {"back": base})
    assert (forged.status_code, "This cannot be undone here" in forged.text) == (400, True)
    assert await send(operator, undo, {"back": base}) == "2 campaigns unarchived."
    assert not any(status.endswith("*") for status in (await names_of(connection)).values())


async def test_selected_drafts_are_deleted_after_a_question_and_nothing_else_is(
    connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
    operator: Browser,
    browser_for: BrowserFor,
    base: str,
) -> None:
    tenant = two_organizations.own.tenant
    drafts = [
        await create_campaign(connection, tenant, name=f"Draft {number}", status="draft", next_batch_at=None)
        for number in range(2)
    ]
    running = await create_campaign(connection, tenant, name="Running")
    chosen = [str(each.id) for each in (*drafts, running)]

    # Without JavaScript, all actions are sent to one address, and this one asks first.
    asked = await operator.post_form(f"{base}/selected", {"action": "delete", "chosen": chosen, "back": base})
    assert len(await names_of(connection)) == 3
    question = (await operator.get(asked.headers["location"])).text
    assert "<h1>Delete 2 drafts?</h1>" in question
    assert "This deletes Draft 0, Draft 1 and their contact lists." in question
    assert "Running is active and cannot be deleted" in question
    assert "This cannot be undone." in question
    assert re.findall(r'name="chosen" value="([^"]+)"', question) == chosen[:2]
    confirmed = {"action": "delete", "confirmed": "true", "chosen": chosen, "back": base}
    assert await send(operator, f"{base}/selected", confirmed) == (
        "2 drafts deleted; Running is active and cannot be deleted."
    )
    assert await names_of(connection) == {"Running": "active"}
    nothing = (await operator.get(f"{base}/selected?chosen={running.id}")).text
    assert "No drafts to delete" in nothing

    assert await send(operator, f"{base}/selected", {"action": "pause", "back": base}) == "No campaigns selected."
    too_many = {"action": "pause", "chosen": [str(uuid4()) for _ in range(41)]}
    assert (await operator.post_form(f"{base}/selected", too_many)).status_code == 400
    assert (await operator.post_form(f"{base}/selected", {"action": "start", "chosen": chosen})).status_code == 400
    viewer = await browser_for(two_organizations.own.users["viewer"])
    assert "name=chosen" not in (await viewer.get(base)).text
