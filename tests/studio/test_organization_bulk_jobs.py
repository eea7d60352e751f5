"""Bulk jobs on all contacts, or all calls, of an organization: they act on what the list shows, and on nothing else."""

import asyncio
import json
import re
from datetime import timedelta
from html import escape, unescape
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from outdial.domain.policies.bulk_action import ERASED
from tests.support.factories import NOW, create_call, create_campaign, create_campaign_contact, create_contact
from tests.support.jobs import working
from tests.support.postgres import Scratch, until_one_waits
from tests.support.studio import Browser, BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations, acting


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> httpx.AsyncClient:
    return await client_for(two_organizations.own.users["operator"])


@pytest.fixture
def api(two_organizations: TwoOrganizations) -> str:
    return f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}"


@pytest.fixture
async def people(connection: asyncpg.Connection, two_organizations: TwoOrganizations) -> list[UUID]:
    """Three contacts with a call each, and an erased one."""
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    found = []
    for number, (name, outcome) in enumerate((("Ada Hopper", "busy"), ("Grace_Hopper", "busy"), ("ada", "answered"))):
        contact = await create_contact(
            connection, own.tenant.organization_id, name=name, phone=f"+1646555010{number}", external_id=f"crm-{number}"
        )
        entry = await create_campaign_contact(connection, campaign, contact)
        await create_call(connection, entry, status="ended", outcome=outcome, created_at=NOW - timedelta(days=number))
        found.append(contact.id)
    erased = await create_contact(connection, own.tenant.organization_id, name="Ada Hopper")
    await connection.execute(
        "update contacts set erased_at = $2, phone = 'erased:' || id::text, name = null where id = $1", erased.id, NOW
    )
    return found


async def selected(connection: asyncpg.Connection, job_id: str) -> set[str]:
    rows = await connection.fetch(
        "select unnest(ids)::text as id from bulk_job_portions where bulk_job_id = $1", UUID(job_id)
    )
    return {row["id"] for row in rows}


