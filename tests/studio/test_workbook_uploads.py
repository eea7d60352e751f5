"""A workbook that is uploaded is previewed and imported as its CSV; one that cannot be read leaves nothing behind."""

import io
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import NoReturn

import asyncpg
import httpx
import pytest
import xlsxwriter

from outdial.clock import VirtualClock
from outdial.jobs.worker import JobWorker
from outdial.studio.imports import service
from tests.support.jobs import working
from tests.support.postgres import Scratch
from tests.support.studio import ClientFor
from tests.support.two_organizations import TwoOrganizations

PHONE = "+12125550177"


class ProcessDied(Exception):
    """Stands for the end of the process that receives the upload."""


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> httpx.AsyncClient:
    return await client_for(two_organizations.own.users["operator"])


@pytest.fixture
async def worker(database: Scratch) -> AsyncIterator[JobWorker]:
    async with working(database) as found:
        yield found


def workbook(*sheets: str) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        for name in sheets or ("Contacts",):
            sheet, phone = book.add_worksheet(name), "+12125550178" if name == "June" else PHONE
            for number, row in enumerate([["phone", "plan"], [phone, "gold"], ["no number", "x"]]):
                sheet.write_row(number, 0, row)
    return file.getvalue()


async def test_a_workbook_in_parts_is_previewed_and_imported(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    url = f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/imports"
    campaign = str(two_organizations.own.fresh.id)
    made = (await operator.post(url, json={"campaign_id": campaign, "file_name": "people.xlsx"})).json()
    one, content = f"{url}/{made['id']}", workbook()
    half = len(content) // 2
    for first, last in ((0, half), (half, len(content))):
        headers = {"content-range": f"bytes {first}-{last - 1}/{len(content)}"}
        sent = await operator.put(f"{one}/file", content=content[first:last], headers=headers)
        assert sent.status_code == 200, sent.text
    stored = sent.json()
    assert (stored["status"], stored["size"]) == ("ready", stored["bytes_stored"])

    preview = (await operator.post(f"{one}/preview")).json()
    assert (preview["good_rows"], preview["variables"], preview["refused"][0]["line"]) == (1, ["plan"], 3)
    await operator.post(f"{one}/start")
    await worker.run_once()
    done = (await operator.get(one)).json()
    assert (done["status"], done["added"], done["refused"]) == ("completed", 1, 1)
    variables = await connection.fetchval(
        "select variables from campaign_contacts where campaign_id = $1", made["campaign_id"]
    )
    assert variables == '{"plan": "gold"}'


async def test_a_workbook_that_cannot_be_read_is_refused_and_another_file_may_follow(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    url = f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/imports"
    campaign = str(two_organizations.own.fresh.id)
    made = (await operator.post(url, json={"campaign_id": campaign, "file_name": "people.xlsx"})).json()
    refused = await operator.put(f"{url}/{made['id']}/file", content=workbook()[:-50])

    assert refused.status_code == 400
    assert "damaged" in refused.json()["fields"]["file"]
    assert await connection.fetchval("select count(*) from import_chunks where import_id = $1", made["id"]) == 0
    again = await operator.put(f"{url}/{made['id']}/file", content=b"phone\n+12125550177\n")
    assert (again.status_code, again.json()["status"]) == (200, "ready")


async def test_another_sheet_is_chosen_on_the_preview_and_imported(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    organization_id, campaign = two_organizations.own.tenant.organization_id, str(two_organizations.own.fresh.id)
    url = f"/api/v1/organizations/{organization_id}/imports"
    made = (await operator.post(url, json={"campaign_id": campaign, "file_name": "people.xlsx"})).json()
    one = f"{url}/{made['id']}"
    stored = (await operator.put(f"{one}/file", content=workbook("May", "June", "July"))).json()
    assert stored["sheets"] == [{"name": name, "rows": 2} for name in ("May", "June", "July")]

    preview = (await operator.post(f"{one}/preview")).json()
    assert (preview["sheet"], preview["rows"][0]["phone"]) == ("May", PHONE)
    assert preview["notices"] == ["The sheet 'May' is read; 'June' (2 rows) and 'July' (2 rows) are not"]
    page = (
        await operator.get(f"/o/{organization_id}/imports/{made['id']}", params={"sheet": "June", "region": ""})
    ).text
    assert '<option value="June" selected>June (rows: 2)</option>' in page
    assert "+1 (212) 555-0178" in page
    for path in ("preview", "start"):
        refused = await operator.post(f"{one}/{path}", json={"sheet": "August"})
        assert (refused.status_code, "has no sheet 'August'" in refused.json()["fields"]["sheet"]) == (400, True)

    await operator.post(f"{one}/start", json={"sheet": "June"})
    numbers = "select number from import_chunks where import_id = $1"
    assert [row["number"] for row in await connection.fetch(numbers, made["id"])] == [0], "workers read from the start"
    await worker.run_once()
    done = (await operator.get(one)).json()
    assert (done["status"], done["sheet"], done["added"], done["refused"]) == ("completed", "June", 1, 1)
    done_page = (await operator.get(f"/o/{organization_id}/imports/{made['id']}")).text
    assert "Not imported: May (rows: 2), July (rows: 2)" in done_page


@pytest.mark.parametrize("kind", ["workbook", "csv", "damaged"])
async def test_a_worker_completes_an_upload_whose_process_died_before_it_was_ready(
    two_organizations: TwoOrganizations,
    operator: httpx.AsyncClient,
    database: Scratch,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    content = f"phone\n{PHONE}\n".encode() if kind == "csv" else workbook("May", "June")
    content = content[:-50] if kind == "damaged" else content
    url = f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/imports"
    campaign = str(two_organizations.own.fresh.id)
    made = (await operator.post(url, json={"campaign_id": campaign, "file_name": "people"})).json()

    async def killed(*_: object, **__: object) -> NoReturn:
        raise ProcessDied

    with monkeypatch.context() as patch, suppress(ProcessDied):
        patch.setattr(service, "complete_upload", killed)
        await operator.put(f"{url}/{made['id']}/file", content=content)
    updated = await connection.fetchval("select updated_at from imports where id = $1", made["id"])
    for minutes in (5, 10):
        state = (await operator.get(f"{url}/{made['id']}")).json()
        assert (state["status"], state["bytes_stored"]) == ("uploading", len(content)), "it may still be converted"
        async with working(database, VirtualClock(updated + timedelta(minutes=minutes))) as worker:
            await worker.sweeper.run_once()
            await worker.run_once()
    state = (await operator.get(f"{url}/{made['id']}")).json()
    if kind == "damaged":
        assert (state["status"], state["bytes_stored"]) == ("uploading", 0)
        assert "damaged" in state["error"]
        state = (await operator.put(f"{url}/{made['id']}/file", content=b"phone\n1\n")).json()
        assert (state["status"], state["error"]) == ("ready", None)
        return
    assert state["status"] == "ready"
    preview = (await operator.post(f"{url}/{made['id']}/preview")).json()
    assert [row["phone"] for row in preview["rows"]] == [PHONE]
