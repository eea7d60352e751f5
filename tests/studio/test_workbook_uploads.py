"""A workbook that is uploaded is previewed and imported as its CSV; one that cannot be read leaves nothing behind."""

import io
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
import xlsxwriter

from outdial.jobs.worker import JobWorker
from tests.support.jobs import working
from tests.support.postgres import Scratch
from tests.support.studio import ClientFor
from tests.support.two_organizations import TwoOrganizations


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> httpx.AsyncClient:
    return await client_for(two_organizations.own.users["operator"])


@pytest.fixture
async def worker(database: Scratch) -> AsyncIterator[JobWorker]:
    async with working(database) as found:
        yield found


def workbook() -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate([["phone", "plan"], ["+12125550177", "gold"], ["no number", "x"]]):
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
