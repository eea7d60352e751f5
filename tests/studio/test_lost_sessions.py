"""A form that is sent after the session has ended is kept during sign-in, unless another site has sent it."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from outdial.auth.client import BadCredentials, SignedIn
from outdial.studio.web.sessions import COOKIE
from tests.support.studio import BASE, Browser, BrowserFor, FakeAuth, StudioServer
from tests.support.two_organizations import TwoOrganizations

SAME_ORIGIN = {"origin": BASE, "sec-fetch-site": "same-origin"}
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
FORM = {
    "name": "Autumn & <b>renewals</b>",
    "retell_agent_id": "agent_1",
    "from_number": "+14155550100",
    "max_attempts": "3",
    "batch_size": "10",
    "priority": "5",
    "share": "1",
    "variables": "offer = spring\ncity = Köln",
    "monday_from": ["09:00", "14:00"],
    "monday_to": ["12:00", "18:00"],
    "key": "the key of the form",
}


@pytest.fixture
async def browser(studio_app: StudioServer, browser_for: BrowserFor, two_organizations: TwoOrganizations) -> Browser:
    """A browser whose session has ended, and an operator who can sign in."""
    user_id = two_organizations.own.users["operator"]
    assert isinstance(studio_app.studio.auth, FakeAuth)
    studio_app.studio.auth.answer = SignedIn(
        studio_app.token(user_id), "refresh", studio_app.clock.now() + timedelta(hours=1), user_id, "ada@example.com"
    )
    return await browser_for(None)


async def send(browser: Browser, house: TwoOrganizations, **headers: str) -> httpx.Response:
    """Send the form of a new campaign, and follow the redirect as browsers do."""
    base = f"/o/{house.own.tenant.organization_id}/campaigns"
    headers = {**SAME_ORIGIN, "referer": f"{BASE}{base}/new", **headers}
    data = {"csrf_token": "of the session that has ended", **FORM}
    response = await browser.client.post(base, data=data, headers=headers)
    if response.status_code != 307:
        return response
    return await browser.client.post(response.headers["location"], data=data, headers=headers)


async def sign_in(browser: Browser, page: httpx.Response, **fields: str) -> httpx.Response:
    hidden = {name: unescape(value) for name, value in HIDDEN.findall(page.text)}
    return await browser.client.post(
        "/sign-in", data={**hidden, "email": "ada@example.com", "password": "secret", **fields}
    )


async def test_a_form_survives_the_sign_in(
    browser: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    shown = await send(browser, two_organizations)
    assert (shown.status_code, "Your entries have been kept" in shown.text) == (200, True)

    kept = await sign_in(browser, shown)

    assert (kept.status_code, COOKIE in browser.client.cookies) == (200, True)
    # Its page alone has it: the script leaves the address, which cannot be loaded again.
    assert "data-kept" in kept.text
    assert "Autumn &amp; &lt;b&gt;renewals" in kept.text
    assert "Discard" in kept.text
    assert re.findall(r"<dd>([0-9a-f-]{36}|/o/.*)</dd>", kept.text) == []
    fields: dict[str, list[str]] = {}
    for name, value in HIDDEN.findall(kept.text):
        fields.setdefault(name, []).append(unescape(value))
    assert fields["monday_from"] == ["09:00", "14:00"]
    action = re.search(r'action="(/o/[^"]+)"', kept.text)
    assert action is not None
    sent = await browser.client.post(action[1], data=fields, headers=SAME_ORIGIN)
    assert (sent.status_code, sent.headers["location"].endswith("/setup/contacts?saved=who")) == (303, True)
    row = await connection.fetchrow(
        "select dynamic_variables ->> 'city' as city from campaigns where name = $1", FORM["name"]
    )
    assert row["city"] == "Köln"


async def test_a_wrong_password_keeps_the_form_too(
    studio_app: StudioServer, browser: Browser, two_organizations: TwoOrganizations
) -> None:
    assert isinstance(studio_app.studio.auth, FakeAuth)
    right = studio_app.studio.auth.answer
    studio_app.studio.auth.answer = BadCredentials()
    refused = await sign_in(browser, await send(browser, two_organizations))
    studio_app.studio.auth.answer = right

    kept = await sign_in(browser, refused)

    assert (refused.status_code, kept.status_code, "Send form" in kept.text) == (401, 200, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "null", "sec-fetch-site": "cross-site"},
        {"origin": "", "sec-fetch-site": ""},
    ],
    ids=str,
)
async def test_a_form_of_another_site_is_not_kept(
    browser: Browser, two_organizations: TwoOrganizations, headers: dict[str, str]
) -> None:
    response = await send(browser, two_organizations, **headers)
    direct = await browser.client.post("/sign-in/form?action=/o/1/campaigns&next=/", data=FORM, headers=headers)

    for refused in (response, direct):
        assert refused.status_code == 303
        assert urlsplit(refused.headers["location"]).path == "/sign-in"


async def test_a_kept_form_is_sealed_and_expires(
    studio_app: StudioServer, browser: Browser, two_organizations: TwoOrganizations
) -> None:
    shown = await send(browser, two_organizations)
    assert "Köln" not in shown.text

    forged = await sign_in(browser, shown, kept="forged")
    studio_app.clock.advance(timedelta(hours=2))
    late = await sign_in(browser, await browser.client.get("/sign-in"), kept=dict(HIDDEN.findall(shown.text))["kept"])

    assert (forged.status_code, late.status_code) == (303, 303)
    back = await browser.client.get(late.headers["location"], follow_redirects=True)
    assert "Forms are kept for one hour only" in back.text


@pytest.mark.parametrize(("length", "is_kept"), [(195_000, True), (199_000, False)], ids=["fits", "too long"])
async def test_a_form_is_kept_only_if_it_comes_back_in_one_field(
    browser: Browser, two_organizations: TwoOrganizations, monkeypatch: pytest.MonkeyPatch, length: int, is_kept: bool
) -> None:
    monkeypatch.setitem(FORM, "variables", "x" * length)
    shown = await send(browser, two_organizations)
    assert ("Your entries have been kept" in shown.text, "too long to keep" in shown.text) == (is_kept, not is_kept)
    assert ("Send form" in (await sign_in(browser, shown)).text) == is_kept


async def test_a_form_of_an_earlier_session_is_shown_again_with_the_token_of_this_one(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    signed_in = await browser_for(two_organizations.own.users["operator"])

    kept = await send(signed_in, two_organizations)

    assert (kept.status_code, "You have signed in again since" in kept.text) == (403, True)
    assert f'href="/o/{two_organizations.own.tenant.organization_id}/campaigns/new">Discard' in kept.text
    fields: dict[str, list[str]] = {}
    for name, value in HIDDEN.findall(kept.text):
        fields.setdefault(name, []).append(unescape(value))
    action = re.search(r'action="(/o/[^"]+/campaigns)"', kept.text)
    assert action is not None
    sent = await signed_in.client.post(action[1], data=fields, headers=SAME_ORIGIN)
    assert (sent.status_code, sent.headers["location"].endswith("/setup/contacts?saved=who")) == (303, True)


async def test_a_form_without_proof_of_its_origin_gets_no_token(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    signed_in = await browser_for(two_organizations.own.users["operator"])
    refused = await send(signed_in, two_organizations, origin="", **{"sec-fetch-site": "none"})
    assert (refused.status_code, "Send form" in refused.text, "renewals" in refused.text) == (403, False, False)


@pytest.mark.parametrize("url", ["http://[", "http://[::1", "https://a]b"])
async def test_a_malformed_origin_or_referer_is_that_of_another_site(
    browser: Browser, browser_for: BrowserFor, two_organizations: TwoOrganizations, url: str
) -> None:
    signed_in = await browser_for(two_organizations.own.users["operator"])
    headers = {"origin": url, "referer": url, "sec-fetch-site": ""}

    assert (await send(signed_in, two_organizations, **headers)).status_code == 403
    redirected = await send(browser, two_organizations, **headers)
    assert redirected.status_code == 303
    assert redirected.headers["location"].endswith("/campaigns")


async def test_a_page_without_a_session_leads_back_after_the_sign_in(
    browser: Browser, two_organizations: TwoOrganizations
) -> None:
    response = await send(browser, two_organizations, origin="", **{"sec-fetch-site": ""})
    assert response.headers["location"].endswith("/campaigns/new")


async def test_an_error_page_leads_to_a_page_that_exists(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own, other = two_organizations.own, two_organizations.other
    signed_in = await browser_for(own.users["viewer"])
    base = f"/o/{own.tenant.organization_id}"

    for path, home, has_menu in (
        ("/o/nope/campaigns", "/", False),
        (f"/o/{other.tenant.organization_id}/campaigns", "/", False),
        ("/nowhere/at/all", "/", False),
        (f"{base}/campaigns/{other.fresh.id}", f"{base}/campaigns", True),
        (f"{base}/campaigns/nope", f"{base}/campaigns", True),
    ):
        response = await signed_in.get(path)
        assert response.status_code == 404, path
        assert "UUID" not in response.text
        found = re.search(r'href="([^"]+)">Go to campaigns', response.text)
        assert found is not None
        assert (found[1], 'id="navigation"' in response.text) == (home, has_menu), path
        assert (await signed_in.get(found[1])).status_code in (200, 303)
