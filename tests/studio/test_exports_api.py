"""Exports: created, written in the background, downloaded, and expired after a week."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from outdial.clock import VirtualClock
from outdial.jobs.export_job import KEPT_FOR
from outdial.jobs.worker import JobWorker
from tests.support.factories import NOW, create_call, create_campaign, create_campaign_contact, create_contact
from tests.support.jobs import working
from tests.support.postgres import Scratch
from tests.support.studio import BrowserFor, ClientFor, StudioServer
from tests.support.two_organizations import TwoOrganizations


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> httpx.AsyncClient:
    return await client_for(two_organizations.own.users["operator"])


@pytest.fixture
async def worker(database: Scratch) -> AsyncIterator[JobWorker]:
    async with working(database) as found:
        yield found


def exports_of(world: TwoOrganizations) -> str:
    return f"/api/v1/organizations/{world.own.tenant.organization_id}/exports"


async def exported(
    client: httpx.AsyncClient, world: TwoOrganizations, worker: JobWorker, **new: Any
) -> list[dict[str, str]]:
    made = await client.post(exports_of(world), json=new)
    assert (made.status_code, made.json()["status"]) == (201, "queued"), made.text
    await worker.run_once()
    url = f"{exports_of(world)}/{made.json()['id']}"
    done = (await client.get(url)).json()
    assert done["status"] == "completed", done
    file = await client.get(f"{url}/file")
    assert file.headers["content-type"].startswith("text/csv")
    assert 'filename="outdial-' in file.headers["content-disposition"]
    assert len(file.content) == done["size"]
    rows = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"))))
    assert len(rows) == done["rows"]
    return rows


async def test_contacts_are_exported_with_formulas_escaped(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    organization_id = two_organizations.own.tenant.organization_id
    await create_contact(
        connection,
        organization_id,
        phone="+12129990000",
        name='=HYPERLINK("http://x","y")',
        external_id='Ein, "zwei"\ndrei',
        notes=" @SUM(A1)",
    )

    rows = await exported(operator, two_organizations, worker, kind="contacts")

    assert len(rows) == await connection.fetchval(
        "select count(*) from contacts where organization_id = $1", organization_id
    )
    row = next(row for row in rows if row["phone"] == "+12129990000")
    assert row["name"] == '\'=HYPERLINK("http://x","y")'
    assert (row["external_id"], row["notes"]) == ('Ein, "zwei"\ndrei', "' @SUM(A1)")


async def test_contacts_of_one_campaign_are_exported(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker
) -> None:
    spare = two_organizations.own.spare_entry
    filters = {"campaign_id": str(spare.campaign.id)}

    assert len(await exported(operator, two_organizations, worker, kind="contacts", filters=filters)) == 2
    fresh = {"campaign_id": str(two_organizations.own.fresh.id)}
    assert await exported(operator, two_organizations, worker, kind="contacts", filters=fresh) == []


async def test_calls_are_exported_and_filtered_by_time_and_outcome(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker
) -> None:
    rows = await exported(operator, two_organizations, worker, kind="calls")
    assert {row["status"] for row in rows} == {"placing", "ended"}
    since = {"since": (NOW + timedelta(days=1)).isoformat()}
    assert await exported(operator, two_organizations, worker, kind="calls", filters=since) == []
    outcome = {"outcome": "voicemail"}
    assert await exported(operator, two_organizations, worker, kind="calls", filters=outcome) == []


async def test_the_do_not_call_list_is_exported(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker
) -> None:
    rows = await exported(operator, two_organizations, worker, kind="do_not_call")

    assert [row["source"] for row in rows] == ["call"]


async def test_a_large_export_is_stored_in_chunks_and_downloaded_as_one_file(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    for _ in range(300):
        await create_contact(connection, two_organizations.own.tenant.organization_id, notes="n" * 3_000)

    rows = await exported(operator, two_organizations, worker, kind="contacts")

    assert len(rows) == 302
    assert await connection.fetchval("select count(*) from export_chunks") > 3


async def test_unsupported_filters_and_foreign_campaigns_are_rejected(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient
) -> None:
    url = exports_of(two_organizations)
    theirs = {"campaign_id": str(two_organizations.other.fresh.id)}

    unknown = await operator.post(url, json={"kind": "contacts", "filters": {"outcome": "busy"}})
    assert (unknown.status_code, unknown.json()["fields"]) == (
        400,
        {"filters.outcome": "name the campaign too, in filters.campaign_id"},
    )
    unknown = await operator.post(url, json={"kind": "contacts", "filters": {"review": "pending"}})
    assert unknown.status_code == 400, unknown.text
    assert (await operator.post(url, json={"kind": "everything"})).status_code == 400
    assert (await operator.post(url, json={"kind": "calls", "filters": theirs})).status_code == 404


async def test_results_of_a_campaign_are_exported_with_the_filters_of_its_list(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker
) -> None:
    spare = two_organizations.own.spare_entry
    campaign = str(spare.campaign.id)
    listed = await operator.get(exports_of(two_organizations).replace("exports", f"campaigns/{campaign}/contacts"))
    phones = [contact["phone"] for contact in listed.json()["items"]]

    rows = await exported(operator, two_organizations, worker, kind="results", filters={"campaign_id": campaign})
    assert [row["phone"] for row in rows] == phones

    digits = {"campaign_id": campaign, "phone": f"{phones[0][:5]} ({phones[0][5:]})", "search": "  "}
    rows = await exported(operator, two_organizations, worker, kind="results", filters=digits)
    assert [row["phone"] for row in rows] == phones[:1]


async def test_a_file_has_the_type_and_the_name_of_its_format(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker
) -> None:
    types = {"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "jsonl": "application/jsonl"}
    for name, media_type in types.items():
        made = (await operator.post(exports_of(two_organizations), json={"kind": "calls", "format": name})).json()
        await worker.run_once()
        file = await operator.get(f"{exports_of(two_organizations)}/{made['id']}/file")
        assert file.headers["content-type"] == media_type
        assert file.headers["content-disposition"].endswith(f'.{name}"')
        assert len(file.content) > 0


@pytest.mark.parametrize(
    ("new", "field"),
    [
        ({"kind": "results"}, "filters.campaign_id"),
        ({"kind": "results", "filters": {"since": NOW.isoformat()}}, "filters.since"),
        ({"kind": "calls", "include": ["transcript"]}, "include"),
        ({"kind": "calls", "filters": {"status": "pending"}}, "filters.status"),
        ({"kind": "calls", "filters": {"name": "Ada"}}, "filters.name"),
        ({"kind": "calls", "filters": {"phone": "abc"}}, "phone"),
        ({"kind": "contacts", "filters": {"status": "pending"}}, "filters.status"),
        ({"kind": "contacts", "filters": {"campaign_id": "FRESH", "status": "ended"}}, "filters.status"),
        ({"kind": "contacts", "filters": {"search": "a", "name": "A"}}, "name"),
        ({"kind": "contacts", "filters": {"is_reviewed": True}}, "filters.is_reviewed"),
        ({"kind": "results", "include": ["voice"]}, "include.0"),
        ({"kind": "calls", "format": "ods"}, "format"),
        ({"kind": "results", "filters": {"campaign_id": "FRESH", "phone": "abc"}}, "phone"),
        ({"kind": "results", "filters": {"campaign_id": "FRESH", "phone": "1", "name": "A"}}, "name"),
    ],
)
async def test_what_no_export_can_do_is_refused_before_anything_is_stored(
    two_organizations: TwoOrganizations,
    operator: httpx.AsyncClient,
    connection: asyncpg.Connection,
    new: dict[str, Any],
    field: str,
) -> None:
    before = await connection.fetchval("select count(*) from exports where status = 'queued'")
    fresh = str(two_organizations.own.fresh.id)
    filters = {name: fresh if value == "FRESH" else value for name, value in new.get("filters", {}).items()}
    refused = await operator.post(exports_of(two_organizations), json=new | ({"filters": filters} if filters else {}))

    assert refused.status_code == 400
    assert field in refused.json()["fields"], refused.text
    assert await connection.fetchval("select count(*) from exports where status = 'queued'") == before


async def test_a_queued_export_has_no_file_and_can_be_cancelled(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker
) -> None:
    made = (await operator.post(exports_of(two_organizations), json={"kind": "calls"})).json()
    url = f"{exports_of(two_organizations)}/{made['id']}"

    assert (await operator.get(f"{url}/file")).status_code == 409
    assert (await operator.post(f"{url}/cancel")).json()["status"] == "cancelled"
    await worker.run_once()
    assert (await operator.get(url)).json()["status"] == "cancelled"
    assert (await operator.post(f"{url}/cancel")).status_code == 200


async def test_a_file_expires_after_a_week(
    two_organizations: TwoOrganizations,
    operator: httpx.AsyncClient,
    client_for: ClientFor,
    studio_app: StudioServer,
    database: Scratch,
    connection: asyncpg.Connection,
) -> None:
    made = (await operator.post(exports_of(two_organizations), json={"kind": "calls"})).json()
    url = f"{exports_of(two_organizations)}/{made['id']}"
    clock = VirtualClock(NOW)
    async with working(database, clock) as worker:
        await worker.run_once()
        assert (await operator.get(f"{url}/file")).status_code == 200
        clock.advance(KEPT_FOR)
        studio_app.clock.advance(KEPT_FOR)
        later = await client_for(two_organizations.own.users["operator"])
        assert (await later.get(f"{url}/file")).status_code == 409, "before anybody has cleared it away"
        assert await worker.retention.run_once() > 0

    assert (await later.get(url)).json()["status"] == "expired"
    chunks = "select count(*) from export_chunks where export_id = $1"
    assert await connection.fetchval(chunks, UUID(made["id"])) == 0


async def test_a_viewer_downloads_but_creates_no_export_and_an_outsider_sees_none(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker, client_for: ClientFor
) -> None:
    made = (await operator.post(exports_of(two_organizations), json={"kind": "calls"})).json()
    await worker.run_once()
    url = f"{exports_of(two_organizations)}/{made['id']}"
    viewer = await client_for(two_organizations.own.users["viewer"])
    stranger = await client_for(two_organizations.other.users["owner"])
    theirs = url.replace(
        str(two_organizations.own.tenant.organization_id), str(two_organizations.other.tenant.organization_id)
    )

    assert (await viewer.get(f"{url}/file")).status_code == 200
    assert (await viewer.post(exports_of(two_organizations), json={"kind": "calls"})).status_code == 403
    assert (await viewer.post(f"{url}/cancel")).status_code == 403
    for path in (url, f"{url}/file", theirs, f"{theirs}/file"):
        assert (await stranger.get(path)).status_code == 404
    assert (await stranger.post(f"{theirs}/cancel")).status_code == 404


async def test_the_page_creates_an_export_and_links_its_file(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, worker: JobWorker
) -> None:
    home = f"/o/{two_organizations.own.tenant.organization_id}"
    browser = await browser_for(two_organizations.own.users["operator"])
    fields = {"kind": "calls", "since": "2026-03-01", "until": "2026-03-31", "outcome": ""}

    made = await browser.post_form(f"{home}/exports", fields, page=f"{home}/jobs")
    assert made.status_code == 303
    await worker.run_once()

    page = await browser.get(f"{home}/jobs")
    assert "Download" in page.text
    link = page.text.split('/file"')[0].rpartition('href="')[2] + "/file"
    file = await browser.get(link)
    assert (file.status_code, len(file.text.splitlines())) == (200, 3)
    assert (await browser.post_form(f"{home}/exports", fields | {"since": "soon"})).status_code == 400
    assert (await browser.post_form(f"{home}/exports", {"kind": "everything"})).status_code == 400


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "tomorrow"])
async def test_an_out_of_range_date_is_rejected_by_page_and_api(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, client_for: ClientFor, day: str
) -> None:
    own = two_organizations.own
    browser, client = await browser_for(own.users["operator"]), await client_for(own.users["operator"])

    page = await browser.post_form(f"/o/{own.tenant.organization_id}/exports", {"kind": "calls", "until": day})
    api = await client.post(
        f"/api/v1/organizations/{own.tenant.organization_id}/exports",
        json={"kind": "calls", "filters": {"until": f"{day}T00:00:00Z"}},
    )

    assert (page.status_code, api.status_code) == (400, 400)


async def test_an_export_of_calls_has_what_the_list_shows_with_the_same_filters(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    ids = []
    for number, (name, outcome) in enumerate((("Ada Hopper", "busy"), ("Grace_Hopper", "busy"), ("Alan", "answered"))):
        contact = await create_contact(
            connection, own.tenant.organization_id, name=name, phone=f"+1646555010{number}", email=f"{number}@x.example"
        )
        entry = await create_campaign_contact(connection, campaign, contact)
        ids.append(str(await create_call(connection, entry, status="ended", outcome=outcome, created_at=NOW)))
    listed = exports_of(two_organizations).replace("exports", "calls")
    assert (await operator.put(f"{listed}/{ids[0]}/review", json={})).status_code == 200
    for filters in (
        {},
        {"status": "ended"},
        {"status": "placing"},
        {"outcome": "busy", "is_reviewed": "false"},
        {"is_reviewed": "true"},
        {"search": "hopper"},
        {"search": "e_h"},
        {"search": "646 555-01"},
        {"search": "1@x.example", "campaign_id": str(campaign.id)},
        {"phone": "+1 (646) 555-010"},
        {"search": "nobody"},
    ):
        shown = (await operator.get(listed, params=filters)).json()["items"]
        rows = await exported(operator, two_organizations, worker, kind="calls", filters=filters)
        assert [row["id"] for row in rows] == [call["id"] for call in shown], filters
    rows = await exported(operator, two_organizations, worker, kind="calls", filters={"ids": ids[1:]})
    assert {row["id"] for row in rows} == set(ids[1:])
    kept = await connection.fetch("select filters ->> 'search' as term, id from exports where kind = 'calls'")
    details = await connection.fetch("select details::text from audit_log where action = 'create_export'")
    assert "hopper" in {row["term"] for row in kept}
    assert "hopper" not in str(details)


async def test_an_export_of_contacts_has_what_the_list_shows_with_the_same_search(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    ids = []
    for number, (name, status) in enumerate((("Ada Hopper", "pending"), ("Grace_Hopper", "failed"), ("ada", "failed"))):
        contact = await create_contact(
            connection, own.tenant.organization_id, name=name, phone=f"+1646555010{number}", external_id=f"crm-{number}"
        )
        ids.append(str(contact.id))
        await create_campaign_contact(connection, campaign, contact, status=status, last_outcome="busy")
    erased = await create_contact(connection, own.tenant.organization_id, phone="+16465550109", name="Ada Hopper")
    await connection.execute(
        "update contacts set erased_at = $2, phone = 'erased:' || id::text, name = null where id = $1", erased.id, NOW
    )
    listed = exports_of(two_organizations).replace("exports", "contacts")
    for filters in (
        {},
        {"search": "hopper"},
        {"search": "e_h"},
        {"search": "(646) 555-0101"},
        {"name": "ADA"},
        {"phone": "+1 646-555 01"},
        {"external_id": "crm-2"},
        {"search": "nobody"},
    ):
        shown = (await operator.get(listed, params=filters)).json()["items"]
        rows = await exported(operator, two_organizations, worker, kind="contacts", filters=filters)
        assert {row["phone"] for row in rows} == {contact["phone"] for contact in shown}, filters
    rows = await exported(operator, two_organizations, worker, kind="contacts", filters={"ids": ids[:2]})
    assert [row["name"] for row in rows] == ["Ada Hopper", "Grace_Hopper"]
    of_campaign = {"campaign_id": str(campaign.id), "status": "failed", "outcome": "busy"}
    rows = await exported(operator, two_organizations, worker, kind="contacts", filters=of_campaign)
    assert [row["name"] for row in rows] == ["Grace_Hopper", "ada"]


async def test_the_pages_export_what_they_show(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    home = f"/o/{own.tenant.organization_id}"
    contact = await create_contact(connection, own.tenant.organization_id, name="Ada Hopper")
    entry = await create_campaign_contact(connection, await create_campaign(connection, own.tenant), contact)
    await create_call(connection, entry, status="ended", outcome="busy", created_at=NOW)
    browser = await browser_for(own.users["operator"])
    for address in (f"{home}/contacts?q=hopper", f"{home}/calls?q=hopper&outcome=busy&reviewed=no&when=today"):
        page = (await browser.get(address)).text
        [form] = re.findall(rf'<form[^>]*action="{home}/exports"[^>]*>.*?</form>', page, re.DOTALL)
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
        assert (await browser.post_form(f"{home}/exports", fields)).status_code == 303
    kept = await connection.fetch("select kind, filters::text from exports where filters <> '{}'")
    assert len(kept) == 2
    found = {row["kind"]: json.loads(row["filters"]) for row in kept}
    del found["calls"]["since"], found["calls"]["until"]
    assert found == {
        "contacts": {"search": "hopper", "time_zone": "UTC"},
        "calls": {"search": "hopper", "outcome": "busy", "is_reviewed": False, "time_zone": "UTC"},
    }
