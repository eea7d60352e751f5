"""The do-not-call list over the API and in pages."""

import io
import re
from html import unescape

import asyncpg
import httpx
import pytest
import xlsxwriter

from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations


@pytest.fixture
async def operator(two_organizations: TwoOrganizations, client_for: ClientFor) -> httpx.AsyncClient:
    return await client_for(two_organizations.own.users["operator"])


def list_of(world: TwoOrganizations) -> str:
    return f"/api/v1/organizations/{world.own.tenant.organization_id}/do-not-call"


async def numbers(
    client: httpx.AsyncClient, world: TwoOrganizations, **search: str
) -> list[tuple[str, str, str | None]]:
    items = (await client.get(list_of(world), params=search)).json()["items"]
    return [(item["phone"], item["source"], item["reason"]) for item in items if item["source"] != "call"]


async def test_valid_numbers_are_added_and_invalid_ones_reported_by_line(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    sent = {
        "numbers": ["+12122000001", "nonsense", "212 200 0002", "+1 212-200-0001"],
        "default_region": "us",
        "reason": "asked",
    }
    first = (await operator.post(list_of(two_organizations), json=sent)).json()
    again = (await operator.post(list_of(two_organizations), json=sent)).json()

    reason = "holds letters ('nonsense'); leave only the number in the cell"
    bad = [{"line": 2, "value": "nonsense", "reason": reason, "lacks_country_code": False}]
    act_id = first.pop("act_id")
    assert act_id
    assert first == {"added": 2, "already_listed": 0, "refused": 1, "bad": bad}
    assert (again["added"], again["already_listed"]) == (0, 2)
    assert await numbers(operator, two_organizations) == [
        ("+12122000001", "manual", "asked"),
        ("+12122000002", "manual", "asked"),
    ]
    entries = await connection.fetch("select subject_id, actor from audit_log where action = 'add_do_not_call'")
    operator_id = str(two_organizations.own.users["operator"])
    assert [tuple(entry) for entry in entries] == [("2 numbers", operator_id)] * 2


@pytest.mark.parametrize(
    "content",
    [
        b"name,Phone\nAda,+12122000001\nBob,+12122000002\nCyd,none\n",
        b"+12122000001\n+12122000002\nnone\n",
        "Phone;name\r\n+12122000001;Ada\r\n+12122000002;Bob\r\nnone;Cyd\r\n".encode("utf-8-sig"),
    ],
)
async def test_a_file_of_numbers_is_added(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, content: bytes
) -> None:
    result = (await operator.post(f"{list_of(two_organizations)}/import", content=content)).json()

    assert (result["added"], result["refused"]) == (2, 1)
    assert [phone for phone, source, _ in await numbers(operator, two_organizations) if source == "import"] == [
        "+12122000001",
        "+12122000002",
    ]


async def test_a_file_of_numbers_is_sent_in_a_form_too(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient
) -> None:
    url = f"{list_of(two_organizations)}/import"

    result = await operator.post(url, files={"file": ("list.txt", b"+12122000001\nbad\n")}, params={"reason": "asked"})

    assert (result.json()["added"], result.json()["refused"]) == (1, 1)
    assert (await operator.post(url, data={"file": "+12122000001"}, files={"x": b""})).status_code == 400


@pytest.mark.parametrize("content", [b"", b'"never closed'])
async def test_an_unreadable_file_is_rejected(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, content: bytes
) -> None:
    assert (await operator.post(f"{list_of(two_organizations)}/import", content=content)).status_code == 400


async def test_an_unknown_country_is_rejected(two_organizations: TwoOrganizations, operator: httpx.AsyncClient) -> None:
    sent = {"numbers": ["2122000001"], "default_region": "QQ"}

    response = await operator.post(list_of(two_organizations), json=sent)

    assert (response.status_code, list(response.json()["fields"])) == (400, ["default_region"])


async def test_the_list_is_searched_and_paged(two_organizations: TwoOrganizations, operator: httpx.AsyncClient) -> None:
    sent = {"numbers": [f"+1212200{number:04}" for number in range(5)] + ["+4930123450001"]}
    await operator.post(list_of(two_organizations), json=sent)

    assert [phone for phone, _, _ in await numbers(operator, two_organizations, phone="+49")] == ["+4930123450001"]
    page = (await operator.get(list_of(two_organizations), params={"limit": 4})).json()
    rest = (await operator.get(list_of(two_organizations), params={"limit": 4, "cursor": page["next"]})).json()
    phones = [item["phone"] for item in page["items"] + rest["items"]]
    assert phones == sorted(phones)
    assert len(phones) == 7
    assert (await operator.get(list_of(two_organizations), params={"phone": "x"})).status_code == 400


async def test_only_an_admin_removes_numbers(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient, client_for: ClientFor
) -> None:
    await operator.post(list_of(two_organizations), json={"numbers": ["+12122000001"]})
    removed = {"numbers": ["+12122000001", "+12122000009", "x"]}
    admin = await client_for(two_organizations.own.users["admin"])

    assert (await operator.post(f"{list_of(two_organizations)}/remove", json=removed)).status_code == 403
    result = (await admin.post(f"{list_of(two_organizations)}/remove", json=removed)).json()

    assert (result["removed"], result["not_listed"], [bad["line"] for bad in result["bad"]]) == (1, 1, [3])
    assert await numbers(operator, two_organizations) == []


async def test_a_viewer_reads_the_list_and_an_outsider_does_not(
    two_organizations: TwoOrganizations, client_for: ClientFor
) -> None:
    viewer = await client_for(two_organizations.own.users["viewer"])
    stranger = await client_for(two_organizations.other.users["owner"])
    url, sent = list_of(two_organizations), {"numbers": ["+12122000001"]}

    assert (await viewer.get(url)).status_code == 200
    assert (await viewer.post(url, json=sent)).status_code == 403
    assert (await viewer.post(f"{url}/import", content=b"phone\n")).status_code == 403
    for answer in (await stranger.get(url), await stranger.post(url, json=sent)):
        assert answer.status_code == 404


async def test_pages_add_import_search_and_remove(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, operator: httpx.AsyncClient
) -> None:
    url = f"/o/{two_organizations.own.tenant.organization_id}/do-not-call"
    browser = await browser_for(two_organizations.own.users["admin"])

    added = await browser.post_form(url, {"numbers": "+12122000001\n\n+12122000002"}, page=url)
    assert added.status_code == 303
    odd = await browser.post_form(url, {"numbers": "+12122000003\n<b>x</b>"}, page=url)
    assert "Line 2: <samp>&lt;b&gt;x&lt;/b&gt;</samp>" in odd.text
    assert (await browser.post_form(url, {"numbers": " "}, page=url)).status_code == 400
    bad_region = await browser.post_form(url, {"numbers": "212", "region": "1"}, page=url)
    assert bad_region.status_code == 400
    imported = await browser.post_form(
        f"{url}/import", page=url, files={"file": ("list.csv", b"phone\n+12122000004\n", "text/csv")}
    )
    assert imported.status_code == 303
    assert (await browser.post_form(f"{url}/import", page=url, files={"other": ("a", b"b")})).status_code == 400
    for given, note in (
        (b"", "Select a CSV, XLSX or text file"),
        (b"phone\n2122000005\n", "Use two letters"),
    ):
        typed = {"region": "Q" if given.endswith(b"5\n") else "FR", "reason": "in_writing"}
        files = {"file": ("list.csv", given, "text/csv")} if given else {"other": ("a", b"b")}
        shown = (await browser.post_form(f"{url}/import", typed, page=url, files=files)).text
        assert note in shown
        of_the_text, of_the_file = shown.split('id="import-list"')
        assert 'value="in_writing"' in of_the_file
        assert (f'<option value="{typed["region"]}" selected>' in of_the_file) is (typed["region"] == "FR")
        assert "in_writing" not in of_the_text
    # What a file has refused is corrected in the other form.
    files = {"file": ("list.csv", b"phone\nbad\n", "text/csv")}
    shown = (await browser.post_form(f"{url}/import", {"reason": "in_writing"}, page=url, files=files)).text
    assert "Line 2: <samp>bad</samp>" in shown
    of_the_text, of_the_file = shown.split('id="import-list"')
    assert ('value="in_writing"' in of_the_text, ">bad</textarea>" in of_the_text) == (True, True)
    searched = await browser.get(url, params={"phone": "+12122000004"})
    assert "+1 (212) 200-0004" in searched.text
    assert "+1 (212) 200-0001" not in searched.text
    # The list stays at its page and its search.
    filtered = f"{url}?phone=212"
    assert f'name="back" value="{filtered}"' in (await browser.get(filtered)).text
    removed = await browser.post_form(f"{url}/remove", {"phone": "+12122000001", "back": filtered}, page=url)
    assert (removed.status_code, removed.headers["location"]) == (303, filtered)

    assert [phone for phone, _, _ in await numbers(operator, two_organizations)] == [
        "+12122000002",
        "+12122000003",
        "+12122000004",
    ]


async def test_pages_offer_the_actions_of_each_role(
    two_organizations: TwoOrganizations, browser_for: BrowserFor
) -> None:
    url = f"/o/{two_organizations.own.tenant.organization_id}/do-not-call"
    shown = {
        role: (await (await browser_for(two_organizations.own.users[role])).get(url)).text
        for role in ("viewer", "operator", "admin")
    }

    assert {role: "Add numbers" in text for role, text in shown.items()} == {
        "viewer": False,
        "operator": True,
        "admin": True,
    }
    assert {role: "Campaigns can call" in text for role, text in shown.items()} == {
        "viewer": False,
        "operator": False,
        "admin": True,
    }
    viewer = await browser_for(two_organizations.own.users["viewer"])
    assert (await viewer.post_form(url, {"numbers": "+12122000001"})).status_code == 403
    assert (await viewer.post_form(f"{url}/remove", {"phone": "+12122000001"})).status_code == 403


async def test_a_rejected_form_keeps_its_input_and_explains_the_problem(
    two_organizations: TwoOrganizations, browser_for: BrowserFor
) -> None:
    url = f"/o/{two_organizations.own.tenant.organization_id}/do-not-call"
    browser = await browser_for(two_organizations.own.users["operator"])
    numbers = "\n".join(f"+1212{5_000_000 + n}" for n in range(10_001))

    many = await browser.post_form(url, {"numbers": numbers, "region": "US", "reason": "they asked"})
    none = await browser.post_form(url, {"numbers": "", "reason": "they asked"})

    assert (many.status_code, none.status_code) == (400, 400)
    assert "Too many numbers for this form" in many.text
    assert '<option value="US" selected>' in many.text
    assert "No numbers entered" in none.text
    for shown in (many, none):
        assert 'value="they asked"' in shown.text


async def test_refused_numbers_stay_in_the_form_and_a_country_cures_them(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, operator: httpx.AsyncClient
) -> None:
    url = f"/o/{two_organizations.own.tenant.organization_id}/do-not-call"
    browser = await browser_for(two_organizations.own.users["operator"])
    languages = {"accept-language": "de-DE,en;q=0.5"}
    # More than the result lists one by one.
    lines = [f"0301234{number:04}" for number in range(120)]
    content = "phone\n+12122000001\nx1\n" + "\n".join(lines)
    files = {"file": ("list.csv", content.encode(), "text/csv")}
    token = await browser.token_on(url)
    form = {"csrf_token": token, "reason": "asked"}
    shown = await browser.client.post(f"{url}/import", data=form, files=files, headers=languages)

    assert "120 numbers have no country code" in shown.text
    assert '<option value="DE" selected>Germany' in shown.text
    box = re.search(r'<textarea[^>]*name="numbers"[^>]*>([^<]*)</textarea>', shown.text)
    hidden = re.search(r'<input type="hidden" name="numbers" value="([^"]*)"', shown.text)
    assert box is not None
    assert hidden is not None
    assert box[1].split() == unescape(hidden[1]).split() == ["x1", *lines]
    cured = await browser.post_form(url, {"numbers": unescape(hidden[1]), "region": "DE", "reason": "asked"}, page=url)
    assert "120 added" in cured.text
    box = re.search(r'<textarea[^>]*name="numbers"[^>]*>([^<]*)</textarea>', cured.text)
    assert box is not None
    assert box[1].split() == ["x1"]
    assert "have no country code" not in cured.text


def workbook(*sheets: str) -> bytes:
    """Return a workbook with the same three rows on each sheet."""
    target = io.BytesIO()
    with xlsxwriter.Workbook(target) as book:
        for name in sheets:
            sheet = book.add_worksheet(name)
            for number, row in enumerate([["Phone", "Name"], ["+12122000001", "Ada"], ["none", "Bob"]]):
                sheet.write_row(number, 0, row)
    return target.getvalue()


async def test_more_refused_numbers_than_the_form_takes_are_kept_in_part(
    two_organizations: TwoOrganizations, browser_for: BrowserFor
) -> None:
    url = f"/o/{two_organizations.own.tenant.organization_id}/do-not-call"
    browser = await browser_for(two_organizations.own.users["operator"])
    content = "phone\n" + "\n".join(f"{number} {'x' * 70}" for number in range(5_000))
    files = {"file": ("list.csv", content.encode(), "text/csv")}
    shown = (await browser.post_form(f"{url}/import", page=url, files=files)).text
    kept = re.search(r"5,000 invalid. Correct the first (3,\d{3}) below", shown)
    assert kept is not None
    box = re.search(r'<textarea[^>]*name="numbers"[^>]*>([^<]*)</textarea>', shown)
    assert box is not None
    again = await browser.post_form(url, {"numbers": unescape(box[1])}, page=url)
    assert (again.status_code, f"{kept[1]} invalid" in again.text) == (200, True)


async def test_a_workbook_of_numbers_is_added_if_it_has_one_sheet(
    two_organizations: TwoOrganizations, operator: httpx.AsyncClient
) -> None:
    url = f"{list_of(two_organizations)}/import"
    added = await operator.post(url, content=workbook("List"))
    assert (added.json()["added"], [bad["line"] for bad in added.json()["bad"]]) == (1, [3])
    refused = await operator.post(url, content=workbook("List", "More"))
    assert (refused.status_code, "leave only the one with the numbers" in refused.text) == (400, True)


async def test_the_status_of_retells_list_counts_what_has_not_arrived(
    two_organizations: TwoOrganizations, client_for: ClientFor, browser_for: BrowserFor, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    admin = await client_for(own.users["admin"])
    base = f"/api/v1/organizations/{own.tenant.organization_id}/do-not-call"
    before = (await admin.get(f"{base}/retell")).json()
    await admin.post(base, json={"numbers": ["+12127009911", "+12127009912"]})
    await admin.post(base, json={"numbers": ["+12127009913"], "purpose": "sales"})
    after = (await admin.get(f"{base}/retell")).json()
    assert (after["waiting"] - before["waiting"], after["error"]) == (2, None)
    await connection.execute("update opt_out_syncs set error = 'HTTP 401: no', tries = 3 where next_try_at is not null")
    page = await (await browser_for(own.users["viewer"])).get(f"/o/{own.tenant.organization_id}/do-not-call")
    assert "still pending (HTTP 401: no)" in page.text
    other = two_organizations.other
    path = f"/api/v1/organizations/{other.tenant.organization_id}/do-not-call/retell"
    assert (await (await client_for(other.users["viewer"])).get(path)).json()["waiting"] == before["waiting"]
