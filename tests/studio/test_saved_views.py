"""Saved views: saved, opened, changed and deleted; whose they are; and filters that are gone."""

import asyncio
import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from outdial.db.session import encode_json
from outdial.domain.limits import LONGEST_VIEW_NAME, MOST_VIEWS
from tests.support.factories import NOW, create_call, create_campaign, create_campaign_contact, create_contact, insert
from tests.support.postgres import Scratch, until_one_waits
from tests.support.studio import Browser, BrowserFor, ClientFor, StudioServer
from tests.support.two_organizations import TwoOrganizations, acting


@pytest.fixture
def home(two_organizations: TwoOrganizations) -> str:
    return f"/o/{two_organizations.own.tenant.organization_id}"


@pytest.fixture
async def operator(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, connection: asyncpg.Connection
) -> Browser:
    await connection.execute("delete from saved_views")
    return await browser_for(two_organizations.own.users["operator"])


def forms_of(page: str) -> dict[str, dict[str, str]]:
    """The hidden fields of each form about views, by its address."""
    found = {}
    for url, body in re.findall(
        r'<form class="\w+" method="post" action="([^"]*/views[^"]*)">(.*?)</form>', page, re.S
    ):
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', body)
        found[url] = {name: unescape(value) for name, value in hidden if name != "csrf_token"}
    return found


def views_of(page: str) -> dict[str, str]:
    """The address of each view, by its name; that of the open one with a star."""
    url = re.search(r'<form class="filters[^>]* action="([^"]+)"', page)
    bar = re.search(r'<nav aria-label="Saved views">.*?</nav>', page, re.DOTALL)
    links = re.findall(r'href="([^"]+)"( aria-current="true")?[^>]*>([^<]+)</a>', bar[0]) if bar else []
    return {f"{unescape(name)}{'*' * bool(current)}": (url[1] if url else "") + view for view, current, name in links}


async def send(browser: Browser, url: str, fields: dict[str, Any]) -> str:
    """Send a form, and return the page that it leads to."""
    sent = await browser.post_form(url, fields)
    assert sent.status_code == 303, sent.text
    return (await browser.get(sent.headers["location"])).text


async def test_a_view_is_saved_opened_with_one_link_changed_and_deleted(
    operator: Browser, connection: asyncpg.Connection, home: str
) -> None:
    plain = (await operator.get(f"{home}/calls")).text
    assert (views_of(plain), forms_of(plain)) == ({}, {})

    filtered = (await operator.get(f"{home}/calls?outcome=no_answer&when=last_7_days&status=")).text
    [(url, fields)] = forms_of(filtered).items()
    assert fields == {"list": "calls", "filters": "outcome=no_answer&when=last_7_days", "back": f"{home}/calls"}
    page = await send(operator, url, fields | {"name": " Not reached this week ", "is_shared": "true"})
    assert "View Not reached this week saved." in page
    [(name, address)] = views_of(page).items()
    assert name == "Not reached this week*"
    # A choice of days keeps the view open, which it changes.
    opened = (await operator.get(address)).text
    assert f"?outcome=no_answer&amp;when=today&amp;view={address.partition('view=')[2]}" in opened
    # The days stay relative.
    assert re.fullmatch(rf"{home}/calls\?view=[0-9a-f-]{{36}}", address)
    opened = (await operator.get(address)).text
    assert '<option value="no_answer" selected>' in opened
    assert re.search(r'aria-current="true">Last 7 days</a>', opened)
    # Filters that are sent empty are none.
    cleared = (await operator.get(f"{address}&outcome=&when=")).text
    assert '<option value="no_answer" selected>' not in cleared
    assert await connection.fetchval("select filters::text from saved_views") == (
        '{"when": "last_7_days", "outcome": "no_answer"}'
    )
    # It is marked without its id in the address, too, and every other list has its own.
    filtered = (await operator.get(f"{home}/calls?when=last_7_days&outcome=no_answer")).text
    assert views_of(filtered) == {"Not reached this week*": address}
    assert list(forms_of(filtered)) == [address_of(address, home), f"{address_of(address, home)}/delete"]
    assert views_of((await operator.get(f"{home}/contacts")).text) == {}

    # With other filters, the open view can be given those, or a new one saved.
    view = address.rpartition("=")[2]
    changed = (await operator.get(f"{home}/calls?outcome=voicemail&view={view}")).text
    assert "The filters on this page replace those of the view." in changed
    assert f'<input type="hidden" name="view" value="{view}">' in changed
    forms = forms_of(changed)
    assert list(forms) == [f"{home}/views/{view}", f"{home}/views/{view}/delete", f"{home}/views"]
    shared = {"name": "Voicemails", "is_shared": "true"}
    page = await send(operator, f"{home}/views/{view}", forms[f"{home}/views/{view}"] | shared)
    assert views_of(page) == {"Voicemails*": f"{home}/calls?view={view}"}

    page = await send(operator, f"{home}/views/{view}/delete", forms_of(page)[f"{home}/views/{view}/delete"])
    assert "View Voicemails deleted." in page
    assert views_of(page) == {}
    # The list still has the filters, which can be saved again.
    assert '<option value="voicemail" selected>' in page
    actions = await connection.fetch("select action, details from audit_log where subject_type = 'view' order by id")
    assert [row["action"] for row in actions] == ["save_view", "change_view", "delete_view"]
    assert "oicemail" not in "".join(str(row["details"]) for row in actions)


