"""Functions belong to the environment: who sees them, statistics, and rollback."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from outdial.auth import User
from outdial.auth.caller import Caller
from outdial.studio.web.context import StudioCaller, is_platform_operator
from outdial.studio.web.settings import StudioSettings
from tests.support.factories import NOW
from tests.support.studio import BrowserFor, ClientFor, StudioServer
from tests.support.two_organizations import FilledOrganization, TwoOrganizations

REMOTE = StudioSettings(
    supabase_url="https://project.example.com", publishable_key="sb_publishable_test", secrets=("x" * 32,), secure=True
)


def base(house: FilledOrganization) -> str:
    return f"/api/v1/organizations/{house.tenant.organization_id}/functions"


async def add_invocations(connection: asyncpg.Connection) -> None:
    """Add what a function was asked in the last minutes, and a line that it logged."""
    for n, status in enumerate((200, 200, 404, 500)):
        await connection.execute(
            "insert into host.invocations (at, request_id, slug, version, method, path, status, code, ms, cpu_us, cold,"
            " request_bytes, response_bytes, region) values ($1, $2, 'hello', 2, 'POST', '/hello/<i>', $3, '', $4, 1,"
            " false, 1, 1, 'local')",
            NOW - timedelta(minutes=n + 1),
            uuid4(),
            status,
            float(n),
        )
    await connection.execute(
        "insert into host.log_lines (at, slug, version, level, kind, text)"
        " values ($1, 'hello', 2, 'error', 'log', '<script>')",
        NOW - timedelta(minutes=1),
    )
    await connection.execute(
        "insert into host.functions values ('hello', 'hello', 2, null, $1, $1)", NOW - timedelta(hours=2)
    )
    for version, state in ((1, "superseded"), (2, "active")):
        await connection.execute(
            "insert into host.function_versions (slug, version, entrypoint_path, static_patterns, verify_jwt, sha256,"
            " status, created_at, created_by) values ('hello', $1, 'index.py', '{}', false, $2, $3, $4, 'ci')",
            version,
            "0" * 64,
            state,
            NOW - timedelta(hours=1),
        )


async def test_owners_of_a_local_stack_see_statistics_versions_and_log(
    two_organizations: TwoOrganizations,
    connection: asyncpg.Connection,
    studio_app: StudioServer,
    client_for: ClientFor,
    browser_for: BrowserFor,
) -> None:
    own = two_organizations.own
    await add_invocations(connection)
    client, browser = await client_for(own.users["owner"]), await browser_for(own.users["owner"])

    [hello] = (await client.get(base(own))).json()
    spans = (await client.get(f"{base(own)}/hello/stats", params={"span": "1h"})).json()
    versions = (await client.get(f"{base(own)}/hello/versions")).json()
    errors = (await client.get(f"{base(own)}/log", params={"level": "error"})).json()["items"]
    page = f"/o/{own.tenant.organization_id}/functions"
    listed, without_token = await browser.get(page), await browser.get(f"{page}/hello")
    settings = replace(studio_app.studio.settings, access_token="sbp_secret")
    studio_app.app.state.studio = replace(studio_app.studio, settings=settings)
    shown = await browser.get(f"{page}/hello")

    assert (hello["invocations"], hello["refused"], hello["failed"], hello["active_version"]) == (4, 1, 1, 2)
    assert sum(span["invocations"] for span in spans) == 4
    assert [(one["version"], one["status"]) for one in versions] == [(2, "active"), (1, "superseded")]
    assert [(one["kind"], one["status"]) for one in errors] == [("log", None), ("invocation", 500)]
    assert "hello" in listed.text
    assert "&lt;script&gt;" in shown.text
    assert "Roll back" in shown.text
    assert "sbp_secret" not in shown.text
    assert ("Roll back" in without_token.text, "OUTDIAL_ACCESS_TOKEN" in without_token.text) == (False, True)
    assert (await browser.get(f"{page}/nothing")).status_code == 404


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_other_roles_see_no_functions_even_on_a_local_stack(
    two_organizations: TwoOrganizations, client_for: ClientFor, browser_for: BrowserFor, role: str
) -> None:
    own = two_organizations.own
    client = await client_for(own.users[role])
    for path in ("", "/log", "/hello/stats", "/hello/versions"):
        assert (await client.get(f"{base(own)}{path}")).status_code == 403
    assert (await client.post(f"{base(own)}/hello/rollback")).status_code == 403
    page = f"/o/{own.tenant.organization_id}/functions"
    shown = await (await browser_for(own.users[role])).get(page)
    assert (shown.status_code, "whole environment" in shown.text) == (403, True)
    assert f'href="{page}"' not in shown.text
    assert f'href="{page}"' in (await (await browser_for(own.users["owner"])).get(page)).text


@pytest.mark.parametrize(
    ("app_metadata", "operators", "expected"),
    [
        ({}, (), False),
        ({"role": "platform"}, (), True),
        ({}, ("ada@example.com",), True),
        ({"role": "x"}, ("b",), False),
    ],
)
async def test_on_a_remote_stack_an_owner_must_be_a_platform_operator(
    studio_app: StudioServer, app_metadata: dict[str, str], operators: tuple[str, ...], expected: bool
) -> None:
    studio = replace(studio_app.studio, settings=replace(REMOTE, operators=operators))
    user = User(uuid4(), "Ada@example.com", "authenticated", app_metadata, {"role": "platform"})
    member = StudioCaller(studio, Caller("user", "authenticated", {}, user))

    assert is_platform_operator(member, "owner") is expected
    claimed = StudioCaller(studio, Caller("user", "authenticated", {}, replace(user, is_email_confirmed=False)))
    assert is_platform_operator(claimed, "owner") is (expected and not operators), "someone signed up with the address"
    assert is_platform_operator(StudioCaller(studio, Caller("secret", "service_role", {})), "owner")


@dataclass
class Host:
    """Stands in for the function host's own API: answers a rollback with `status`."""

    status: int = 200
    asked: list[tuple[str, str, object]] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, request.headers["authorization"], await request.json()))
        body = {"version": 1} if self.status == 200 else {"message": "It does not start"}
        return web.json_response(body, status=self.status)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    stand_in = Host()
    app = web.Application()
    app.router.add_post("/v1/projects/{ref}/functions/{slug}/rollback", stand_in.answer)
    async with TestServer(app) as server:
        stand_in.url = str(server.make_url("")).rstrip("/")
        yield stand_in