async def request(client: httpx.AsyncClient, api: str, action: str, **filters: Any) -> Any:
    made = await client.post(
        f"{api}/bulk-jobs", json={"action": action, "reason": "asked by email", "filters": filters}
    )
    assert made.status_code == 201, made.text
    return made.json()


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"search": "hopper"},
        {"search": "hopper ada"},
        {"search": "e_h"},
        {"search": "(646) 555-0101"},
        {"name": "ADA"},
        {"phone": "+1 646-555 01"},
        {"external_id": "crm-2"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("people")
async def test_a_job_has_the_contacts_that_the_list_shows(
    operator: httpx.AsyncClient, api: str, connection: asyncpg.Connection, filters: dict[str, str]
) -> None:
    shown = (await operator.get(f"{api}/contacts", params=filters)).json()["items"]
    job = await request(operator, api, "do_not_call", **filters)
    assert await selected(connection, job["id"]) == {contact["id"] for contact in shown}
    assert (job["selected"], job["campaign_id"], job["status"]) == (len(shown), None, "queued")
    # What was searched for may name a person.
    assert job["filters"] == ({"searched": list(filters)} if filters else {})
    stored = await connection.fetchval("select details::text from audit_log where action = 'bulk_do_not_call'")
    assert "hopper" not in stored
    assert (await operator.get(f"{api}/bulk-jobs")).json()["items"] == [job]


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"outcome": "busy"},
        {"status": "ended"},
        {"is_reviewed": False},
        {"search": "hopper"},
        {"phone": "+1646"},
        {"since": (NOW - timedelta(hours=30)).isoformat(), "until": (NOW + timedelta(hours=1)).isoformat()},
        {"search": "ada", "outcome": "answered"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("people")
async def test_a_job_has_the_calls_that_the_list_shows_and_that_no_one_has_reviewed(
    operator: httpx.AsyncClient, api: str, connection: asyncpg.Connection, filters: dict[str, Any]
) -> None:
    first = (await operator.get(f"{api}/calls", params={"search": "Grace"})).json()["items"][0]["id"]
    await operator.put(f"{api}/calls/{first}/review", json={"note": "polite"})
    params = {name: str(value).lower() if value is False else value for name, value in filters.items()}
    shown = (await operator.get(f"{api}/calls", params=params)).json()["items"]
    unmarked = {call["id"] for call in shown if not call["is_reviewed"]}
    job = await request(operator, api, "mark_reviewed", **filters)
    assert await selected(connection, job["id"]) == unmarked != set()
    assert (job["selected"], job["other_status"]) == (len(unmarked), len(shown) - len(unmarked))


async def test_numbers_are_blocked_by_a_job_which_can_be_undone(
    operator: httpx.AsyncClient,
    api: str,
    people: list[UUID],
    connection: asyncpg.Connection,
    database: Scratch,
    two_organizations: TwoOrganizations,
    client_for: ClientFor,
) -> None:
    organization_id = two_organizations.own.tenant.organization_id
    blocked = "select phone from do_not_call where phone like '+1646%' order by phone"
    await connection.execute(
        "insert into do_not_call (organization_id, phone, source, created_at) values ($1, '+16465550101', 'call', $2)",
        organization_id,
        NOW,
    )
    gone = await create_contact(connection, organization_id, phone="+16465550105")
    job = await request(operator, api, "do_not_call", phone="+1646")
    # One that comes later is not part of it, and one that is erased meanwhile is left out.
    await create_contact(connection, organization_id, phone="+16465550104")
    await connection.execute(
        "update contacts set erased_at = $2, phone = 'erased:' || id::text where id = $1", gone.id, NOW
    )
    async with working(database) as worker:
        await worker.run_once()
    done = (await operator.get(f"{api}/bulk-jobs/{job['id']}")).json()
    assert (done["status"], done["done"], done["left_out"]) == ("completed", 2, 2)
    left = (await operator.get(f"{api}/bulk-jobs/{job['id']}/left-out")).json()["items"]
    assert {(each["campaign_contact_id"], each["kind"]) for each in left} == {
        (str(people[1]), "do_not_call"), (str(gone.id), "erased")
    }  # fmt: skip
    assert [row["phone"] for row in await connection.fetch(blocked)] == ["+16465550100", "+16465550101", "+16465550102"]

    # Another operator may not take them off again: test_undo.py.
    undone = await operator.post(f"{api}/acts/{job['id']}/undo")
    assert undone.json() | {"changed": 2} == undone.json(), undone.text
    assert [row["phone"] for row in await connection.fetch(blocked)] == ["+16465550101"]
    assert (await operator.post(f"{api}/acts/{job['id']}/undo")).status_code == 409
    entries = await connection.fetch(
        "select action, subject_type, subject_id from audit_log where subject_id = $1 order by id", job["id"]
    )
    assert [tuple(row) for row in entries] == [
        ("bulk_do_not_call", "bulk_job", job["id"]), ("undo", "act", job["id"])
    ]  # fmt: skip


async def test_an_undo_stops_the_job_first(
    operator: httpx.AsyncClient, api: str, people: list[UUID], connection: asyncpg.Connection, database: Scratch
) -> None:
    assert people
    job = await request(operator, api, "do_not_call", search="hopper")
    undone = await operator.post(f"{api}/acts/{job['id']}/undo")
    assert (undone.status_code, undone.json()["changed"]) == (200, 0)
    async with working(database) as worker:
        await worker.run_once()
    assert (await operator.get(f"{api}/bulk-jobs/{job['id']}")).json()["status"] == "cancelled"
    assert not await connection.fetchval("select count(*) from do_not_call where phone like '+1646%'")


async def test_an_undo_waits_for_the_portion_that_is_at_work(
    operator: httpx.AsyncClient, api: str, people: list[UUID], connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
) -> None:  # fmt: skip
    job = await request(operator, api, "do_not_call", search="hopper")
    async with acting(two_organizations, "jobs") as portion:
        listed = await portion.fetch(
            "select private.block_listed_contacts($1, $2, $3, 'asked', $4)",
            two_organizations.own.tenant.organization_id,
            UUID(job["id"]),
            people[:2],
            NOW,
        )
        assert len(listed) == 2
        undo = asyncio.create_task(operator.post(f"{api}/acts/{job['id']}/undo"))
        await until_one_waits(connection)
    assert (await undo).json()["changed"] == 2
    assert not await connection.fetchval("select count(*) from do_not_call where phone like '+1646%'")


async def test_an_erasure_beside_a_portion_leaves_no_number_on_the_list_and_is_the_reason(
    operator: httpx.AsyncClient, api: str, people: list[UUID], connection: asyncpg.Connection, database: Scratch,
    two_organizations: TwoOrganizations,
) -> None:  # fmt: skip
    job = await request(operator, api, "do_not_call", search="hopper")
    erasing = await asyncpg.connect(database.dsn)
    async with working(database) as worker:
        async with erasing.transaction():
            await erasing.execute("set local role service_role")
            erased = await erasing.fetchval(
                "select result from private.erase_phone($1, $2, '+16465550100', $3, $4, 'ann', $5)",
                two_organizations.own.tenant.organization_id,
                uuid4(),
                bytes(32),
                bytes(8),
                NOW,
            )
            assert erased == "requested"
            portion = asyncio.create_task(worker.run_once())
            await until_one_waits(connection)
        await portion
    await erasing.close()
    done = (await operator.get(f"{api}/bulk-jobs/{job['id']}")).json()
    assert (done["status"], done["done"], done["left_out"]) == ("completed", 1, 1)
    left_out = (await operator.get(f"{api}/bulk-jobs/{job['id']}/left-out")).json()["items"]
    assert [each["reason"] for each in left_out] == [ERASED.reason]
    listed = await connection.fetch("select phone from do_not_call where phone like '+1646%' or phone like 'erased%'")
    assert [row["phone"] for row in listed] == ["+16465550101"]
    assert people[0] not in await selected(connection, job["id"])


async def test_calls_are_marked_by_a_job_and_the_marks_of_others_stay(
    operator: httpx.AsyncClient, api: str, people: list[UUID], connection: asyncpg.Connection, database: Scratch,
    two_organizations: TwoOrganizations, client_for: ClientFor,
) -> None:  # fmt: skip
    assert people
    job = await request(operator, api, "mark_reviewed", search="hopper")
    assert job["selected"] == 2
    # Another member marks one of them before the job comes to it.
    admin = await client_for(two_organizations.own.users["admin"])
    call_id = (await admin.get(f"{api}/calls", params={"search": "Grace"})).json()["items"][0]["id"]
    await admin.put(f"{api}/calls/{call_id}/review", json={"note": "polite"})
    async with working(database) as worker:
        await worker.run_once()
    done = (await operator.get(f"{api}/bulk-jobs/{job['id']}")).json()
    assert (done["status"], done["done"], done["left_out"]) == ("completed", 1, 1)
    notes = {row["note"] for row in await connection.fetch("select note from call_reviews where note is not null")}
    assert {"polite", "asked by email"} <= notes
    refused = await operator.post(
        f"{api}/bulk-jobs", json={"action": "mark_reviewed", "reason": "again", "filters": {"search": "hopper"}}
    )
    assert (refused.status_code, "marked as reviewed" in refused.json()["message"]) == (409, True)

    others = (await operator.get(f"{api}/calls", params={"phone": "+1646"})).json()["items"]
    marked = await operator.post(f"{api}/calls/reviews", json={"call_ids": [call["id"] for call in others]})
    assert marked.json() | {"act_id": None} == {"changed": 1, "left_out": 2, "act_id": None}


async def test_marks_of_calls_are_undone_unless_they_have_changed_since(
    operator: httpx.AsyncClient, api: str, people: list[UUID], connection: asyncpg.Connection, database: Scratch,
    two_organizations: TwoOrganizations, client_for: ClientFor,
) -> None:  # fmt: skip
    assert people
    marks = "select count(*) from call_reviews where note = 'asked by email'"
    job = await request(operator, api, "mark_reviewed", phone="+1646")
    async with working(database) as worker:
        await worker.run_once()
    assert await connection.fetchval(marks) == 3
    admin = await client_for(two_organizations.own.users["admin"])
    call_id = (await admin.get(f"{api}/calls", params={"search": "Grace"})).json()["items"][0]["id"]
    await admin.put(f"{api}/calls/{call_id}/review", json={"note": "polite"})
    undone = await operator.post(f"{api}/acts/{job['id']}/undo")
    assert undone.json() | {"kind": "review", "changed": 2, "kept": 1} == undone.json(), undone.text
    assert await connection.fetchval(marks) == 0
    assert await connection.fetchval("select note from call_reviews where call_id = $1", UUID(call_id)) == "polite"
    assert (await operator.post(f"{api}/acts/{job['id']}/undo")).status_code == 409

    stopped = await request(operator, api, "mark_reviewed", phone="+1646")
    assert (await operator.post(f"{api}/acts/{stopped['id']}/undo")).json()["changed"] == 0
    async with working(database) as worker:
        await worker.run_once()
    assert (await operator.get(f"{api}/bulk-jobs/{stopped['id']}")).json()["status"] == "cancelled"
    assert await connection.fetchval(marks) == 0

    calls = [call["id"] for call in (await operator.get(f"{api}/calls", params={"phone": "+1646"})).json()["items"]]
    act = (await operator.post(f"{api}/calls/reviews", json={"call_ids": calls})).json()
    assert (act["changed"], act["left_out"]) == (2, 1)
    again = (await operator.post(f"{api}/calls/reviews", json={"call_ids": calls})).json()
    assert again == {"changed": 0, "left_out": 3, "act_id": None}
    for id in calls:
        await operator.delete(f"{api}/calls/{id}/review")
    late = await operator.post(f"{api}/acts/{act['act_id']}/undo")
    assert "the marks have been removed or changed since" in late.json()["message"]


async def test_an_undo_of_marks_waits_for_the_portion_that_is_at_work(
    operator: httpx.AsyncClient, api: str, people: list[UUID], connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
) -> None:  # fmt: skip
    assert people
    job = await request(operator, api, "mark_reviewed", search="hopper")
    calls = [UUID(id) for id in await selected(connection, job["id"])]
    async with acting(two_organizations, "jobs") as portion:
        marked = await portion.fetch(
            "select private.mark_calls_of_act($1, $2, $3, 'Ada', 'asked', $4)",
            two_organizations.own.tenant.organization_id,
            UUID(job["id"]),
            calls,
            NOW,
        )
        assert len(marked) == 2
        undo = asyncio.create_task(operator.post(f"{api}/acts/{job['id']}/undo"))
        await until_one_waits(connection)
    assert (await undo).json()["changed"] == 2
    assert not await connection.fetchval("select count(*) from call_reviews where note = 'asked'")


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        ({"action": "do_not_call", "reason": " "}, 400, "reason"),
        ({"action": "skip", "reason": "x"}, 400, None),
        ({"action": "do_not_call", "reason": "x", "filters": {"outcome": "busy"}}, 400, "filters.outcome"),
        ({"action": "do_not_call", "reason": "x", "filters": {"phone": "1", "name": "A"}}, 400, "name"),
        ({"action": "mark_reviewed", "reason": "x", "filters": {"status": "pending"}}, 400, "filters.status"),
        ({"action": "do_not_call", "reason": "x", "filters": {"search": "nobody at all"}}, 409, None),
    ],
    ids=str,
)
async def test_a_request_that_selects_nothing_stores_nothing(
    operator: httpx.AsyncClient,
    api: str,
    connection: asyncpg.Connection,
    sent: dict[str, Any],
    status: int,
    field: str | None,
) -> None:
    refused = await operator.post(f"{api}/bulk-jobs", json=sent)
    assert refused.status_code == status, refused.text
    if field is not None:
        assert any(name.endswith(field) for name in refused.json()["fields"]), refused.text
    assert not await connection.fetchval("select count(*) from bulk_jobs where campaign_id is null")


