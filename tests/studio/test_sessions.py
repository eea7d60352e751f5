"""Sign-in and sign-out: the cookie, CSRF protection, and safe redirects."""

from datetime import timedelta
from http.cookies import Morsel, SimpleCookie
from uuid import UUID

import httpx
import pytest

from outdial.auth.client import AuthUnavailable, BadCredentials, SignedIn, TooManyAttempts
from outdial.studio.web.forms import own_path
from outdial.studio.web.sessions import COOKIE, CookieSealer, StudioSession
from outdial.studio.web.visitors import VISITOR_COOKIE
from tests.support.studio import CSRF, Browser, BrowserFor, FakeAuth, StudioServer
from tests.support.two_organizations import TwoOrganizations


def auth_of(served: StudioServer) -> FakeAuth:
    assert isinstance(served.studio.auth, FakeAuth)
    return served.studio.auth


def signed_in(served: StudioServer, user_id: UUID) -> SignedIn:
    return SignedIn(
        served.token(user_id), "refresh", served.clock.now() + timedelta(hours=1), user_id, "ada@example.com"
    )


def cookie_in(response: httpx.Response, name: str) -> "Morsel[str]":
    for header in response.headers.get_list("set-cookie"):
        cookies = SimpleCookie(header)
        if name in cookies:
            return cookies[name]
    raise AssertionError(f"no cookie {name} in {response.headers.get_list('set-cookie')}")


async def fill_in(browser: Browser, **fields: str) -> httpx.Response:
    data = {"email": "ada@example.com", "password": "secret", **fields}
    # The last form of the page; before it stands the one that signs out who is signed in.
    token = CSRF.findall((await browser.get("/sign-in")).text)[-1]
    return await browser.client.post("/sign-in", data={"csrf_token": token, **data})


@pytest.fixture
def user_id(two_organizations: TwoOrganizations) -> UUID:
    return two_organizations.own.users["operator"]


async def test_a_correct_password_starts_a_session_and_redirects(
    studio_app: StudioServer, browser_for: BrowserFor, user_id: UUID
) -> None:
    auth_of(studio_app).answer = signed_in(studio_app, user_id)
    browser = await browser_for(None)

    response = await fill_in(browser, next="/o/1/campaigns?status=active")

    assert (response.status_code, response.headers["location"]) == (303, "/o/1/campaigns?status=active")
    assert auth_of(studio_app).asked == [("ada@example.com", "secret")]
    assert (await browser.get("/")).headers["location"].endswith("/campaigns")


async def test_the_cookie_is_encrypted_http_only_and_same_site(
    studio_app: StudioServer, browser_for: BrowserFor, user_id: UUID
) -> None:
    auth_of(studio_app).answer = signed_in(studio_app, user_id)

    cookie = cookie_in(await fill_in(await browser_for(None)), COOKIE)

    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "lax", "/")
    assert not cookie["secure"]  # on loopback, without TLS
    assert studio_app.token(user_id) not in cookie.value
    assert (
        CookieSealer(["another secret that is long enough to be one"]).open(COOKIE, cookie.value, StudioSession) is None
    )
    opened = studio_app.studio.sealer.open(COOKIE, cookie.value, StudioSession)
    assert opened is not None
    assert opened.user_id == str(user_id)


async def test_sign_in_replaces_an_existing_session(
    studio_app: StudioServer, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    planted = two_organizations.own.users["viewer"]
    browser = await browser_for(planted)
    assert browser.session is not None
    auth_of(studio_app).answer = signed_in(studio_app, two_organizations.own.users["owner"])

    cookie = cookie_in(await fill_in(browser), COOKIE)

    opened = studio_app.studio.sealer.open(COOKIE, cookie.value, StudioSession)
    assert opened is not None
    assert opened.user_id == str(two_organizations.own.users["owner"])
    assert opened.csrf != browser.session.csrf
    assert opened.access_token != browser.session.access_token


async def test_two_sessions_of_one_user_share_no_tokens(
    studio_app: StudioServer, browser_for: BrowserFor, user_id: UUID
) -> None:
    auth_of(studio_app).answer = signed_in(studio_app, user_id)
    opened = [
        studio_app.studio.sealer.open(
            COOKIE, cookie_in(await fill_in(await browser_for(None)), COOKIE).value, StudioSession
        )
        for _ in range(2)
    ]
    assert opened[0] is not None
    assert opened[1] is not None
    assert opened[0].csrf != opened[1].csrf


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (BadCredentials(), 401, "Wrong email or password"),
        (TooManyAttempts(120), 429, "Try again in 2 minutes"),
        (AuthUnavailable("refused"), 503, "temporarily unavailable"),
    ],
)
async def test_a_failed_sign_in_is_explained_and_starts_no_session(
    studio_app: StudioServer, browser_for: BrowserFor, answer: BadCredentials, status: int, said: str
) -> None:
    auth_of(studio_app).answer = answer
    browser = await browser_for(None)

    response = await fill_in(browser, email="<b>ada</b>@example.com")

    assert response.status_code == status
    assert said in response.text
    assert "&lt;b&gt;ada" in response.text
    assert "secret" not in response.text
    assert COOKIE not in browser.client.cookies


