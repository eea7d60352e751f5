"""The pre-dial hook: set, shown without its secret, and removed, over the API and on its page."""

import asyncpg

from tests.support.factories import NOW
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import FilledOrganization, TwoOrganizations

SECRET = "a secret that nobody sees again"
URL = "https://hook.example.com/calls?team=1"


def path(house: FilledOrganization) -> str:
    return f"/api/v1/organizations/{house.tenant.organization_id}/pre-dial-hook"


async def stored(connection: asyncpg.Connection, house: FilledOrganization) -> tuple[object, ...] | None:
    row = await connection.fetchrow(
        "select url, secret, failures from pre_dial_hooks where organization_id = $1", house.tenant.organization_id
    )
    return None if row is None else tuple(row)


async def test_an_admin_sets_moves_and_removes_the_hook(
    two_organizations: TwoOrganizations, client_for: ClientFor, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    admin = await client_for(own.users["admin"])
    assert (await admin.delete(path(own))).status_code == 204
    assert (await admin.get(path(own))).status_code == 404
    assert (await admin.delete(path(own))).status_code == 404

    without = await admin.put(path(own), json={"url": URL})
    assert (without.status_code, list(without.json()["fields"])) == (400, ["secret"])
    made = await admin.put(path(own), json={"url": f" {URL} ", "secret": SECRET})
    assert (made.status_code, made.json()["url"], made.json()["failures"]) == (200, URL, 0)
    assert await stored(connection, own) == (URL, SECRET, 0)

    await connection.execute(
        "update pre_dial_hooks set failures = 3, failing_reason = 'HTTP 503', retry_at = $1 where url = $2", NOW, URL
    )
    failing = (await (await client_for(own.users["viewer"])).get(path(own))).json()
    assert (failing["failures"], failing["failing_reason"]) == (3, "HTTP 503")
    moved = await admin.put(path(own), json={"url": "https://new.example.com"})
    assert (moved.status_code, moved.json()["failures"]) == (200, 0)
    assert await stored(connection, own) == ("https://new.example.com", SECRET, 0)

    assert (await admin.delete(path(own))).status_code == 204
    assert await stored(connection, own) is None
    for response in (without, made, moved):
        assert SECRET not in response.text
    audited = await connection.fetch(
        "select action, details::text as details from audit_log where subject_type = 'pre_dial_hook'"
        " and organization_id = $1 order by id",
        own.tenant.organization_id,
    )
    assert [row["action"] for row in audited] == [
        "remove_pre_dial_hook",
        "set_pre_dial_hook",
        "set_pre_dial_hook",
        "remove_pre_dial_hook",
    ]
    assert not any(SECRET in row["details"] for row in audited)


async def test_a_bad_url_or_secret_says_what_to_change(
    two_organizations: TwoOrganizations, client_for: ClientFor
) -> None:
    admin = await client_for(two_organizations.own.users["admin"])
    for url in ("http://hook.example.com", "https://10.0.0.1/", "https://localhost/", "hook", "https://a/#b"):
        refused = await admin.put(path(two_organizations.own), json={"url": url, "secret": SECRET})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["url"]), url
    short = await admin.put(path(two_organizations.own), json={"url": URL, "secret": "hunter2"})
    assert (short.status_code, list(short.json()["fields"])) == (400, ["secret"])
    assert "hunter2" not in short.text


async def test_the_page_sets_the_hook_and_shows_no_secret(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    page = f"/o/{own.tenant.organization_id}/settings/pre-dial-hook"
    browser = await browser_for(own.users["admin"])
    wrong = await browser.post_form(page, {"url": "http://hook.example.com", "hook_secret": SECRET})
    assert wrong.status_code == 400
    assert "Use https" in wrong.text
    assert 'value="http://hook.example.com"' in wrong.text
    done = await browser.post_form(page, {"url": URL, "hook_secret": SECRET})
    assert done.status_code == 303
    shown = await browser.get(page)
    assert SECRET not in wrong.text + shown.text
    assert await stored(connection, own) == (URL, SECRET, 0)
    kept = await browser.post_form(page, {"url": "https://new.example.com", "hook_secret": ""})
    assert kept.status_code == 303
    assert await stored(connection, own) == ("https://new.example.com", SECRET, 0)
    assert (await browser.post_form(f"{page}/remove")).status_code == 303
    assert await stored(connection, own) is None
    assert "No hook is set" in (await (await browser_for(own.users["viewer"])).get(page)).text


async def test_the_settings_link_to_the_hook(two_organizations: TwoOrganizations, browser_for: BrowserFor) -> None:
    own = two_organizations.own
    settings = f"/o/{own.tenant.organization_id}/settings"
    assert f'href="{settings}/pre-dial-hook"' in (await (await browser_for(own.users["viewer"])).get(settings)).text