async def test_the_bars_of_the_lists_ask_about_all_that_match(
    browser_for: BrowserFor, two_organizations: TwoOrganizations, people: list[UUID], database: Scratch,
    connection: asyncpg.Connection,
) -> None:  # fmt: skip
    assert people
    own = two_organizations.own
    home = f"/o/{own.tenant.organization_id}"
    browser, viewer = await browser_for(own.users["operator"]), await browser_for(own.users["viewer"])
    campaign = await create_campaign(connection, own.tenant)
    for _ in range(51):
        entry = await create_campaign_contact(connection, campaign)
        await create_call(connection, entry, status="ended", outcome="voicemail", created_at=NOW)

    calls = (await browser.get(f"{home}/calls?outcome=voicemail")).text
    assert "Select all 51 that match" in calls
    assert len(calls.encode()) < 60_000
    assert "data-selection" not in (await viewer.get(f"{home}/calls")).text
    assert re.search(r"Select all \d+ that match", (await browser.get(f"{home}/contacts")).text)
    assert "Select all more than 50 that match" in (await browser.get(f"{home}/contacts?q=1")).text

    query = "of=calls&all=1&action=mark_reviewed&outcome=voicemail"
    asked = (await browser.get(f"{home}/selection?{query}&back={home}/calls")).text
    assert "Mark 51 calls as reviewed?" in asked
    assert "It becomes the note on each call." in asked
    sent = await browser.post_form(f"{home}/bulk-jobs", hidden(asked, f"{home}/bulk-jobs") | {"reason": "listened"})
    assert sent.status_code == 303
    async with working(database) as worker:
        await worker.run_once()
    shown = (await browser.get(sent.headers["location"])).text
    assert "outcome voicemail" in shown
    assert "Go to calls" in shown
    assert "All calls that match are marked as reviewed." in (await browser.get(f"{home}/selection?{query}")).text

    query = "of=contacts&all=1&action=do_not_call&search=hopper"
    asked = (await browser.get(f"{home}/selection?{query}&back={home}/contacts")).text
    assert "Never call 2 contacts again?" in asked
    sent = await browser.post_form(f"{home}/bulk-jobs", hidden(asked, f"{home}/bulk-jobs") | {"reason": "asked"})
    job = sent.headers["location"]
    assert f'action="{home}/acts/{job.rpartition("/")[2]}/undo"' in (await browser.get(job)).text
    assert (await viewer.post_form(f"{job}/cancel")).status_code == 403
    assert (await browser.post_form(f"{job}/cancel")).status_code == 303

    await check_ticked_rows(browser, home, connection)


