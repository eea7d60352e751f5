"""The page Retell: a key is tested before it is stored, never shown, and what is wrong is said beside its field."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import asyncpg
import pytest

from outdial.db.queries.auth import provider_keys as queries
from outdial.provider import ProviderUnavailable
from tests.support.factories import NOW, create_user
from tests.support.postgres import Scratch
from tests.support.studio import BrowserFor, ClientFor, FakeKeyTester, StudioServer
from tests.support.two_organizations import FilledOrganization, TwoOrganizations, acting, new_row

GOOD, SECOND = "key_good_first_1a2b", "key_good_second_3c4d"
BESIDE = re.compile(r'<span class="wrong">([^<]+)</span>')


def url_of(own: FilledOrganization) -> str:
    return f"/o/{own.tenant.organization_id}/settings/retell"


def api_of(own: FilledOrganization) -> str:
    return f"/api/v1/organizations/{own.tenant.organization_id}/accounts/{own.tenant.provider_account_id}/key"


@pytest.fixture
async def own(two_organizations: TwoOrganizations, connection: asyncpg.Connection) -> FilledOrganization:
    """The own organization, before a key was entered."""
    await connection.execute("delete from provider_keys")
    return two_organizations.own


async def test_a_key_is_tested_stored_replaced_and_removed_and_never_shown(
    own: FilledOrganization, connection: asyncpg.Connection, browser_for: BrowserFor, studio_app: StudioServer
) -> None:
    admin, viewer = [await browser_for(own.users[role]) for role in ("admin", "viewer")]
    url, path = url_of(own), f"{url_of(own)}/{own.tenant.provider_account_id}"
    seen = [await admin.get(url), await admin.post_form(path, {"retell_key": f" {GOOD} "}), await admin.get(url)]
    assert "Not connected" in seen[0].text
    assert seen[1].status_code == 303
    assert "Not reported</span>" in seen[2].text, "no dialer is running"
    assert "Has not reported yet" in seen[2].text
    assert "1a2b" in seen[2].text
    assert "Workspace 1a2b" in seen[2].text

    seen += [await admin.post_form(path, {"retell_key": SECOND}), await admin.get(url), await viewer.get(url)]
    assert "3c4d" in seen[4].text
    assert "Reject former key" in seen[4].text
    assert "3c4d" in seen[5].text
    assert '<form class="form"' not in seen[5].text
    seen += [await admin.post_form(f"{path}/end-former"), await admin.post_form(f"{path}/remove"), await admin.get(url)]
    assert "Not connected" in seen[-1].text

    asked = cast("FakeKeyTester", studio_app.studio.key_tester).asked
    assert asked[-2:] == [GOOD, SECOND]
    stored = await connection.fetch("select * from provider_keys order by entered_at, id")
    assert [row["accepted_until"] for row in stored] == [NOW, NOW + timedelta(hours=24)]
    assert all(GOOD.encode() not in row["ciphertext"] and SECOND.encode() not in row["ciphertext"] for row in stored)
    audited = await connection.fetch(
        "select action, details::text from audit_log where subject_id = $1 and action <> 'import_numbers' order by id",
        str(own.tenant.provider_account_id),
    )
    assert [row["action"] for row in audited] == [
        "enter_api_key",
        "replace_api_key",
        "end_former_api_keys",
        "remove_api_key",
    ]
    everything = "".join([*(page.text + str(page.headers) for page in seen), *(row["details"] for row in audited)])
    assert GOOD not in everything
    assert SECOND not in everything


async def test_the_page_says_who_has_reported_that_they_can_read_the_key(
    own: FilledOrganization, connection: asyncpg.Connection, browser_for: BrowserFor, studio_app: StudioServer
) -> None:
    admin = await browser_for(own.users["admin"])
    url, path = url_of(own), f"{url_of(own)}/{own.tenant.provider_account_id}"
    await admin.post_form(path, {"retell_key": GOOD})

    async def shown(**reported: datetime | None) -> str:
        for column, at in reported.items():
            await connection.execute(f"update provider_keys set {column} = $1", at)  # noqa: S608
        return (await admin.get(url)).text

    now = studio_app.clock.now()
    assert "Connected</span>" in await shown(dialer_read_at=now)
    unreadable = await shown(dialer_unreadable_at=now)
    assert "Connected</span>" not in unreadable
    assert "Dialers cannot read the key" in unreadable
    assert "RETELL_ENCRYPTION_KEY" in unreadable
    former = now - timedelta(minutes=2)
    assert "Connected</span>" in await shown(dialer_unreadable_at=former)
    assert "Not reported</span>" in await shown(dialer_read_at=former)
    broken = await shown(dialer_read_at=now, webhook_read_at=former, webhook_unreadable_at=now)
    assert "Webhook function cannot read the key" in broken
    assert "it rejects the events that Retell signs with it" in broken
    assert "Connected</span>" in await shown(webhook_read_at=now + timedelta(seconds=1))
    await admin.post_form(f"{path}/remove")
    await connection.execute("update provider_accounts set environment_key_at = $1", now - timedelta(hours=1))
    stale = (await admin.get(url)).text
    assert ("Not connected" in stale, "A dialer last reported a key on the server" in stale) == (False, True)

    await connection.execute("delete from environment_keys")
    for minutes, name in ((0, "Sales"), (0, ""), (1, "Sales"), (1, ""), (2, "Sales")):
        await queries.report_environment_keys(
            connection,
            credentials=[own.tenant.credential],
            workspace_ids=[f"org_{name}" if name else None],
            workspace_names=[name],
            fingerprints=[f"key of {name}"],
            now=now - timedelta(minutes=5 - minutes),
        )
    differing = (await admin.get(url)).text
    assert "different Retell workspaces on the server: Sales, one that Retell has not named yet." in differing
    assert ("Connected</span>" in differing, "Dialers have different keys</span>" in differing) == (False, True)
    studio_app.clock.advance(timedelta(minutes=20))
    assert "Retell workspaces on the server:" not in (await admin.get(url)).text


async def test_what_is_wrong_with_a_key_is_said_beside_its_field_and_the_key_is_not_sent_back(
    own: FilledOrganization,
    two_organizations: TwoOrganizations,
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    studio_app: StudioServer,
) -> None:
    admin = await browser_for(own.users["admin"])
    path = f"{url_of(own)}/{own.tenant.provider_account_id}"
    other = await browser_for(two_organizations.other.users["admin"])
    theirs = f"{url_of(two_organizations.other)}/{two_organizations.other.tenant.provider_account_id}"
    assert (await other.post_form(theirs, {"retell_key": GOOD})).status_code == 303
    wrong = {}
    for key in ("", "key_wrong_0123456789", GOOD):
        response = await admin.post_form(path, {"retell_key": key})
        assert response.status_code == 400
        assert not key or key not in response.text
        [wrong[key]] = BESIDE.findall(response.text)
    cast("FakeKeyTester", studio_app.studio.key_tester).response = ProviderUnavailable("no connection")
    away = await admin.post_form(path, {"retell_key": SECOND})
    [wrong[SECOND]] = BESIDE.findall(away.text)

    assert away.status_code == 503
    assert [text[:28] for text in wrong.values()] == [
        "Enter the whole key as Retel",
        "Retell does not accept this ",
        "Another account already uses",
        "Retell could not be asked ab",
    ]
    assert await connection.fetchval("select count(*) from provider_keys") == 1


async def test_the_api_takes_a_key_and_gives_none_back(
    own: FilledOrganization, connection: asyncpg.Connection, client_for: ClientFor, studio_app: StudioServer
) -> None:
    admin = await client_for(own.users["admin"])
    entered = await admin.put(api_of(own), json={"api_key": GOOD})
    replaced = await admin.put(api_of(own), json={"api_key": SECOND, "ends_former": True})
    invalid = await admin.put(api_of(own), json={"api_key": "key_wrong_0123456789"})
    too_long = await admin.put(api_of(own), json={"api_key": "k" * 5000})
    shown = await admin.get(api_of(own))

    assert (entered.json()["source"], entered.json()["last_four"]) == ("stored", "1a2b")
    assert (replaced.json()["last_four"], replaced.json()["former_until"]) == ("3c4d", None)
    assert (invalid.status_code, list(invalid.json()["fields"])) == (400, ["api_key"])
    assert (too_long.status_code, "kkkk" in too_long.text) == (400, False)
    assert GOOD not in (all_texts := entered.text + replaced.text + shown.text)
    assert SECOND not in all_texts
    assert "key_wrong" not in invalid.text
    assert (await admin.delete(api_of(own))).status_code == 204
    assert (await admin.delete(api_of(own))).status_code == 404

    await connection.execute("update provider_accounts set environment_key_at = $1", NOW)
    assert (await admin.get(api_of(own))).json()["source"] == "environment"
    refused = await admin.put(api_of(own), json={"api_key": GOOD})
    assert refused.status_code == 409
    assert "RETELL_API_KEY" in refused.json()["message"]
    settings = replace(studio_app.studio.settings, encryption_secrets=())
    studio_app.app.state.studio = replace(studio_app.studio, settings=settings)
    assert "RETELL_ENCRYPTION_KEY" in (await admin.put(api_of(own), json={"api_key": GOOD})).json()["message"]


@pytest.mark.parametrize("role", ["admin", "service"])
async def test_those_who_enter_a_key_cannot_read_its_ciphertext(
    two_organizations: TwoOrganizations, database: Scratch, role: str
) -> None:
    async with acting(two_organizations, role) as acted:
        for statement in (
            "select ciphertext from provider_keys",
            "select * from provider_keys",
            "update provider_keys set accepted_until = now() returning ciphertext",
            "update provider_keys set ciphertext = '\\x00'",
            "update provider_keys set workspace_id = 'org_of_others'",
            "delete from provider_keys where ciphertext is not null",
            "select * from private.provider_keys_in_use(now())",
        ):
            undone = acted.transaction()
            await undone.start()
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await acted.execute(statement)
            await undone.rollback()


async def test_no_admin_names_the_workspace_of_others_past_the_studio(
    own: FilledOrganization, two_organizations: TwoOrganizations
) -> None:
    row = new_row("provider_keys", own, actor="admin") | {"workspace_id": "org_of_others"}
    names, places = ", ".join(row), ", ".join(f"${number}" for number in range(1, len(row) + 1))
    async with acting(two_organizations, "admin") as acted:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await acted.execute(f"insert into provider_keys ({names}) values ({places})", *row.values())  # noqa: S608


async def test_the_first_user_creates_an_organization_and_further_ones_only_by_the_setting(
    connection: asyncpg.Connection, browser_for: BrowserFor, studio_app: StudioServer
) -> None:
    first, second = [await browser_for(await create_user(connection)) for _ in range(2)]
    assert (await first.get("/")).headers["location"] == "/organizations/new"
    form = {"name": "Acme", "time_zone": "America/Chicago"}
    refused = [
        await first.post_form("/organizations/new", form | {"name": "  "}),
        await first.post_form("/organizations/new", form | {"time_zone": "Mars/Olympus"}),
    ]
    assert [page.status_code for page in refused] == [400, 400]
    assert "Mars" in refused[1].text or "Choose a time zone" in refused[1].text
    assert 'value="Acme"' in refused[1].text
    created = await first.post_form("/organizations/new", form)
    assert re.fullmatch(r"/o/[0-9a-f-]{36}/settings/retell", created.headers["location"])
    assert "Not connected" in (await first.get(created.headers["location"])).text

    row = await connection.fetchrow(
        "select o.name, a.credential, a.name as account, m.role, b.time_zone from organizations o"
        " join provider_accounts a on a.organization_id = o.id join organization_members m on m.organization_id = o.id"
        " join organization_budgets b on b.organization_id = o.id"
    )
    assert row is not None
    assert (row["name"], row["account"], row["role"], row["time_zone"]) == (
        "Acme",
        "Retell",
        "owner",
        "America/Chicago",
    )
    assert re.fullmatch("org_[0-9a-f]{32}", row["credential"]), "no name of a key in the environment"

    for browser in (first, second):
        assert (await browser.get("/organizations/new")).status_code == 403
        assert (await browser.post_form("/organizations/new", form)).status_code == 403
    assert "Ask an admin to invite" in (await second.get("/")).text
    settings = replace(studio_app.studio.settings, anyone_creates=True)
    studio_app.app.state.studio = replace(studio_app.studio, settings=settings)
    assert (await second.post_form("/organizations/new", form)).status_code == 303
    assert (await second.post_form("/organizations/new", form)).status_code == 403, "one for each user"
    assert await connection.fetchval("select count(*) from organizations") == 2
