"""Middleware: security headers, host names, body limits, forged requests, and error responses without causes."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest
from fastapi import FastAPI

from outdial.auth import KeyRing, TokenVerifier
from outdial.campaigns.errors import CampaignClosed, CampaignNotFound, InvalidCampaign
from outdial.domain.errors import InvalidCallingHours
from outdial.studio.web.assets import static_url
from outdial.studio.web.error_responses import to_studio_error
from outdial.studio.web.errors import StudioError
from outdial.studio.web.forms import redirect
from outdial.studio.web.middleware.security import content_policy
from tests.support.logged import LogLines
from tests.support.studio import BrowserFor, ClientFor, StudioServer, new_app
from tests.support.two_organizations import TwoOrganizations


@pytest.fixture(scope="module")
def application() -> FastAPI:
    """An application of its own with routes that break."""

    async def break_down() -> None:
        raise RuntimeError("the secret cause")

    async def lose_database() -> None:
        raise ConnectionRefusedError("10.0.0.7")

    async def refuse() -> None:
        raise asyncpg.InsufficientPrivilegeError("permission denied for table secret_table")

    app = new_app()
    for prefix in ("/api/v1/test", "/test"):
        app.add_api_route(f"{prefix}/broken", break_down, include_in_schema=False)
        app.add_api_route(f"{prefix}/lost", lose_database, include_in_schema=False)
        app.add_api_route(f"{prefix}/refused", refuse, include_in_schema=False)
    app.add_api_route("/test/done", lambda: redirect("/sign-in", "Saved <b>it</b>"), include_in_schema=False)
    return app


@pytest.mark.parametrize(
    ("path", "status"),
    [("/sign-in", 200), ("/", 303), ("/nowhere", 404), ("/test/broken", 500), ("/api/v1/test/broken", 500),
     ("/api/v1/nowhere", 404), ("/static/x/studio.css", 200), ("/static/x/nothing.css", 404), ("/o/x/campaigns", 303),
     ("/api/v1/docs", 200), ("/api/v1/openapi.json", 200), ("/health", 200), ("/test/lost", 503)],
)  # fmt: skip
async def test_every_response_has_security_headers(browser_for: BrowserFor, path: str, status: int) -> None:
    response = await (await browser_for(None)).get(path)
    assert response.status_code == status
    assert response.headers["content-security-policy"] == content_policy("")
    assert response.headers["permissions-policy"] == "microphone=()"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "same-origin"
    assert response.headers["x-request-id"]
    assert response.headers["cache-control"] == ("no-cache" if path.endswith("studio.css") else "no-store")
    for inline in ("<script>", "onclick=", "style="):
        assert inline not in response.text.replace("swagger", "") or path.endswith(".css")


@pytest.mark.parametrize("prefix", ["/test", "/api/v1/test"])
async def test_an_error_response_hides_its_cause(browser_for: BrowserFor, lines: LogLines, prefix: str) -> None:
    browser = await browser_for(None)
    broken = await browser.get(f"{prefix}/broken")
    assert "secret" not in broken.text
    assert broken.headers["x-request-id"] in broken.text
    assert broken.headers["x-request-id"] in [line.get("request_id") for line in lines.lines]
    for path, status, secret in (("lost", 503, "10.0.0.7"), ("refused", 403, "secret_table")):
        response = await browser.get(f"{prefix}/{path}")
        assert response.status_code == status
        assert secret not in response.text
        assert ("<!doctype" in response.text) is (prefix == "/test")


@pytest.mark.parametrize(
    ("error", "status", "field"),
    [
        (CampaignNotFound(uuid4()), 404, None),
        (CampaignClosed("cancelled", 3), 409, None),
        (InvalidCampaign("batch_size", "must be a whole number"), 400, "batch_size"),
        (InvalidCallingHours(), 400, None),
        (asyncpg.UniqueViolationError("x"), 409, None),
        (asyncpg.CannotConnectNowError("x"), 503, None),
        (asyncpg.CharacterNotInRepertoireError("x"), 400, None),
    ],
)
def test_exceptions_become_error_responses(error: Exception, status: int, field: str | None) -> None:
    told = to_studio_error(error)
    assert isinstance(told, StudioError)
    assert told.status == status
    assert list(told.details.get("fields", {})) == ([field] if field else [])


async def test_an_invalid_request_names_its_invalid_fields(
    client_for: ClientFor, two_organizations: TwoOrganizations
) -> None:
    client = await client_for(two_organizations.own.users["operator"])
    url = f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/campaigns"
    response = await client.get(url, params={"limit": "many"})
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")
    assert list(response.json()["fields"]) == ["limit"]
    assert (await client.request("TRACE", url)).status_code == 405
    assert "422" not in (await client.get("/api/v1/openapi.json")).text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:54323", "127.0.0.1.evil.example", ""])
async def test_unknown_host_names_are_rejected(browser_for: BrowserFor, host: str) -> None:
    response = await (await browser_for(None)).get("/sign-in", headers={"host": host})
    assert response.status_code == 400


@pytest.mark.parametrize(
    "path",
    ["/static/x/..%2f..%2fsettings.py", "/static/x/../../settings.py", "/static/x/%2e%2e/settings.py",
     "/static/x/layout.html", "/static/%2e%2e/studio.css", "/static/x//etc/passwd", "/static/x/studio.css%00"],
)  # fmt: skip
async def test_only_static_files_are_served(browser_for: BrowserFor, path: str) -> None:
    response = await (await browser_for(None)).get(path)
    assert response.status_code == (404 if "studio.css" not in path or "%00" in path else 200)
    assert "import" not in response.text or response.headers["content-type"].startswith("text/css")


async def test_static_files_are_cached_under_versioned_urls(browser_for: BrowserFor) -> None:
    browser = await browser_for(None)
    first = await browser.get(static_url("studio.css"))
    assert first.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = await browser.get(static_url("studio.css"), headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_oversized_bodies_are_rejected(client_for: ClientFor, two_organizations: TwoOrganizations) -> None:
    client = await client_for(two_organizations.own.users["operator"])
    url = f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/campaigns"

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b'"' + b"a" * 100_000

    for content in (b"a" * (1 << 20 | 1), unannounced()):
        response = await client.post(url, content=content, headers={"content-type": "application/json"})
        assert (response.status_code, response.json()["code"]) == (413, "TOO_LARGE")


async def test_a_cookie_alone_cannot_change_anything_through_the_api(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    browser = await browser_for(two_organizations.own.users["operator"])
    assert browser.session is not None
    url = f"/api/v1/organizations/{two_organizations.own.tenant.organization_id}/campaigns"
    assert (await browser.get(url)).status_code == 200
    forged = [
        {},
        {"x-csrf-token": "guessed"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://evil.example", "x-csrf-token": browser.session.csrf},
        {"sec-fetch-site": "cross-site", "x-csrf-token": browser.session.csrf},
    ]
    for headers in forged:
        assert (await browser.client.post(url, json={}, headers=headers)).status_code == 403, headers
    ours = [
        {"x-csrf-token": browser.session.csrf},
        {"sec-fetch-site": "same-origin"},
        {"origin": "http://127.0.0.1:54323"},
    ]
    for headers in ours:
        # Let in, and then told what is missing.
        assert (await browser.client.post(url, json={}, headers=headers)).status_code == 400, headers


async def test_a_flash_message_is_shown_once(browser_for: BrowserFor, studio_app: StudioServer) -> None:
    browser = await browser_for(None)
    assert (await browser.get("/test/done")).status_code == 303
    assert "Saved &lt;b&gt;it" in (await browser.get("/sign-in")).text
    assert "Saved" not in (await browser.get("/sign-in")).text


async def test_a_user_without_organizations_gets_an_explanation(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    browser = await browser_for(two_organizations.own.users["outsider"])
    response = await browser.get("/")
    assert response.status_code == 200
    assert "You are not a member of any organization yet" in response.text


async def test_health_says_why_tokens_cannot_be_verified(studio_app: StudioServer) -> None:
    unreachable = KeyRing(jwks_url="http://127.0.0.1:1/auth/v1/.well-known/jwks.json")
    verifier = TokenVerifier.from_keys(unreachable, studio_app.clock)
    studio_app.app.state.studio = replace(studio_app.studio, verifier=verifier)
    client = await studio_app.client()
    assert (await client.get("/health")).json() == {"message": "ok"}
    header = base64.urlsafe_b64encode(b'{"alg":"ES256","kid":"a"}').decode().rstrip("=")
    refused = await (await studio_app.client(authorization=f"Bearer {header}.e30.c2ln")).get("/api/v1/organizations")
    health = await client.get("/health")
    await verifier.close()

    assert (refused.status_code, "127.0.0.1" in refused.text) == (503, False), "the cause is not for callers"
    assert (health.status_code, health.json()["message"]) == (200, "degraded")
    assert "Cannot connect to host 127.0.0.1:1" in health.json()["jwks"]