async def test_a_job_is_found_again_on_its_list_and_beside_imports_and_exports(
    browser_for: BrowserFor, operator: httpx.AsyncClient, api: str, two_organizations: TwoOrganizations,
    people: list[UUID], database: Scratch, connection: asyncpg.Connection,
) -> None:  # fmt: skip
    assert people
    own = two_organizations.own
    await connection.execute("delete from bulk_jobs where campaign_id is null")
    home = f"/o/{own.tenant.organization_id}"
    viewer = await browser_for(own.users["viewer"])
    assert "latest-job" not in (await viewer.get(f"{home}/contacts")).text
    await connection.execute(
        "insert into do_not_call (organization_id, phone, source, created_at) values ($1, '+16465550101', 'call', $2)",
        own.tenant.organization_id,
        NOW,
    )
    job = await request(operator, api, "do_not_call", phone="+1646")
    marks = await request(operator, api, "mark_reviewed", outcome="busy")
    url = f"{home}/bulk-jobs/{job['id']}"
    waiting = (await viewer.get(f"{home}/contacts")).text
    assert "Waiting to start: 3 numbers to be put on the do-not-call list." in waiting
    assert 'id="latest-job" data-live data-live-every="5"' in waiting
    assert f'href="{url}">View job</a>' in waiting
    assert "2 calls to be marked as reviewed." in (await viewer.get(f"{home}/calls")).text
    assert '<noscript><meta http-equiv="refresh"' in (await viewer.get(url)).text
    assert "Check again</a></p></noscript>" in (await viewer.get(f"{home}/jobs")).text

    async with working(database) as worker:
        await worker.run_once()
    done = (await viewer.get(f"{home}/contacts")).text
    assert "2 numbers put on the do-not-call list, 1 left out." in done
    assert "data-live-every" not in done
    listed = (await viewer.get(f"{home}/jobs")).text
    assert f'<a href="{url}">Never call: add the numbers to the do-not-call list</a>' in listed
    assert f'<a href="{home}/bulk-jobs/{marks["id"]}">Mark calls as reviewed</a>' in listed
    shown = (await viewer.get(url)).text
    assert '<meta http-equiv="refresh"' not in shown
    assert f'href="{home}/jobs#changes"' in shown
    file = await viewer.get(f"{url}/left-out.csv")
    lines = file.text.removeprefix("\ufeff").splitlines()
    assert lines == [
        "id,phone,name,reason",
        f"{people[1]},+16465550101,Grace_Hopper,the number was on the do-not-call list already",
    ]