@pytest.mark.parametrize(
    ("status", "expected"), [(200, 200), (404, 404), (400, 400), (409, 409), (401, 503), (500, 503)]
)
async def test_a_rollback_is_requested_from_the_host(
    two_organizations: TwoOrganizations,
    studio_app: StudioServer,
    client_for: ClientFor,
    host: Host,
    status: int,
    expected: int,
) -> None:
    own = two_organizations.own
    settings = replace(studio_app.studio.settings, host_url=host.url, access_token="sbp_secret")
    studio_app.app.state.studio = replace(studio_app.studio, settings=settings)
    host.status = status

    response = await (await client_for(own.users["owner"])).post(f"{base(own)}/hello/rollback", json={"version": 1})

    assert response.status_code == expected
    assert host.asked == [
        ("/v1/projects/outdiallocalprojects/functions/hello/rollback", "Bearer sbp_secret", {"version": 1})
    ]
    assert "sbp_secret" not in response.text


async def test_a_platform_operator_may_be_a_viewer_and_is_audited(
    two_organizations: TwoOrganizations,
    connection: asyncpg.Connection,
    studio_app: StudioServer,
    browser_for: BrowserFor,
    host: Host,
) -> None:
    viewer, organization_id = two_organizations.own.users["viewer"], two_organizations.own.tenant.organization_id
    settings = replace(
        studio_app.studio.settings, host_url=host.url, access_token="sbp_secret", operators=(str(viewer),)
    )
    studio_app.app.state.studio = replace(studio_app.studio, settings=settings)
    browser = await browser_for(viewer)
    url = f"/o/{organization_id}/functions/hello"

    done = await browser.post_form(f"{url}/rollback", {"version": "0"})

    assert (done.status_code, done.headers["location"]) == (303, url)
    assert [asked[2] for asked in host.asked] == [{"version": 0}]
    entry = await connection.fetchrow("select organization_id, actor, action from audit_log order by id desc limit 1")
    assert entry is not None
    assert tuple(entry) == (organization_id, str(viewer), "roll_back_function")


async def test_a_missing_token_or_host_is_explained(
    two_organizations: TwoOrganizations, studio_app: StudioServer, client_for: ClientFor
) -> None:
    own = two_organizations.own
    client = await client_for(own.users["owner"])
    without = await client.post(f"{base(own)}/hello/rollback")
    settings = replace(studio_app.studio.settings, host_url="http://127.0.0.1:1", access_token="sbp_secret")
    studio_app.app.state.studio = replace(studio_app.studio, settings=settings)
    away = await client.post(f"{base(own)}/hello/rollback")

    assert (without.status_code, "OUTDIAL_ACCESS_TOKEN" in without.json()["message"]) == (503, True)
    assert (away.status_code, "OUTDIAL_HOST_URL" in away.json()["message"]) == (503, True)