def address_of(view: str, home: str) -> str:
    return f"{home}/views/{view.rpartition('=')[2]}"


async def test_the_lists_of_a_campaign_have_views_that_every_campaign_shows(
    operator: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations, home: str
) -> None:
    tenant = two_organizations.own.tenant
    one, other = [await create_campaign(connection, tenant) for _ in range(2)]
    for part, query, kept in (
        ("contacts", "status=failed&order=contact&by=name&q=Ada", "q=Ada&by=name&status=failed"),
        ("calls", "reviewed=no&when=today", "reviewed=no&when=today"),
    ):
        page = (await operator.get(f"{home}/campaigns/{one.id}/{part}?{query}")).text
        [(url, fields)] = forms_of(page).items()
        assert fields["filters"] == kept
        await send(operator, url, fields | {"name": f"My {part}"})
        there = (await operator.get(f"{home}/campaigns/{other.id}/{part}")).text
        [(name, address)] = views_of(there).items()
        assert name == f"My {part}"
        assert address.startswith(f"{home}/campaigns/{other.id}/{part}?view=")
        opened = await operator.get(address)
        assert opened.status_code == 200
        assert f"My {part}*" in views_of(opened.text)
        assert "No matching" in opened.text
    searched = (await operator.get(f"{home}/contacts?q=Hopper")).text
    [(url, fields)] = forms_of(searched).items()
    assert views_of(await send(operator, url, fields | {"name": "Hoppers"})).keys() == {"Hoppers*"}