async def test_a_failed_job_is_started_again_with_its_filters(
    browser_for: BrowserFor,
    operator: httpx.AsyncClient,
    api: str,
    two_organizations: TwoOrganizations,
    people: list[UUID],
    connection: asyncpg.Connection,
) -> None:
    assert people
    own = two_organizations.own
    home = f"/o/{own.tenant.organization_id}"
    viewer, browser = await browser_for(own.users["viewer"]), await browser_for(own.users["operator"])
    job = await request(operator, api, "do_not_call", phone="+1646")
    marks = await request(operator, api, "mark_reviewed", outcome="busy")
    # A job keeps no terms of a search, so it starts again from the list. Others ask about the same filters.
    for each, again in ((job, None), (marks, "of=calls&all=1&action=mark_reviewed&outcome=busy")):
        await connection.execute("delete from bulk_jobs where id = $1", UUID(each["id"]))
        await connection.execute(
            "insert into bulk_jobs (id, organization_id, action, reason, filters, status, selected, other_status, done,"
            " requested_by, created_at, updated_at, finished_at, error)"
            " values ($1, $2, $3, 'asked', $4, 'failed', 3, 0, 1, 'Ada', $5, $5, $5, 'The job failed')",
            UUID(each["id"]), own.tenant.organization_id, each["action"], json.dumps(each["filters"]), NOW,
        )  # fmt: skip
        page = (await browser.get(f"{home}/bulk-jobs/{each['id']}")).text
        links = re.findall(r'href="([^"]*)">Start again', page)
        assert links == ([] if again is None else [escape(f"{home}/selection?{again}&back={quote_plus(home)}%2Fcalls")])
    assert "A job has failed: 1 call marked as reviewed." in (await viewer.get(f"{home}/calls")).text
    asked = (await browser.get(unescape(links[0]))).text
    assert "Mark 2 calls as reviewed?" in asked
    assert "latest-job" not in (await viewer.get(f"{home}/campaigns/{own.fresh.id}/calls")).text
    await connection.execute("update bulk_jobs set created_at = $1", NOW - timedelta(hours=2))
    assert "latest-job" not in (await viewer.get(f"{home}/calls")).text