@pytest.mark.parametrize("token", ["", "guessed"])
async def test_a_cross_site_sign_in_is_rejected(
    studio_app: StudioServer, browser_for: BrowserFor, user_id: UUID, token: str
) -> None:
    auth_of(studio_app).answer = signed_in(studio_app, user_id)
    browser = await browser_for(None)
    await browser.get("/sign-in")

    data = {"email": "eve@example.com", "password": "hers", "csrf_token": token}
    response = await browser.client.post("/sign-in", data=data)

    assert response.status_code == 403
    assert auth_of(studio_app).asked == []
    assert COOKIE not in browser.client.cookies


async def test_the_csrf_token_of_another_visitor_is_rejected(
    studio_app: StudioServer, browser_for: BrowserFor, user_id: UUID
) -> None:
    auth_of(studio_app).answer = signed_in(studio_app, user_id)
    theirs = await (await browser_for(None)).token_on("/sign-in")
    browser = await browser_for(None)
    await browser.get("/sign-in")
    data = {"email": "ada@example.com", "password": "secret", "csrf_token": theirs}
    assert (await browser.client.post("/sign-in", data=data)).status_code == 403


async def test_a_sealed_value_serves_one_purpose(studio_app: StudioServer, browser_for: BrowserFor) -> None:
    browser = await browser_for(None)
    await browser.get("/sign-in")
    visitor = browser.client.cookies[VISITOR_COOKIE]
    assert studio_app.studio.sealer.open(VISITOR_COOKIE, visitor, str)
    assert studio_app.studio.sealer.open(COOKIE, visitor, str) is None


@pytest.mark.parametrize(
    "url",
    ["//evil.example", "/\\evil.example", "https://evil.example", "\\/evil.example", "/%0d/\r\nset-cookie: a=b",
     "javascript:alert(1)", "/\t/evil.example", "", "evil", "/sign-out", "/api/v1/organizations", "/" + "a" * 3000],
)  # fmt: skip
async def test_sign_in_never_redirects_to_another_site(
    studio_app: StudioServer, browser_for: BrowserFor, user_id: UUID, url: str
) -> None:
    auth_of(studio_app).answer = signed_in(studio_app, user_id)
    response = await fill_in(await browser_for(None), next=url)
    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert own_path(url) == "/"


async def test_sign_out_ends_the_session_in_the_browser_and_at_auth(
    studio_app: StudioServer, browser_for: BrowserFor, user_id: UUID
) -> None:
    browser = await browser_for(user_id)

    response = await browser.post_form("/sign-out")

    assert (response.status_code, response.headers["location"]) == (303, "/sign-in")
    assert cookie_in(response, COOKIE)["max-age"] == "0"
    assert browser.session is not None
    assert auth_of(studio_app).signed_out == [browser.session.access_token]
    assert (await browser.get("/")).headers["location"] == "/sign-in?next=/"


async def test_sign_out_requires_the_csrf_token(
    studio_app: StudioServer, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    other = await browser_for(two_organizations.own.users["viewer"])
    assert other.session is not None
    browser = await browser_for(two_organizations.own.users["operator"])
    for token in ("", "guessed", other.session.csrf):
        response = await browser.client.post("/sign-out", data={"csrf_token": token})
        assert response.status_code == 403
    assert auth_of(studio_app).signed_out == []


async def test_visitors_are_redirected_to_sign_in_and_back(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    browser = await browser_for(None)
    url = f"/o/{two_organizations.own.tenant.organization_id}/campaigns"
    response = await browser.get(f"{url}?status=active&x=1")
    assert response.status_code == 303
    assert response.headers["location"] == f"/sign-in?next={url}%3Fstatus%3Dactive%26x%3D1"
    api = await browser.get(f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/campaigns")
    assert (api.status_code, api.json()["code"]) == (401, "NOT_SIGNED_IN")


async def test_an_unreadable_cookie_is_deleted(studio_app: StudioServer, browser_for: BrowserFor) -> None:
    browser = await browser_for(None)
    browser.client.cookies.set(COOKIE, "x" * 200, domain="127.0.0.1")
    response = await browser.get("/")
    assert response.status_code == 303
    assert cookie_in(response, COOKIE)["max-age"] == "0"


def test_rotating_the_secret_signs_no_one_out() -> None:
    old, both = (
        CookieSealer(["the old secret, which is long enough"]),
        CookieSealer(["the new one", "the old secret, which is long enough"]),
    )
    sealed = old.seal(COOKIE, "value")
    assert both.open(COOKIE, sealed, str) == "value"
    assert old.open(COOKIE, both.seal(COOKIE, "value"), str) is None


def test_a_tampered_cookie_is_rejected() -> None:
    sealer = CookieSealer(["a secret that is long enough for this"])
    sealed = sealer.seal(COOKIE, "value")
    for index in range(0, len(sealed) - 1, 7):
        changed = sealed[:index] + ("A" if sealed[index] != "A" else "B") + sealed[index + 1 :]
        assert sealer.open(COOKIE, changed, str) is None