async def test_a_view_is_its_members_own_until_it_is_shared(
    operator: Browser,
    connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
    browser_for: BrowserFor,
    home: str,
) -> None:
    own = two_organizations.own
    viewer, admin = await browser_for(own.users["viewer"]), await browser_for(own.users["admin"])
    fields = {"list": "calls", "filters": "outcome=busy", "back": f"{home}/calls"}
    calls = f"{home}/calls"
    for name, shared in (("Mine", ""), ("Ours", "true")):
        await send(operator, f"{home}/views", fields | {"name": name, "is_shared": shared, "filters": f"q={name}"})
    assert views_of((await operator.get(calls)).text).keys() == {"Mine", "Ours"}
    seen = views_of((await viewer.get(calls)).text)
    assert seen.keys() == {"Ours"}

    # A viewer has views of their own, and shares none. What another one shares, they open and do not change.
    opened = (await viewer.get(seen["Ours"])).text
    assert "Ours*" in views_of(opened)
    assert forms_of(opened) == {}
    assert "Share with the organization" not in (await viewer.get(f"{calls}?outcome=busy")).text
    await send(viewer, f"{home}/views", fields | {"name": "Ours"})
    refused = await viewer.post_form(f"{home}/views", fields | {"name": "For all", "is_shared": "true"})
    assert refused.status_code == 403
    audited = await connection.fetchval("select count(*) from audit_log where subject_type = 'view'")
    assert audited == 1, "only what is shared is audited"
    ours = address_of(seen["Ours"], home)
    page = await send(viewer, ours, fields | {"name": "Theirs"})
    assert "Only the member who saved this view can change it." in page
    page = await send(viewer, f"{ours}/delete", fields)
    assert "Only the member who saved this view, or an admin, can delete it." in page
    mine = address_of(views_of((await operator.get(calls)).text)["Mine"], home)
    assert (await admin.post_form(f"{mine}/delete", fields)).status_code == 404
    assert (await viewer.post_form(mine, fields | {"name": "X"})).status_code == 404

    # An admin takes a shared one away.
    assert list(forms_of((await admin.get(seen["Ours"])).text)) == [f"{ours}/delete"]
    assert "View Ours deleted." in await send(admin, f"{ours}/delete", fields)
    assert views_of((await operator.get(calls)).text).keys() == {"Mine"}


async def test_names_and_numbers_of_views_are_limited(
    operator: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations, home: str
) -> None:
    fields = {"list": "calls", "filters": "outcome=busy", "back": f"{home}/calls"}

    async def save(name: str, **changes: str) -> str:
        return await send(operator, f"{home}/views", fields | {"name": name} | changes)

    assert f"Enter a name with at most {LONGEST_VIEW_NAME} characters." in await save("")
    assert f"Enter a name with at most {LONGEST_VIEW_NAME} characters." in await save("x" * (LONGEST_VIEW_NAME + 1))
    assert "there is nothing to save yet" in await save("All", filters="order=contact&unknown=1")
    assert "saved." in await save("x" * LONGEST_VIEW_NAME)
    assert "You have a view of this list with the name" in await save("X" * LONGEST_VIEW_NAME)
    # Another list may have a view of the name.
    assert "saved." in await save("x" * LONGEST_VIEW_NAME, list="campaign_calls")
    assert "saved." in await save("Busy", list="campaign_calls", filters=f"{'unknown=1&' * 100}outcome=busy")
    unknown = await operator.post_form(f"{home}/views", fields | {"list": "nothing", "name": "A"})
    assert unknown.status_code == 400
    for number in range(MOST_VIEWS - 1):
        await operator.post_form(f"{home}/views", fields | {"name": f"View {number}"})
    assert f"You have {MOST_VIEWS} views of this list: delete one first." in await save("One more")
    assert await connection.fetchval("select count(*) from saved_views where list = 'calls'") == MOST_VIEWS
    page = (await operator.get(f"{home}/calls?outcome=busy")).text
    assert len(page) < 60_000
    renamed = await connection.fetchval("select id from saved_views where name = 'View 1'")
    taken = await send(operator, f"{home}/views/{renamed}", fields | {"name": "VIEW 2"})
    assert "You have a view of this list with the name VIEW 2." in taken
    # The schema has the bound of the domain.
    change = "update saved_views set name = $1 where id = $2"
    await connection.execute(change, "y" * LONGEST_VIEW_NAME, renamed)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(change, "y" * (LONGEST_VIEW_NAME + 1), renamed)


