"""Pages for imports, as a browser without JavaScript uses them."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from outdial.jobs.worker import JobWorker
from tests.support.jobs import working
from tests.support.postgres import Scratch
from tests.support.studio import Browser, BrowserFor
from tests.support.two_organizations import TwoOrganizations

FILE = b"Handy,name\n+12122000001,Ada <b>\nnonsense,Bob\n+12122000002,Cyd\n"


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, browser_for: BrowserFor) -> Browser:
    return await browser_for(two_organizations.own.users["operator"])


@pytest.fixture
async def worker(database: Scratch) -> AsyncIterator[JobWorker]:
    async with working(database) as found:
        yield found


def home_of(world: TwoOrganizations) -> str:
    return f"/o/{world.own.tenant.organization_id}"


async def upload(browser: Browser, world: TwoOrganizations, content: bytes = FILE) -> str:
    campaign_id = world.own.fresh.id
    response = await browser.post_form(
        f"{home_of(world)}/imports",
        {"campaign_id": str(campaign_id)},
        page=f"{home_of(world)}/campaigns/{campaign_id}/import",
        files={"file": ("people.csv", content, "text/csv")},
    )
    assert response.status_code == 303, response.text
    return str(response.headers["location"])


async def test_a_file_is_uploaded_mapped_and_imported(
    two_organizations: TwoOrganizations, operator: Browser, worker: JobWorker
) -> None:
    url = await upload(operator, two_organizations)
    unmapped = await operator.get(url)
    assert "No phone column" in unmapped.text
    mapped = f"{url}?map_phone=Handy&region="
    preview = await operator.get(mapped)
    assert "+12122000001" in preview.text
    assert "Ada &lt;b&gt;" in preview.text
    assert "leave only the number in the cell" in preview.text
    assert 'name="map_phone" value="Handy"' in preview.text

    started = await operator.post_form(f"{url}/start", {"map_phone": "Handy", "map_name": "name"}, page=mapped)
    assert (started.status_code, started.headers["location"]) == (303, url)
    assert "Waiting to start" in (await operator.get(url)).text
    await worker.run_once()

    report = await operator.get(url)
    assert "Download refused rows" in report.text
    refused = await operator.get(f"{url}/refusals.csv")
    assert (
        refused.text.splitlines()[1]
        == "3,bad_phone,holds letters ('nonsense'); leave only the number in the cell,nonsense,Bob"
    )
    jobs = await operator.get(f"{home_of(two_organizations)}/jobs")
    assert "people.csv" in jobs.text


async def test_a_recognized_column_is_left_out(
    two_organizations: TwoOrganizations, operator: Browser, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    url = await upload(operator, two_organizations, b"phone,region\n+12122000001,Midwest\n+12122000002,Texas\n")
    assert "&#39;Midwest&#39; is not a state or province" in (await operator.get(url)).text
    mapped = f"{url}?map_region=-&region="
    preview = (await operator.get(mapped)).text
    assert "+12122000001" in preview
    assert "is not a state" not in preview
    assert 'name="map_region" value="-"' in preview

    await operator.post_form(f"{url}/start", {"map_phone": "phone", "map_region": "-"}, page=mapped)
    await worker.run_once()
    rows = await connection.fetch("select region from contacts where phone like '+12122%'")
    assert [row["region"] for row in rows] == [None, None]


async def test_an_import_is_undone_from_its_page(
    two_organizations: TwoOrganizations, operator: Browser, worker: JobWorker
) -> None:
    url = await upload(operator, two_organizations, b"phone\n+12122000001\n+12122000002\n")
    await operator.post_form(f"{url}/start", {"map_phone": "phone"}, page=url)
    assert "Undo import" not in (await operator.get(url)).text
    await worker.run_once()
    assert "Undo import" in (await operator.get(url)).text

    undone = await operator.post_form(f"{url}/undo", page=url)

    assert (undone.status_code, undone.headers["location"]) == (303, url)
    shown = (await operator.get(url)).text
    assert "Import undone: 2 contacts removed." in shown
    assert "2 contacts removed from the campaign." in shown
    assert "Undo import" not in shown


async def test_an_import_with_a_called_contact_says_why_it_stays(
    two_organizations: TwoOrganizations, operator: Browser, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    url = await upload(operator, two_organizations, b"phone\n+12122000001\n+12122000002\n")
    await operator.post_form(f"{url}/start", {"map_phone": "phone"}, page=url)
    await worker.run_once()
    await connection.execute(
        """
        update campaign_contacts set call_count = 1
        where contact_id = (select id from contacts where phone = '+12122000001')
        """
    )

    refused = await operator.post_form(f"{url}/undo", page=url)

    assert (refused.status_code, refused.headers["location"]) == (303, url)
    shown = (await operator.get(url)).text
    assert "notice-warn" in shown
    assert "1 contact of this import" in shown


async def test_an_upload_is_discarded_from_its_preview(two_organizations: TwoOrganizations, operator: Browser) -> None:
    url = await upload(operator, two_organizations)

    cancelled = await operator.post_form(f"{url}/cancel", page=url)

    assert cancelled.status_code == 303
    assert "Cancelled" in (await operator.get(url)).text


async def test_a_form_without_a_file_explains_the_problem(
    two_organizations: TwoOrganizations, operator: Browser
) -> None:
    response = await operator.post_form(
        f"{home_of(two_organizations)}/imports",
        {"campaign_id": str(two_organizations.own.fresh.id)},
        page=f"{home_of(two_organizations)}/jobs",
        files={"other": ("people.csv", FILE, "text/csv")},
    )

    assert response.status_code == 400
    assert "select a CSV" in response.text


async def test_a_file_with_a_blank_name_counts_as_missing(
    two_organizations: TwoOrganizations, operator: Browser
) -> None:
    response = await operator.post_form(
        f"{home_of(two_organizations)}/imports",
        {"campaign_id": str(two_organizations.own.fresh.id)},
        page=f"{home_of(two_organizations)}/jobs",
        files={"file": ("   ", FILE, "text/csv")},
    )

    assert response.status_code == 400
    assert "select a CSV" in response.text


async def test_a_form_without_the_csrf_token_stores_nothing(
    two_organizations: TwoOrganizations, operator: Browser, connection: asyncpg.Connection
) -> None:
    before = await connection.fetchval("select count(*) from imports")
    response = await operator.client.post(
        f"{home_of(two_organizations)}/imports",
        data={"campaign_id": str(two_organizations.own.fresh.id)},
        files={"file": ("people.csv", FILE, "text/csv")},
    )

    assert response.status_code == 403
    assert await connection.fetchval("select count(*) from imports") == before


async def test_a_viewer_sees_imports_without_buttons(
    two_organizations: TwoOrganizations, operator: Browser, browser_for: BrowserFor
) -> None:
    url = await upload(operator, two_organizations)
    viewer = await browser_for(two_organizations.own.users["viewer"])

    shown = await viewer.get(url)
    assert shown.status_code == 200
    assert "Cancel import" not in shown.text
    choose = await viewer.get(f"{home_of(two_organizations)}/campaigns/{two_organizations.own.fresh.id}/import")
    assert "need the Operator role" in choose.text
    for path in ("start", "cancel"):
        assert (await viewer.post_form(f"{url}/{path}")).status_code == 403


async def test_pages_of_another_organization_are_not_found(
    two_organizations: TwoOrganizations, operator: Browser, browser_for: BrowserFor
) -> None:
    url = await upload(operator, two_organizations)
    stranger = await browser_for(two_organizations.other.users["owner"])
    theirs = url.replace(
        str(two_organizations.own.tenant.organization_id), str(two_organizations.other.tenant.organization_id)
    )

    for path in (url, theirs, f"{theirs}/refusals.csv"):
        assert (await stranger.get(path)).status_code == 404
    campaign = f"/o/{two_organizations.other.tenant.organization_id}/campaigns/{two_organizations.own.fresh.id}/import"
    assert (await stranger.get(campaign)).status_code == 404


async def test_empty_pages_explain_the_next_step(
    two_organizations: TwoOrganizations, operator: Browser, connection: asyncpg.Connection
) -> None:
    for table in ("imports", "exports"):
        await connection.execute(f"delete from {table}")  # noqa: S608
    page = await operator.get(f"{home_of(two_organizations)}/jobs")

    assert "No imports yet" in page.text
    assert "No exports yet" in page.text


async def test_the_script_uploads_in_parts_with_session_and_csrf_token(
    two_organizations: TwoOrganizations, operator: Browser
) -> None:
    page = f"{home_of(two_organizations)}/campaigns/{two_organizations.own.fresh.id}/import"
    text = (await operator.get(page)).text
    url = text.split('data-upload="')[1].split('"')[0]
    headers = {"x-csrf-token": await operator.token_on(page)}
    new = {"campaign_id": str(two_organizations.own.fresh.id), "file_name": "people.csv", "size": len(FILE)}

    forged = await operator.client.post(url, json=new)
    assert forged.status_code == 403
    made = await operator.client.post(url, json=new, headers=headers)
    assert made.status_code == 201, made.text
    for first, last in ((0, 20), (20, len(FILE))):
        part = {"content-range": f"bytes {first}-{last - 1}/{len(FILE)}"}
        sent = await operator.client.put(
            f"{url}/{made.json()['id']}/file", content=FILE[first:last], headers=headers | part
        )
        assert sent.json()["bytes_stored"] == last

    assert (
        "Preview of people.csv"
        in (await operator.get(f"{home_of(two_organizations)}/imports/{made.json()['id']}")).text
    )
