"""Imports over the API: upload whole or in parts, preview, and background import."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from outdial.jobs.worker import JobWorker
from outdial.studio.imports import service as resource
from tests.support.factories import create_campaign
from tests.support.jobs import working
from tests.support.postgres import Scratch
from tests.support.studio import ClientFor
from tests.support.two_organizations import TwoOrganizations, job_of

FILE = b"Handy,name,plan\n+12122000001,Ada,gold\nnonsense,Bob,\n+12122000002,Cyd,\n+12122000001,Twin,\n"
MAPPING = {"phone": "Handy"}


async def pieces_of(connection: asyncpg.Connection, url: str) -> list[bytes]:
    select = "select content from import_chunks where import_id = $1 order by number"
    return [row["content"] for row in await connection.fetch(select, UUID(url.rpartition("/")[2]))]


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> httpx.AsyncClient:
    return await client_for(two_organizations.own.users["operator"])


@pytest.fixture
async def worker(database: Scratch) -> AsyncIterator[JobWorker]:
    async with working(database) as found:
        yield found


def imports_of(world: TwoOrganizations) -> str:
    return f"/api/v1/organizations/{world.own.tenant.organization_id}/imports"


async def make(client: httpx.AsyncClient, world: TwoOrganizations, **fields: Any) -> str:
    new = {"campaign_id": str(world.own.fresh.id), "file_name": "people.csv", **fields}
    response = await client.post(imports_of(world), json=new)
    assert response.status_code == 201, response.text
    return f"{imports_of(world)}/{response.json()['id']}"


async def test_a_file_is_uploaded_previewed_and_imported_and_its_refused_rows_downloaded(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    contacts = await connection.fetchval("select count(*) from contacts")
    url = await make(operator, two_organizations, mapping=MAPPING)
    sent = await operator.put(f"{url}/file", content=FILE)
    assert (sent.status_code, sent.json()["status"], sent.json()["size"]) == (200, "ready", len(FILE))

    preview = (await operator.post(f"{url}/preview")).json()
    assert preview["problem"] is None
    assert preview["mapping"] == {"phone": "Handy", "name": "name"}
    assert preview["variables"] == ["plan"]
    assert [(row["line"], row["phone"]) for row in preview["rows"]] == [(2, "+12122000001"), (4, "+12122000002")]
    assert [(row["line"], row["kind"]) for row in preview["refused"]] == [(3, "bad_phone"), (5, "duplicate")]
    assert preview["zones"] == [{"zone_key": "America/New_York", "rows": 2}]
    assert await connection.fetchval("select count(*) from contacts") == contacts, "a preview stores nothing"

    started = await operator.post(f"{url}/start")
    assert started.json()["status"] == "queued"
    assert (await operator.post(f"{url}/start")).status_code == 409
    await worker.run_once()

    done = (await operator.get(url)).json()
    assert {name: done[name] for name in ("status", "rows", "added", "already_there", "refused")} == {
        "status": "completed",
        "rows": 4,
        "added": 2,
        "already_there": 0,
        "refused": 2,
    }
    refused = (await operator.get(f"{url}/refusals")).json()["items"]
    assert [row["line"] for row in refused] == [3, 5]
    file = await operator.get(f"{url}/refusals.csv")
    assert file.headers["content-type"].startswith("text/csv")
    assert file.content.startswith(b"\xef\xbb\xbfrefused_line,refused_kind,refused_reason,Handy,name,plan\r\n")
    assert file.text.splitlines()[1:] == [
        "3,bad_phone,holds letters ('nonsense'); leave only the number in the cell,nonsense,Bob,",
        "5,duplicate,has the same number as line 2,'+12122000001,Twin,",
    ]


async def test_a_file_is_uploaded_in_a_form_too(
    two_organizations: TwoOrganizations,
    operator: httpx.AsyncClient,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = await make(operator, two_organizations, mapping=MAPPING)
    nameless = await operator.put(f"{url}/file", files={"other": ("people.csv", FILE)})
    assert (nameless.status_code, nameless.json()["fields"]) == (
        400,
        {"file": "send the file in a part with the name file"},
    )

    for first, last in ((0, 30), (30, len(FILE))):
        headers = {"content-range": f"bytes {first}-{last - 1}/{len(FILE)}"}
        sent = await operator.put(f"{url}/file", files={"file": ("people.csv", FILE[first:last])}, headers=headers)

    assert (sent.status_code, sent.json()["status"], sent.json()["size"]) == (200, "ready", len(FILE))
    assert b"".join(await pieces_of(connection, url)) == FILE
    monkeypatch.setattr(resource, "MAX_FILE_BYTES", 10)
    large = await operator.put(f"{url}/file", files={"file": ("people.csv", b"x" * 100_000)})
    assert large.status_code == 413


async def test_an_import_is_undone_until_one_of_its_contacts_was_called(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    urls = []
    for number in (1, 2):
        url = await make(operator, two_organizations)
        await operator.put(f"{url}/file", content=f"phone\n+1212200000{number}\n".encode())
        early = await operator.post(f"{url}/undo")
        assert (early.status_code, early.json()["message"]) == (409, "The import is ready: cancel it first")
        await operator.post(f"{url}/start")
        urls.append(url)
    await worker.run_once()
    await connection.execute(
        "update campaign_contacts set status = 'calling', call_count = 1 where phone = '+12122000002'"
    )

    undone = await operator.post(f"{urls[0]}/undo")

    assert (undone.status_code, undone.json()["removed"]) == (200, 1)
    assert undone.json()["undone_at"] is not None
    assert (await operator.post(f"{urls[0]}/undo")).json() == undone.json(), "undoing it again is harmless"
    assert await connection.fetchval("select count(*) from contacts where phone = '+12122000001'") == 0
    called = await operator.post(f"{urls[1]}/undo")
    assert called.status_code == 409
    assert called.json()["message"] == (
        "1 contact of this import was called already, so the import cannot be undone; pause or cancel the campaign "
        "instead"
    )
    assert await connection.fetchval("select count(*) from campaign_contacts where phone = '+12122000002'") == 1


async def test_an_upload_in_parts_resumes_where_it_stopped(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    url = await make(operator, two_organizations)
    size = len(FILE)

    async def part(first: int, last: int) -> httpx.Response:
        headers = {"content-range": f"bytes {first}-{last - 1}/{size}"}
        return await operator.put(f"{url}/file", content=FILE[first:last], headers=headers)

    first = await part(0, 30)
    assert (first.json()["status"], first.json()["bytes_stored"]) == ("uploading", 30)
    again = await part(50, size)
    assert (again.status_code, again.json()["bytes_stored"]) == (409, 30)
    second = await part(30, size)
    assert (second.json()["status"], second.json()["bytes_stored"]) == ("ready", size)
    pieces = await pieces_of(connection, url)
    assert b"".join(pieces) == FILE


async def test_a_second_upload_replaces_the_first(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    url = await make(operator, two_organizations)
    for content in (b"phone\n+12122000009\n", FILE):
        await operator.put(f"{url}/file", content=content)

    assert await pieces_of(connection, url) == [FILE]


@pytest.mark.parametrize("header", ["30", "bytes 5-2/10", "bytes 0-10/5", "lines 0-1/2"])
async def test_an_invalid_content_range_is_rejected(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, header: str
) -> None:
    url = await make(operator, two_organizations)

    response = await operator.put(f"{url}/file", content=FILE, headers={"content-range": header})

    assert response.status_code == 400


async def test_empty_and_too_large_files_are_rejected(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await make(operator, two_organizations)

    assert (await operator.put(f"{url}/file", content=b"")).status_code == 400
    assert (await operator.post(f"{url}/start")).status_code == 409
    monkeypatch.setattr(resource, "MAX_FILE_BYTES", 10)
    assert (await operator.put(f"{url}/file", content=FILE)).status_code == 413


async def test_a_preview_explains_problems_and_accepts_another_mapping(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient
) -> None:
    url = await make(operator, two_organizations)
    await operator.put(f"{url}/file", content=b"Number 1,name\n212 200 0001,Ada\n")

    unknown = (await operator.post(f"{url}/preview")).json()
    assert unknown["problem"].startswith("No phone column")
    assert (unknown["header"], unknown["rows"]) == (["Number 1", "name"], [])
    mapped = (await operator.post(f"{url}/preview", json={"mapping": {"phone": "Number 1"}})).json()
    assert [row["reason"] for row in mapped["refused"]] == ["has no country code, and no default region is set"]
    good = await operator.post(f"{url}/preview", json={"mapping": {"phone": "Number 1"}, "default_region": "us"})
    assert [row["phone"] for row in good.json()["rows"]] == ["+12122000001"]


async def test_options_keep_the_country_of_the_import_or_take_it_back(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient
) -> None:
    url = await make(operator, two_organizations, default_region="US")
    await operator.put(f"{url}/file", content=b"phone\n2122000001\n")

    kept = [await operator.post(f"{url}/preview", json=options) for options in ({}, {"default_region": None})]
    assert [response.json()["good_rows"] for response in kept] == [1, 1]
    assert (await operator.post(f"{url}/preview", json={"default_region": ""})).json()["good_rows"] == 0
    assert (await operator.post(f"{url}/start", json={"default_region": ""})).json()["default_region"] is None


async def test_a_preview_reads_only_the_start_of_a_large_file(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient
) -> None:
    url = await make(operator, two_organizations)
    rows = [f"+1212{2_000_000 + number},Contact {number}" for number in range(3_000)]
    await operator.put(f"{url}/file", content="\n".join(["phone,name", *rows]).encode())

    preview = (await operator.post(f"{url}/preview")).json()

    assert (preview["checked_rows"], preview["good_rows"], len(preview["rows"])) == (1_000, 1_000, 20)
    assert not preview["is_whole_file"]


async def test_the_preview_reports_numbers_on_the_do_not_call_list(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    phone = await connection.fetchval(
        "select phone from do_not_call where organization_id = $1", two_organizations.own.tenant.organization_id
    )
    url = await make(operator, two_organizations)
    await operator.put(f"{url}/file", content=f"phone\n{phone}\n".encode())

    preview = (await operator.post(f"{url}/preview")).json()

    assert (preview["good_rows"], preview["refused_by_kind"]) == (0, {"do_not_call": 1})


async def test_cancelling_a_queued_import_deletes_its_file(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    url = await make(operator, two_organizations, mapping=MAPPING)
    await operator.put(f"{url}/file", content=FILE)
    await operator.post(f"{url}/start")

    for _ in range(2):
        assert (await operator.post(f"{url}/cancel")).json()["status"] == "cancelled"
    await worker.run_once()

    assert (await operator.get(url)).json()["status"] == "cancelled"
    assert await pieces_of(connection, url) == []


async def test_one_idempotency_key_creates_one_import(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient
) -> None:
    new = {"campaign_id": str(two_organizations.own.fresh.id), "file_name": "people.csv"}
    headers = {"idempotency-key": "once"}

    made = [(await operator.post(imports_of(two_organizations), json=new, headers=headers)).json() for _ in range(2)]

    assert made[0] == made[1]
    listed = (await operator.get(imports_of(two_organizations))).json()["items"]
    assert [item["id"] for item in listed].count(made[0]["id"]) == 1
    assert len(listed) == 2


@pytest.mark.parametrize("status", ["completed", "cancelled"])
async def test_a_finished_campaign_accepts_no_import(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection, status: str
) -> None:
    over = await create_campaign(connection, two_organizations.own.tenant, status=status)

    response = await operator.post(
        imports_of(two_organizations), json={"campaign_id": str(over.id), "file_name": "people.csv"}
    )

    assert (response.status_code, response.json()["status"]) == (409, status)


async def test_a_viewer_reads_imports_and_changes_none(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, client_for: ClientFor
) -> None:
    url = await make(operator, two_organizations)
    viewer = await client_for(two_organizations.own.users["viewer"])

    assert (await viewer.get(url)).status_code == 200
    new = {"campaign_id": str(two_organizations.own.fresh.id), "file_name": "people.csv"}
    answers = [
        await viewer.post(imports_of(two_organizations), json=new),
        await viewer.put(f"{url}/file", content=FILE),
        await viewer.post(f"{url}/preview"),
        await viewer.post(f"{url}/start"),
        await viewer.post(f"{url}/cancel"),
    ]
    assert [answer.status_code for answer in answers] == [403] * 5


async def test_imports_and_campaigns_of_another_organization_are_not_found(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, client_for: ClientFor
) -> None:
    url = await make(operator, two_organizations)
    other = two_organizations.other
    stranger = await client_for(other.users["owner"])
    theirs = url.replace(str(two_organizations.own.tenant.organization_id), str(other.tenant.organization_id))

    for path in (url, theirs, f"{theirs}/refusals", f"{theirs}/refusals.csv"):
        assert (await stranger.get(path)).status_code == 404
    for path in (f"{theirs}/start", f"{theirs}/cancel", f"{theirs}/preview"):
        assert (await stranger.post(path)).status_code == 404
    assert (await stranger.put(f"{theirs}/file", content=FILE)).status_code == 404
    new = {"campaign_id": str(other.fresh.id), "file_name": "people.csv"}
    assert (await operator.post(imports_of(two_organizations), json=new)).status_code == 404


async def test_imports_are_paged_and_filtered_by_campaign(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient
) -> None:
    made = {(await make(operator, two_organizations)).rpartition("/")[2] for _ in range(3)}
    made.add(str(job_of(two_organizations.own)))

    first = (await operator.get(imports_of(two_organizations), params={"limit": 2})).json()
    second = (await operator.get(imports_of(two_organizations), params={"limit": 2, "cursor": first["next"]})).json()

    assert {item["id"] for item in first["items"] + second["items"]} == made
    assert second["next"] is None
    other = {"campaign_id": str(uuid4())}
    assert (await operator.get(imports_of(two_organizations), params=other)).json()["items"] == []


async def test_an_import_with_the_secret_key_belongs_to_the_service(
    two_organizations: TwoOrganizations, client_for: ClientFor, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    service = await client_for(None)
    url = await make(service, two_organizations, mapping=MAPPING)
    await service.put(f"{url}/file", content=FILE)
    await service.post(f"{url}/start")
    await worker.run_once()

    assert (await service.get(url)).json()["status"] == "completed"
    actor = await connection.fetchval("select actor from audit_log where action = 'import_contacts'")
    assert (actor, await connection.fetchval("select created_by from imports")) == ("service", None)
    assert UUID(url.rpartition("/")[2])