async def test_a_view_opens_after_what_it_filters_by_is_gone(
    operator: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations, home: str
) -> None:
    tenant = two_organizations.own.tenant
    campaign = await create_campaign(connection, tenant, status="draft", next_batch_at=None, name="Winter")
    fields = {"list": "calls", "filters": f"campaign={campaign.id}", "name": "Winter", "back": f"{home}/calls"}
    page = await send(operator, f"{home}/views", fields)
    address = views_of(page)["Winter*"]
    assert "No matching calls" in page

    await connection.execute("delete from campaigns where id = $1", campaign.id)
    gone = await operator.get(address)
    assert gone.status_code == 200
    assert "This view has a filter that this list does not know" in gone.text
    assert "No matching calls" not in gone.text
    # The same address without the view is an error, as before.
    assert (await operator.get(f"{home}/calls?campaign={campaign.id}")).status_code == 400

    # Values and names of an earlier version.
    await connection.execute("""update saved_views set filters = '{"outcome": "lost", "mood": "good"}'""")
    address = views_of((await operator.get(f"{home}/calls")).text)["Winter"]
    assert "mood" not in address
    assert "This view has a filter that this list does not know" in (await operator.get(address)).text
    await connection.execute("""update saved_views set list = 'campaign_contacts', filters = '{"status": "lost"}'""")
    other = await create_campaign(connection, tenant)
    contacts = f"{home}/campaigns/{other.id}/contacts"
    opened = await operator.get(views_of((await operator.get(contacts)).text)["Winter"])
    assert (opened.status_code, "This view has a filter that this list does not know" in opened.text) == (200, True)


@pytest.mark.parametrize(
    ("part", "saved", "typed", "problem"),
    [
        ("calls", "outcome=busy", "outcome=busy&from=2026-02-30", "Invalid date"),
        ("contacts", "status=failed", "status=failed&by=phone&q=Ada", "This is not part of a phone number"),
    ],
)
async def test_a_filter_that_is_wrong_is_no_fault_of_the_open_view(
    operator: Browser,
    connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
    home: str,
    part: str,
    saved: str,
    typed: str,
    problem: str,
) -> None:
    campaign = await create_campaign(connection, two_organizations.own.tenant)
    url = f"{home}/campaigns/{campaign.id}/{part}"
    fields = {"list": f"campaign_{part}", "filters": saved, "name": "Mine", "back": url}
    address = views_of(await send(operator, f"{home}/views", fields))["Mine*"]
    wrong = await operator.get(f"{url}?{typed}&{address.rpartition('?')[2]}")
    assert (wrong.status_code, problem in wrong.text) == (400, True)
    assert "This view has a filter that this list does not know" not in wrong.text
    assert "The filters on this page replace those of the view." in wrong.text


async def test_the_days_of_a_view_move_with_the_calendar(
    operator: Browser,
    studio_app: StudioServer,
    browser_for: BrowserFor,
    connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
    home: str,
) -> None:
    tenant = two_organizations.own.tenant
    contact = await create_contact(connection, tenant.organization_id, name="Ada Hopper")
    entry = await create_campaign_contact(connection, await create_campaign(connection, tenant), contact)
    await create_call(connection, entry, status="ended", outcome="busy", created_at=NOW)
    fields = {"list": "calls", "filters": "when=today", "name": "Today", "back": f"{home}/calls"}
    page = await send(operator, f"{home}/views", fields)
    assert "Ada Hopper" in page

    studio_app.clock.advance(timedelta(days=1))
    later = await browser_for(two_organizations.own.users["operator"])
    opened = (await later.get(views_of(page)["Today*"])).text
    assert "Ada Hopper" not in opened
    # Without its days, the view has no filter left: its address would open it again.
    assert f'<a class="chip" href="{home}/calls">Any day</a>' in opened


