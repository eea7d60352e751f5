"""Pages for imports, as a browser without JavaScript uses them."""

import re
from collections.abc import AsyncIterator
from html import unescape

import asyncpg
import pytest

from outdial.campaigns.importing.refusals import Refusal
from outdial.jobs.worker import JobWorker
from outdial.studio.imports.causes import TITLES
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


async def upload(browser: Browser, world: TwoOrganizations, content: bytes = FILE, region: str = "") -> str:
    campaign_id = world.own.fresh.id
    response = await browser.post_form(
        f"{home_of(world)}/imports",
        {"campaign_id": str(campaign_id), "region": region},
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
    assert "No phone column was found" in unmapped.text
    assert "phone=Handy" not in unmapped.text, "that is how the command line is told"
    assert 'name="map_phone" value="Handy">Use “Handy”' in unmapped.text
    assert "Automatic (variable Handy)" in unmapped.text
    assert "Automatic (Name)" in unmapped.text
    assert "Not in the file: Phone" in unmapped.text
    mapped = f"{url}?map_phone=Handy&region="
    preview = await operator.get(mapped)
    assert "+1 (212) 200-0001" in preview.text
    assert "Ada &lt;b&gt;" in preview.text
    assert "leave only the number in the cell" in preview.text
    assert 'name="map_phone" value="Handy"' in preview.text

    started = await operator.post_form(f"{url}/start", {"map_phone": "Handy", "map_name": "name"}, page=mapped)
    assert (started.status_code, started.headers["location"]) == (303, url)
    assert "Waiting to start" in (await operator.get(url)).text
    await worker.run_once()

    report = await operator.get(url)
    assert "Download rows to fix" in report.text
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
    assert "+1 (212) 200-0001" in preview
    assert "is not a state" not in preview
    assert 'name="map_region" value="-"' in preview

    await operator.post_form(f"{url}/start", {"map_phone": "phone", "map_region": "-"}, page=mapped)
    await worker.run_once()
    rows = await connection.fetch("select region from contacts where phone like '+12122%'")
    assert [row["region"] for row in rows] == [None, None]


async def test_a_country_chosen_at_the_upload_is_taken_back_in_the_preview(
    two_organizations: TwoOrganizations, operator: Browser, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    url = await upload(operator, two_organizations, b"phone\n2122000001\n+12122000002\n", region="US")
    html = (await operator.get(url)).text
    assert "+1 (212) 200-0001" in html
    table = form_with(html, "Update preview")
    assert table["region"] == "US"

    html = (await operator.get(url, params=table | {"region": ""})).text

    assert "1 number has no country code" in html
    assert "+1 (212) 200-0001" not in html
    start = form_with(html, "Start import")
    assert start["region"] == ""
    await operator.post_form(f"{url}/start", start, page=url)
    await worker.run_once()
    assert [
        row["phone"] for row in await connection.fetch("select phone from contacts where phone like '+12122%'")
    ] == ["+12122000002"]
    assert await connection.fetchval("select default_region from imports") is None


async def test_an_import_is_undone_from_its_page(
    two_organizations: TwoOrganizations, operator: Browser, worker: JobWorker
) -> None:
    url = await upload(operator, two_organizations, b"phone\n+12122000001\n+12122000002\n")
    await operator.post_form(f"{url}/start", {"map_phone": "phone", "region": "US"}, page=url)
    assert "Undo import" not in (await operator.get(url)).text
    await worker.run_once()
    assert "Undo import" in (await operator.get(url)).text
    following = await upload(operator, two_organizations, b"phone\n+12122000003\n")
    assert "as in the last import" in (await operator.get(following)).text
    form = f"{home_of(two_organizations)}/campaigns/{two_organizations.own.fresh.id}/import"
    assert '<option value="US" selected>' in (await operator.get(form)).text, "the country that the next file gets"

    undone = await operator.post_form(f"{url}/undo", page=url)

    assert (undone.status_code, undone.headers["location"]) == (303, url)
    shown = (await operator.get(url)).text
    assert "Import undone: 2 contacts removed." in shown
    assert "2 contacts removed from the campaign." in shown
    assert "Undo import" not in shown
    assert "as in the last import" not in (await operator.get(following)).text, "its choices may be why it was undone"


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
    assert "Choose another file" not in (await operator.get(url)).text

    cancelled = await operator.post_form(f"{url}/cancel", page=url)

    form = f"{home_of(two_organizations)}/campaigns/{two_organizations.own.fresh.id}/import"
    assert (cancelled.status_code, cancelled.headers["location"]) == (303, form)
    assert "File discarded. No contacts were added." in (await operator.get(form)).text
    assert "Discarded a file of contacts" in (await operator.get(form.replace("/import", "/activity"))).text
    discarded = (await operator.get(url)).text
    assert ("The file was discarded" in discarded, "Contacts added so far" in discarded) == (True, False)

    url = await upload(operator, two_organizations, content=b"\x01\x02 not a workbook")
    unreadable = (await operator.get(url)).text
    assert "The file is neither text nor a readable Excel workbook" in unreadable
    assert "Choose another file" in unreadable


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
    assert "Select a CSV" in response.text


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
    assert "Select a CSV" in response.text


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


BAD = (
    b"Customer;Handy;E-Mail;Due Date;Time Zone;Amount\n"
    b"Ada;(206) 222-7481;ada@example.com;2026-12-01;Eastern;1\n"
    b"Bob;(206) 222-7482;;2026-12-02;Central Mars;2\n"
    b"Cyd;+442079460123;;;;3\n"
    b"Dee;call me;;;;4\n"
)


def form_with(html: str, text: str) -> dict[str, str]:
    """Return the fields of the form of a page that contains `text`, as a browser sends them."""
    form = next(part for part in re.findall(r"<form.*?</form>", html, re.DOTALL) if text in part)
    fields = {}
    for tag in re.findall(r"<(?:input|button)[^>]*>", form):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if "name" in attributes:
            fields[unescape(attributes["name"])] = unescape(attributes.get("value", ""))
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        selected = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        fields[unescape(name)] = unescape(selected[1]) if selected else ""
    return fields


async def test_each_cause_is_cured_by_the_form_beside_it_and_the_choices_are_kept(
    two_organizations: TwoOrganizations, operator: Browser, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    url = await upload(operator, two_organizations, BAD)

    html = (await operator.get(url)).text
    table = form_with(html, "Update preview")
    html = (await operator.get(url, params=table | {"column_Handy": "phone"})).text
    assert "2 numbers have no country code" in html
    assert "2 without a country code" in html
    cure = form_with(html, "cure-region")
    assert cure["region"] == "GB", "the country of the other numbers"
    html = (await operator.get(url, params=cure | {"region": "US"})).text
    assert "no country code" not in html
    assert "2 time zones are unknown" in html
    cure = form_with(html, "zone-1")
    assert (cure["zone_Eastern"], cure["zone_Central Mars"]) == ("America/New_York", "")
    wrong = (await operator.get(url, params=cure | {"zone_Central Mars": "Mars/Olympus"})).text
    assert "Select a time zone from the list" in wrong
    assert 'value="Mars/Olympus"' in wrong, "what was typed is kept"
    html = (await operator.get(url, params=cure | {"zone_Central Mars": "America/Chicago"})).text
    assert "1 number is invalid" in html
    assert "unknown" not in html

    # The rows to fix come whole, also before the import.
    link = unescape(html.split(" download>")[0].rpartition('href="')[2].rstrip('"'))
    rows = (await operator.get(link)).text.splitlines()
    assert rows[0].endswith("refused_line,refused_kind,refused_reason,Customer,Handy,E-Mail,Due Date,Time Zone,Amount")
    assert [row.partition(",")[0] for row in rows[1:]] == ["5"]
    assert rows[1].endswith("Dee,call me,,,,4")

    start = form_with(html, "Start import")
    await operator.post_form(f"{url}/start", start, page=url)
    await worker.run_once()
    found = await connection.fetch("select phone, timezone from contacts where phone like '+1206222748_' order by 1")
    assert [tuple(row) for row in found] == [
        ("+12062227481", "America/New_York"),
        ("+12062227482", "America/Chicago"),
    ]
    shown = (await operator.get(url)).text
    assert "1 number is invalid" in shown
    assert "You can undo the import until one of its contacts is called." in shown

    # The corrected file is read like the first one, and its reasons are left out.
    file = (await operator.get(f"{url}/refusals.csv")).text.replace("call me", "(206) 222-7484")
    again = (await operator.get(await upload(operator, two_organizations, file.encode()))).text
    assert "as in the last import" in again
    assert "+1 (206) 222-7484" in again
    assert "refused_reason" not in form_with(again, "Update preview")


async def test_a_file_without_a_header_row_is_read_from_its_first_line_at_a_press(
    two_organizations: TwoOrganizations, operator: Browser, worker: JobWorker, connection: asyncpg.Connection
) -> None:
    url = await upload(operator, two_organizations, b"Ada,+12122000001\nBob,+12122000002\n")
    html = (await operator.get(url)).text
    assert "Treat the first line as data" in html

    html = (await operator.get(url, params=form_with(html, "Treat the first line"))).text
    assert "2" in html.split("To import")[1][:30]
    assert "Use it as a header" in html
    await operator.post_form(f"{url}/start", form_with(html, "Start import"), page=url)
    await worker.run_once()

    assert await connection.fetchval("select count(*) from contacts where phone like '+1212200000_'") == 2


async def test_two_columns_that_go_to_one_field_are_reported_beside_the_second(
    two_organizations: TwoOrganizations, operator: Browser
) -> None:
    url = await upload(operator, two_organizations, b"phone,Firma,Company\n+12122000001,A,B\n")
    choices = {"region": "", "column_phone": "", "column_Firma": "company", "column_Company": "company"}

    assert "Firma already goes there" in (await operator.get(url, params=choices)).text
    variable = (await operator.get(url, params=choices | {"column_Firma": "", "column_Company": "not-company"})).text
    assert "Variable Company" in variable
    assert 'name="map_company" value="-"' in variable


async def test_choices_beyond_their_limits_are_reported_beside_their_fields(
    two_organizations: TwoOrganizations, operator: Browser
) -> None:
    column = "C" * 201
    url = await upload(operator, two_organizations, f"phone,{column},timezone\n+12122000001,A,Name 101\n".encode())
    zones = {f"zone_Name {number}": "America/Chicago" for number in range(1, 102)}
    choices = {"region": "", f"column_{column}": "company", "zone_" + "Z" * 101: "America/Chicago", **zones}

    shown = await operator.get(url, params=choices)

    assert shown.status_code == 200
    assert "The name of this column is longer than 200 characters: shorten it in the file" in shown.text
    assert "Only 100 names can have a zone: change the others in the file" in shown.text
    refused = await operator.post_form(f"{url}/start", choices, page=url)
    assert refused.status_code == 400
    assert "Fix the choices in the preview first" in refused.text


async def test_an_empty_file_is_reported_beside_the_field_and_leaves_no_upload(
    two_organizations: TwoOrganizations, operator: Browser, connection: asyncpg.Connection
) -> None:
    response = await operator.post_form(
        f"{home_of(two_organizations)}/imports",
        {"campaign_id": str(two_organizations.own.fresh.id), "region": "US"},
        page=f"{home_of(two_organizations)}/campaigns/{two_organizations.own.fresh.id}/import",
        files={"file": ("empty.csv", b"", "text/csv")},
    )

    assert response.status_code == 400
    assert '<span class="wrong" data-wrong>The file is empty</span>' in response.text
    assert '<option value="US" selected>' in response.text
    assert await connection.fetchval("select status from imports where file_name = 'empty.csv'") == "cancelled"


async def test_each_template_imports_as_it_is(two_organizations: TwoOrganizations, operator: Browser) -> None:
    for ending in ("csv", "xlsx"):
        file = await operator.get(f"{home_of(two_organizations)}/imports/template.{ending}")
        html = (await operator.get(await upload(operator, two_organizations, file.content))).text
        assert "of 2 rows" in html
        assert "Rows to fix" not in html
        assert "Automatic (State or province)" in html
        assert "Automatic (variable due_date)" in html


def test_every_reason_of_an_import_has_words() -> None:
    assert TITLES.keys() == set(Refusal) - {Refusal.BAD_ITEM, Refusal.BAD_TIME}
