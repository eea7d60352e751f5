"""CORS of the JSON API, and the names of cookies behind https."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from outdial.settings import SettingError
from outdial.studio.web.app import create_app
from outdial.studio.web.assets import STATIC
from outdial.studio.web.filters import ZONE_COOKIE
from outdial.studio.web.forms import redirect
from outdial.studio.web.sessions import COOKIE
from outdial.studio.web.settings import StudioSettings
from tests.support.studio import ClientFor, StudioServer
from tests.support.two_organizations import TwoOrganizations

ORIGIN = "https://app.example.com"
ASKED = "authorization, x-anything-a-page-may-send"
ENV = {
    "SUPABASE_URL": "https://project.example.com",
    "SUPABASE_ANON_KEY": "sb_publishable_test",
    "OUTDIAL_STUDIO_SECRET": "x" * 32,
}


@pytest.fixture
async def open_to_pages(studio_app: StudioServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a studio behind https whose API is open to pages of one origin."""
    settings = replace(studio_app.studio.settings, secure=True, api_origins=(ORIGIN,))
    app = create_app(replace(studio_app.studio, settings=settings))
    app.add_api_route("/test/flash", lambda: redirect("/", "Saved"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://127.0.0.1") as client:
        yield client


def preflight(origin: str = ORIGIN) -> dict[str, str]:
    return {"origin": origin, "access-control-request-method": "PATCH", "access-control-request-headers": ASKED}


async def test_pages_of_a_listed_origin_may_call_the_api_with_any_header(open_to_pages: httpx.AsyncClient) -> None:
    allowed = await open_to_pages.options("/api/v1/organizations", headers=preflight())

    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert allowed.headers["access-control-allow-headers"] == ASKED
    assert "PATCH" in allowed.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in allowed.headers
    refused = await open_to_pages.get("/api/v1/organizations", headers={"origin": ORIGIN})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)


async def test_other_origins_and_pages_get_no_cors_headers(open_to_pages: httpx.AsyncClient) -> None:
    other = "https://evil.example.com"
    responses = [
        await open_to_pages.options("/api/v1/organizations", headers=preflight(other)),
        await open_to_pages.get("/api/v1/organizations", headers={"origin": other}),
        await open_to_pages.options("/sign-in", headers=preflight()),
        await open_to_pages.get("/sign-in", headers={"origin": ORIGIN}),
    ]

    assert not any("access-control-allow-origin" in response.headers for response in responses)


async def test_without_the_setting_the_api_has_no_cors_headers(
    client_for: ClientFor, two_organizations: TwoOrganizations
) -> None:
    client = await client_for(two_organizations.own.users["owner"])

    for response in (
        await client.options("/api/v1/organizations", headers=preflight()),
        await client.get("/api/v1/organizations", headers={"origin": ORIGIN}),
    ):
        assert not any(name.startswith("access-control") for name in response.headers)


@pytest.mark.parametrize("text", ["app.example.com", "https://app.example.com/path", "https://*", "null"])
def test_an_invalid_origin_is_an_error_that_says_what_to_write(text: str) -> None:
    with pytest.raises(SettingError, match=r"OUTDIAL_API_ORIGINS: .* write https://app\.example\.com"):
        StudioSettings.from_env({**ENV, "OUTDIAL_API_ORIGINS": text}, secure=True)
    assert StudioSettings.from_env({**ENV, "OUTDIAL_API_ORIGINS": f"{ORIGIN}, *"}, secure=True).api_origins == (
        ORIGIN, "*"
    )  # fmt: skip


async def test_every_cookie_behind_https_is_bound_to_this_host(open_to_pages: httpx.AsyncClient) -> None:
    # The second page shows the message, and deletes its cookie.
    responses = [await open_to_pages.get(path) for path in ("/test/flash", "/sign-in")]
    cookies = [cookie for response in responses for cookie in response.headers.get_list("set-cookie")]

    names = [cookie.partition("=")[0] for cookie in cookies]
    assert sorted(names) == ["__Host-outdial_flash", "__Host-outdial_flash", "__Host-outdial_visitor"]
    assert "Saved" in responses[1].text
    for cookie in cookies:
        attributes = [part.strip().lower() for part in cookie.split(";")[1:]]
        assert {"secure", "httponly", "path=/"} <= set(attributes)
        assert not any(attribute.startswith("domain") for attribute in attributes)


async def test_a_session_is_read_from_a_cookie_of_this_host_only(
    studio_app: StudioServer, open_to_pages: httpx.AsyncClient, two_organizations: TwoOrganizations
) -> None:
    session = studio_app.session(two_organizations.own.users["owner"])
    sealed = studio_app.studio.sealer.seal(COOKIE, session)

    async def status_with(cookies: str) -> int:
        headers = [(b"cookie", cookies.encode("latin-1"))]
        return (await open_to_pages.get("/api/v1/organizations", headers=headers)).status_code

    assert await status_with(f"a=1; __Host-{COOKIE}={sealed}") == 200
    # Starlette strips more from a name than browsers do.
    for space in ("", " ", "\t", "\x0b", "\x1c", "\x1f", "\x85", "\xa0"):
        for name in (f"{space}{COOKIE}", f"{COOKIE}{space}", f"{space}__Host-{COOKIE}"):
            if name.strip(" \t").startswith("__Host-"):
                continue
            assert await status_with(f"a=1; {name}={sealed}") == 401, repr(name)


async def test_the_time_zone_is_read_under_the_name_that_the_pages_script_gives_it(
    studio_app: StudioServer, open_to_pages: httpx.AsyncClient, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    sealed = studio_app.studio.sealer.seal(COOKIE, studio_app.session(own.users["owner"]))
    name = f"__Host-{ZONE_COOKIE}"
    cookies = {"cookie": f"__Host-{COOKIE}={sealed}; {name}=America%2FNew_York"}

    page = await open_to_pages.get(f"/o/{own.tenant.organization_id}/contacts", headers=cookies)

    assert "Times shown in New York time" in page.text
    assert f'"{name}"' in (STATIC / "time.js").read_text()