async def test_the_database_shows_members_their_own_views_and_those_that_are_shared(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, database: Scratch
) -> None:
    names = "select user_id, is_shared from saved_views"
    own = two_organizations.own
    async with acting(two_organizations, "viewer") as caller:
        rows = await caller.fetch(names)
        assert {(row["user_id"], row["is_shared"]) for row in rows} == {
            (own.users["viewer"], False), (own.users["owner"], True)
        }  # fmt: skip
        assert await caller.execute("delete from saved_views where is_shared") == "DELETE 0"
        assert await caller.execute("update saved_views set name = 'x' where is_shared") == "UPDATE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await caller.execute("update saved_views set is_shared = true")
    async with acting(two_organizations, "operator") as caller:
        assert await caller.execute("update saved_views set is_shared = true") == "UPDATE 1"
    async with acting(two_organizations, "admin") as caller:
        assert await caller.execute("delete from saved_views where is_shared") == "DELETE 2"


@pytest.mark.parametrize(
    ("person", "forgotten"),
    [
        ("Al", {"Calls of Al", "Call him"}),
        (" Li ", {"Li's calls"}),
        ("李明", {"李明的电话"}),
        ("-", set[str]()),
        (" ", set[str]()),
        (None, set[str]()),
        ("Ada Hopper", {"Ada Hopper this week", "Not reached", "Turned"}),
        ("Àda Höpper", {"Ada Hopper this week", "Not reached", "Turned"}),
    ],
)
async def test_an_erasure_deletes_the_views_that_name_the_person_and_none_that_only_has_the_letters_of_a_short_name(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, person: str | None, forgotten: set[str]
) -> None:
    await connection.execute("delete from saved_views")
    own = two_organizations.own
    terms = {
        "All calls": "", "Calls of Al": "", "Call him": "al", "Li's calls": "", "Failed - March": "", "李明的电话": "",
        "Ada Hopper this week": "", "Not reached": "hopper", "Turned": "Hopper  ada", "Half": "hopper eva",
    }  # fmt: skip
    for name, term in terms.items():
        await insert(
            connection,
            "saved_views",
            id=uuid4(),
            organization_id=own.tenant.organization_id,
            user_id=own.users["owner"],
            list="contacts",
            name=name,
            filters=encode_json({"q": term} if term else {}),
            created_at=NOW,
            updated_at=NOW,
        )
    contact = await create_contact(connection, own.tenant.organization_id, name=person)
    await connection.execute(
        "update contacts set erased_at = $2, name = null, phone = 'erased:' || id::text where id = $1", contact.id, NOW
    )

    left = {row["name"] for row in await connection.fetch("select name from saved_views")}
    assert terms.keys() - left == forgotten


PARTS = {
    "ends": "0123", "formatted": "(415) 555-01", "spaced": " 415 555 0123 ", "whole": "+1 415 555 0123",
    "zero": "04155550",
    "word and number": "Ada 415.555.0123", "address": "hopper@", "part of an address": "ada.h",
    "Address ": "ADA.HOPPER@mail.example", "reordered": "Hopper,  Ada", "two spaces": "ada  hopper", "id": "crm-77",
    "Call 415-5550123": "",
}  # fmt: skip
OTHERS = {
    "area": "+1415", "domain": "mail.example", "year": "Winter 2026", "other": "5550199", "short": "555",
    "Batch 0123": "", "First name alone is of many": "", "none": "grace",
}  # fmt: skip