async def check_ticked_rows(browser: Browser, home: str, connection: asyncpg.Connection) -> None:
    """Check what the bars do with ticked rows, and that both export."""
    ids = [row["id"] for row in await connection.fetch("select id from calls where outcome = 'busy'")]
    chosen = "&".join(f"chosen={id}" for id in ids)
    asked = (await browser.get(f"{home}/selection?of=calls&action=mark_reviewed&{chosen}")).text
    assert "Mark 2 calls as reviewed?" in asked
    sent = await browser.post_form(f"{home}/selection", {"of": "calls", "chosen": [str(id) for id in ids]})
    said = (await browser.get(sent.headers["location"])).text
    assert "2 calls marked as reviewed." in said
    [undo] = re.findall(r'<form method="post" action="([^"]+/undo)"', said)
    undone = await browser.post_form(undo, {"back": f"{home}/calls"})
    after = (await browser.get(undone.headers["location"])).text
    assert "2 calls are no longer marked as reviewed." in after
    for of, count, filters in (
        ("calls", "51 calls", "all=1&outcome=voicemail"),
        ("calls", "2 calls", chosen),
        ("contacts", "2 contacts", "all=1&search=hopper"),
    ):
        asked = (await browser.get(f"{home}/selection?of={of}&action=export&{filters}")).text
        assert f"Export {count}?" in asked
        assert (await browser.post_form(f"{home}/exports", hidden(asked, f"{home}/exports"))).status_code == 303


def hidden(page: str, action: str) -> dict[str, Any]:
    """Return the hidden fields of the form with an action."""
    [form] = re.findall(rf'<form[^>]*action="{action}"[^>]*>(.*?)</form>', page, re.DOTALL)
    found: dict[str, Any] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form):
        if name != "csrf_token":
            found[name] = [*found[name], unescape(value)] if name in found else [unescape(value)]
    return found
