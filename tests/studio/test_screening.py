"""Screening lists over the API and on their page."""

import asyncpg
import pytest

from tests.support.factories import NOW, create_campaign, create_campaign_contact
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations

TODAY = NOW.date().isoformat()


@pytest.fixture
async def lists(two_organizations: TwoOrganizations, connection: asyncpg.Connection) -> str:
    """The URL of the lists of an organization that has none."""
    await connection.execute("delete from screening_lists")
    return f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/screening-lists"


async def test_a_list_is_uploaded_and_removed(
    two_organizations: TwoOrganizations, client_for: ClientFor, lists: str
) -> None:
    admin = await client_for(two_organizations.own.users["admin"])
    query = {"kind": "state", "jurisdiction": "US-TX", "registry_date": TODAY, "file_name": "texas.csv"}

    uploaded = await admin.post(lists, params=query, content=b"2145550101\nnonsense\n2145550102\n")
    assert uploaded.status_code == 200
    assert uploaded.json() | {"id": "", "bad": []} == {
        "id": "",
        "kind": "state",
        "jurisdiction": "US-TX",
        "registry_date": TODAY,
        "numbers": 2,
        "refused": 1,
        "bad": [],
    }
    assert [bad["line"] for bad in uploaded.json()["bad"]] == [2]
    form = await admin.post(lists, params=query, files={"file": ("texas.csv", b"phone\n2145550101\n", "text/csv")})
    assert form.json()["numbers"] == 1

    found = (await admin.get(lists)).json()["items"]
    assert [(each["status"], each["numbers"], each["is_outdated"]) for each in found] == [
        ("current", 1, False),
        ("replaced", 2, False),
    ]
    assert (await admin.delete(f"{lists}/{found[0]['id']}")).status_code == 204
    assert (await admin.delete(f"{lists}/{found[0]['id']}")).status_code == 409
    assert (await admin.get(lists, params={"limit": 1})).json()["next"] is not None


@pytest.mark.parametrize(
    ("query", "content", "field"),
    [
        ({"kind": "state", "registry_date": TODAY}, b"2145550101\n", "jurisdiction"),
        ({"kind": "national", "registry_date": "2026-01-01"}, b"2145550101\n", "registry_date"),
        ({"kind": "national", "registry_date": "soon"}, b"2145550101\n", "registry_date"),
        ({"kind": "friends", "registry_date": TODAY}, b"2145550101\n", "kind"),
        ({"kind": "national", "registry_date": TODAY}, b"nonsense\n", "file"),
    ],
)
async def test_a_wrong_upload_names_the_field(
    two_organizations: TwoOrganizations,
    client_for: ClientFor,
    lists: str,
    query: dict[str, str],
    content: bytes,
    field: str,
) -> None:
    operator = await client_for(two_organizations.own.users["operator"])

    refused = await operator.post(lists, params=query, content=content)

    assert refused.status_code == 400
    assert field in refused.json()["fields"]


async def test_the_page_uploads_a_list_and_shows_what_it_could_not_read(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, lists: str
) -> None:
    browser = await browser_for(two_organizations.own.users["operator"])
    url = f"/o/{two_organizations.own.tenant.organization_id}/screening"
    form = {"kind": "litigator", "registry_date": TODAY, "region": "US"}

    page = await browser.post_form(url, data=form, files={"file": ("list.txt", b"2145550101\n<b>\n", "text/plain")})
    assert "Line 2: <samp>&lt;b&gt;" in page.text
    assert '<option value="US" selected>' in page.text, "the form can be sent again with a correction"
    assert '<option value="litigator" selected>' in page.text
    without = {name: value for name, value in form.items() if name != "region"}
    files = {"file": ("list.txt", b"+12145550101\n2145550102\n", "text/plain")}
    assert "At least one line has no country code" in (await browser.post_form(url, without, files=files)).text
    files = {"file": ("list.txt", b"2145550101\n", "text/plain")}
    assert (await browser.post_form(url, form, files=files)).status_code == 303
    assert "list.txt" in (await browser.get(url)).text
    wrong = await browser.post_form(url, data=form | {"registry_date": ""}, files={"file": ("a", b"1", "text/plain")})
    assert wrong.status_code == 400
    assert "Enter the day of the registry" in wrong.text


async def test_a_campaign_says_before_it_starts_what_it_will_not_call(
    two_organizations: TwoOrganizations,
    client_for: ClientFor,
    browser_for: BrowserFor,
    connection: asyncpg.Connection,
    lists: str,
) -> None:
    own = two_organizations.own
    viewer = own.users["viewer"]
    required = {"consent_required": "written", "lists_required": ["national"]}
    campaign = await create_campaign(connection, own.tenant, status="draft", **required)
    for _ in range(2):
        await create_campaign_contact(connection, campaign)
    url = f"organizations/{own.tenant.organization_id}/campaigns/{campaign.id}"

    report = (await (await client_for(viewer)).get(f"/api/v1/{url}/launch-report")).json()

    sentence = "2 contacts: 0 can be called once numbers are screened, 2 without written consent"
    assert (report["contacts"], report["uncalled"], report["sentence"]) == (2, 2, sentence)
    assert report["reasons"] == [{"code": "no_consent", "text": "without written consent", "contacts": 2}]
    assert (report["callable"], report["by_status"]) == (0, {"pending": 2})
    check = (await (await client_for(viewer)).get(f"/api/v1/{url}/launch-check")).json()
    assert check["contacts"] == report
    [missing] = report["missing_lists"]
    assert missing.startswith("Upload a national list with a registry date of ")
    browser = await browser_for(viewer)
    page = url.replace("organizations/", "/o/")
    for shown in (await browser.get(page), await browser.get(f"{page}/launch-report")):
        assert sentence in shown.text
        assert missing in shown.text
    await connection.execute("update campaigns set status = 'scheduled' where id = $1", campaign.id)
    await connection.execute("update campaigns set status = 'active' where id = $1", campaign.id)
    assert sentence not in (await browser.get(page)).text