async def test_an_erasure_deletes_the_views_that_search_for_a_part_of_the_number_or_the_address(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    await connection.execute("delete from saved_views")
    own = two_organizations.own
    for name, term in (PARTS | OTHERS).items():
        await save_row(connection, own.tenant.organization_id, own.users["owner"], name, term)
    contact = await create_contact(
        connection, own.tenant.organization_id, phone="+14155550123", name="Ada Hopper",
        email=" Ada.Hopper@mail.example", external_id="CRM-77",
    )  # fmt: skip
    await connection.execute(
        "update contacts set erased_at = $2, name = null, email = null, external_id = null,"
        " phone = 'erased:' || id::text where id = $1",
        contact.id,
        NOW,
    )
    assert {row["name"] for row in await connection.fetch("select name from saved_views")} == set(OTHERS)


async def test_an_erasure_of_a_number_without_a_contact_deletes_the_views_that_search_for_it(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    await connection.execute("delete from saved_views")
    own = two_organizations.own
    for name, term in (PARTS | OTHERS).items():
        await save_row(connection, own.tenant.organization_id, own.users["owner"], name, term)
    await insert(
        connection,
        "erasures",
        id=uuid4(),
        organization_id=own.tenant.organization_id,
        phone="+14155550123",
        phone_hash=b"h" * 32,
        key_id=b"k" * 8,
        requested_by="the service",
        requested_at=NOW,
    )
    left = {row["name"] for row in await connection.fetch("select name from saved_views")}
    with_digits = {"ends", "formatted", "spaced", "whole", "zero", "word and number", "Call 415-5550123"}
    assert left == (PARTS | OTHERS).keys() - with_digits


async def save_row(connection: asyncpg.Connection, organization_id: UUID, user_id: UUID, name: str, term: str) -> None:
    await insert(
        connection,
        "saved_views",
        id=uuid4(),
        organization_id=organization_id,
        user_id=user_id,
        list="contacts",
        name=name,
        filters=encode_json({"q": term} if term else {}),
        created_at=NOW,
        updated_at=NOW,
    )


async def test_of_two_changes_that_give_one_name_at_once_the_second_is_told_that_it_is_taken(
    operator: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations, home: str
) -> None:
    own = two_organizations.own
    fields = {"list": "calls", "filters": "outcome=busy", "back": f"{home}/calls"}
    for name in ("One", "Two"):
        await send(operator, f"{home}/views", fields | {"name": name})
    ids = {row["name"]: row["id"] for row in await connection.fetch("select id, name from saved_views")}
    async with acting(two_organizations, "operator") as first:
        assert await first.execute("update saved_views set name = 'Three' where id = $1", ids["One"]) == "UPDATE 1"
        second = asyncio.create_task(operator.post_form(f"{home}/views/{ids['Two']}", fields | {"name": "THREE"}))
        # The second one cannot see the name that the first one has given, and waits for it.
        await until_one_waits(connection)
    answered = await second
    assert answered.status_code == 303
    page = (await operator.get(answered.headers["location"])).text
    assert "You have a view of this list with the name THREE." in page
    rows = await connection.fetch("select name from saved_views where user_id = $1", own.users["operator"])
    assert {row["name"] for row in rows} == {"Three", "Two"}


async def test_a_member_who_became_a_viewer_deletes_a_shared_view_with_an_entry_in_the_audit_log(
    operator: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations, home: str
) -> None:
    own = two_organizations.own
    fields = {"list": "calls", "filters": "outcome=busy", "back": f"{home}/calls"}
    for name, shared in (("Ours", "true"), ("Also ours", "true"), ("Mine", "")):
        await send(operator, f"{home}/views", fields | {"name": name, "is_shared": shared})
    await connection.execute(
        "update organization_members set role = 'viewer' where user_id = $1 and organization_id = $2",
        own.users["operator"],
        own.tenant.organization_id,
    )
    ids = {row["name"]: row["id"] for row in await connection.fetch("select id, name from saved_views")}
    await send(operator, f"{home}/views/{ids['Ours']}/delete", fields)
    await send(operator, f"{home}/views/{ids['Also ours']}", fields | {"name": "Mine again"})
    await send(operator, f"{home}/views/{ids['Mine']}/delete", fields)
    entries = await connection.fetch(
        "select action, actor, subject_id, details from audit_log where subject_type = 'view' order by id"
    )
    made = ("save_view", str(own.users["operator"]))
    assert [(row["action"], row["actor"], row["subject_id"]) for row in entries] == [
        (*made, str(ids["Ours"])), (*made, str(ids["Also ours"])),
        ("delete_view", made[1], str(ids["Ours"])), ("change_view", made[1], str(ids["Also ours"])),
    ]  # fmt: skip
    assert {row["details"] for row in entries} == {'{"list": "calls"}'}


async def test_the_list_of_campaigns_has_views(operator: Browser, home: str) -> None:
    board = f"{home}/campaigns"
    assert forms_of((await operator.get(f"{board}?sort=newest&archived=false")).text) == {}
    filtered = (await operator.get(f"{board}?name=Winter&sort=cost&section=drafts&page=2")).text
    [(url, fields)] = forms_of(filtered).items()
    assert fields == {"list": "campaigns", "filters": "name=Winter&sort=cost&section=drafts", "back": board}
    page = await send(operator, url, fields | {"name": "Expensive"})
    [(name, address)] = views_of(page).items()
    assert (name, address.rpartition("=")[0]) == ("Expensive*", f"{board}?view")
    opened = (await operator.get(address)).text
    assert 'value="Winter"' in opened
    assert '<option value="cost" selected>' in opened
    # A search in the open view keeps it open, so that it can be given the new text.
    assert f'<input type="hidden" name="view" value="{address.rpartition("=")[2]}">' in page


async def test_views_through_the_api(
    connection: asyncpg.Connection, client_for: ClientFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    await connection.execute("delete from saved_views")
    operator, viewer = await client_for(own.users["operator"]), await client_for(own.users["viewer"])
    api = f"/api/v1/organizations/{own.tenant.organization_id}/views"
    new = {"list": "calls", "name": " Busy ", "filters": {"outcome": "busy", "q": ""}}
    saved = await operator.post(api, json=new | {"is_shared": True})
    assert saved.status_code == 201
    view = saved.json()
    assert view == {
        "id": view["id"], "list": "calls", "name": "Busy", "filters": {"outcome": "busy"}, "is_shared": True,
        "is_mine": True,
    }  # fmt: skip
    taken = await operator.post(api, json=new)
    assert (taken.status_code, taken.json()["message"]) == (
        409,
        "You have a view of this list with the name Busy",
    )
    unknown = await operator.post(api, json=new | {"name": "A", "filters": {"outcome": "busy", "order": "latest"}})
    assert unknown.status_code == 400
    assert list(unknown.json()["fields"]) == ["filters.order"]
    assert (await operator.post(api, json=new | {"name": "A", "filters": {}})).status_code == 400
    assert (await operator.post(api, json=new | {"list": "nothing"})).status_code == 400

    assert (await viewer.get(api, params={"list": "calls"})).json() == [view | {"is_mine": False}]
    assert (await viewer.get(api, params={"list": "contacts"})).json() == []
    assert (await viewer.patch(f"{api}/{view['id']}", json={"name": "Mine"})).status_code == 403
    assert (await viewer.patch(f"{api}/{view['id']}", json={"is_shared": False})).status_code == 409
    assert (await viewer.delete(f"{api}/{view['id']}")).status_code == 409
    renamed = await operator.patch(f"{api}/{view['id']}", json={"name": "Engaged", "is_shared": False})
    assert renamed.json() == view | {"name": "Engaged", "is_shared": False}
    filtered = await operator.patch(f"{api}/{view['id']}", json={"filters": {"outcome": "voicemail"}})
    assert filtered.json()["filters"] == {"outcome": "voicemail"}
    # A key of the project has no views, and does not touch those of members.
    project = await client_for(None)
    assert (await project.post(api, json=new)).status_code == 400
    assert (await project.delete(f"{api}/{view['id']}")).status_code == 400
    # No longer shared: no other member sees it.
    assert (await viewer.get(api, params={"list": "calls"})).json() == []
    assert (await viewer.delete(f"{api}/{view['id']}")).status_code == 404
    assert (await operator.delete(f"{api}/{view['id']}")).status_code == 204
    assert (await operator.get(api, params={"list": "calls"})).json() == []
