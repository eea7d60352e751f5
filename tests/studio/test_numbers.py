"""Caller numbers in the API and on their page: figures, caps, rests and the request of an import."""

import re
from datetime import timedelta

import asyncpg

from outdial.clock import SystemClock
from outdial.studio.view.phones import phone_text
from tests.studio.rights import CAMPAIGN_FORM
from tests.support.factories import (
    NOW,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
    insert,
)
from tests.support.studio import BrowserFor, ClientFor, StudioServer
from tests.support.two_organizations import TwoOrganizations


async def test_members_see_how_numbers_fare_and_cap_rest_and_import_them(
    two_organizations: TwoOrganizations, client_for: ClientFor, browser_for: BrowserFor, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    organization_id = own.tenant.organization_id
    path = f"/api/v1/organizations/{organization_id}/numbers"
    row = await connection.fetchrow("select id, phone from phone_numbers where organization_id = $1", organization_id)
    assert row is not None
    phone = row["phone"]
    await connection.execute(
        "insert into number_health (organization_id, phone, calls, answered, voicemail, blocked, measured_at)"
        " values ($1, $2, 40, 10, 4, 1, $3)",
        organization_id,
        phone,
        SystemClock().now(),
    )
    admin, operator = [await client_for(own.users[role]) for role in ("admin", "operator")]

    limited = await admin.put(f"{path}/{row['id']}/limits", json={"daily_cap": 100, "warm_up_days": 4})
    assert (limited.status_code, limited.json()["daily_cap"], limited.json()["cap_today"]) == (200, 100, 20)
    again = await admin.put(f"{path}/{row['id']}/limits", json={"daily_cap": 50, "warm_up_days": 4})
    assert again.json()["cap_today"] == 10
    wrong = await admin.put(f"{path}/{row['id']}/limits", json={"daily_cap": 0})
    assert (wrong.status_code, list(wrong.json()["fields"])) == (400, ["daily_cap"])

    rested = await operator.post(f"{path}/rest", json={"phone": phone})
    assert (rested.status_code, rested.json()["rest_reason"]) == (200, "by_member")
    assert (await operator.post(f"{path}/rest", json={"phone": "+14155559999"})).status_code == 404
    assert (await operator.post(f"{path}/rest", json={"phone": "12"})).status_code == 400
    found = {each["phone"]: each for each in (await operator.get(f"{path}/health")).json()}
    assert (found[phone]["calls"], found[phone]["answered"], found[phone]["blocked"]) == (40, 10, 1)

    browser = await browser_for(own.users["admin"])
    shown = (await browser.get(f"/o/{organization_id}/numbers")).text
    assert "Resting until" in shown
    assert "Rested by a member of the organization" in shown
    assert "25%" in shown
    bad = await browser.post_form(f"/o/{organization_id}/numbers/{row['id']}/limits", {"daily_cap": "none"})
    assert bad.status_code == 400

    assert (await operator.post(f"{path}/wake", json={"phone": phone})).json()["rests_until"] is None
    assert (await operator.post(f"{path}/wake", json={"phone": phone})).status_code == 409
    requested = await admin.post(f"{path}/imports")
    assert (requested.status_code, requested.json()[0]["finished_at"]) == (202, None)
    actions = await connection.fetch(
        "select action from audit_log where organization_id = $1 and actor <> 'webhook' and subject_id = any ($2)"
        " order by id",
        organization_id,
        [phone, str(own.tenant.provider_account_id)],
    )
    assert [each["action"] for each in actions] == [
        "limit_number", "limit_number", "rest_number", "wake_number", "import_numbers",
    ]  # fmt: skip


async def test_a_campaign_shows_the_figures_of_its_numbers_in_its_order(
    two_organizations: TwoOrganizations, client_for: ClientFor, browser_for: BrowserFor, connection: asyncpg.Connection
) -> None:
    own, now = two_organizations.own, NOW
    tenant, organization_id = own.tenant, own.tenant.organization_id
    capped, resting = "+14155550102", "+12125550101"
    campaign = await create_campaign(connection, tenant, from_number=capped, more_numbers=[resting])
    await connection.execute(
        "insert into phone_numbers (organization_id, provider_account_id, phone, daily_cap) values ($1, $2, $3, 10)",
        organization_id,
        tenant.provider_account_id,
        capped,
    )
    await connection.execute(
        "insert into number_health (organization_id, phone, calls, answered, voicemail, blocked, rests_until,"
        " rest_reason, rests_since) values ($1, $2, 40, 10, 4, 1, null, null, null),"
        " ($1, $3, 0, 0, 0, 0, $4, 'blocked_in_a_row', $5)",
        *(organization_id, capped, resting, now + timedelta(hours=3), now),
    )
    for hours, status in ((30, "ended"), (20, "ended"), (0, "ongoing")):
        entry = await create_campaign_contact(connection, campaign)
        outcome = "answered" if status == "ended" else None
        at = now - timedelta(hours=hours)
        await create_call(
            connection, entry, from_number=capped, status=status, outcome=outcome, requested_at=at, next_check_at=None
        )

    client = await client_for(own.users["viewer"])
    path = f"/api/v1/organizations/{organization_id}/numbers/health"
    first, second = (await client.get(path, params={"campaign_id": str(campaign.id)})).json()
    names = ("phone", "answer_rate", "voicemail_share", "blocked_share", "cap_today", "calls_of_day", "rest_reason")
    assert [first[name] for name in names] == [capped, 0.25, 0.1, 0.025, 10, 2, None]
    assert [second[name] for name in names] == [resting, None, None, None, None, None, "blocked_in_a_row"]
    assert second["rests_until"] is not None
    of_others = await client.get(path, params={"campaign_id": str(two_organizations.other.tenant.organization_id)})
    assert of_others.status_code == 404

    browser = await browser_for(own.users["viewer"])
    shown = (await browser.get(f"/o/{organization_id}/campaigns/{campaign.id}")).text
    part = shown[shown.index('id="campaign-numbers"') :].partition("</section>")[0]
    assert part.index(phone_text(capped)) < part.index(phone_text(resting))
    for text in ("25%", "10%", "2%", "2 of 10", "Resting until", "3 calls in a row were blocked or marked spam"):
        assert text in part, text


async def test_agents_are_offered_by_name_and_an_unknown_one_is_refused_once_a_list_was_read(
    studio_app: StudioServer, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    operator = await create_member(connection, tenant.organization_id, "operator")
    client, browser = await studio_app.client_of(operator), await studio_app.browser_of(operator)
    api, form = f"/api/v1/organizations/{tenant.organization_id}", f"/o/{tenant.organization_id}/campaigns"
    new = {"name": "Autumn", "retell_agent_id": "agent_sales", "from_number": "+12125550000"}
    # Before a list has been read, any id may be typed.
    assert (await client.post(f"{api}/campaigns", json=new | {"retell_agent_id": "agent_x"})).status_code == 201

    account = {"organization_id": tenant.organization_id, "provider_account_id": tenant.provider_account_id}
    await insert(connection, "number_imports", **account, requested_at=NOW, finished_at=NOW, agents_listed=2)
    for agent_id, name, suspended in (("agent_sales", "Sales <EU>", False), ("agent_old", "Old", True)):
        await insert(connection, "agents", **account, agent_id=agent_id, name=name, is_suspended=suspended, seen_at=NOW)
    assert [each["name"] for each in (await client.get(f"{api}/agents")).json()] == ["Old", "Sales <EU>"]
    page = (await browser.get(f"{form}/new")).text
    assert re.search('<option value="agent_sales"( selected)?>Sales &lt;EU&gt;</option>', page)
    assert "agent_old" not in page
    assert "agent_x" not in page
    numbers = (await browser.get(f"/o/{tenant.organization_id}/numbers")).text
    assert "Suspended at Retell" in numbers
    assert ": 0 numbers at Retell, 2 agents, " in numbers

    before = await connection.fetchval("select count(*) from campaigns")
    for agent_id, problem in (("agent_x", "import its agents again"), ("agent_old", "is suspended at Retell")):
        refused = await client.post(f"{api}/campaigns", json=new | {"retell_agent_id": agent_id})
        assert refused.status_code == 400
        assert problem in refused.json()["fields"]["retell_agent_id"]
    shown = await browser.post_form(form, CAMPAIGN_FORM | {"retell_agent_id": "agent_x"})
    assert (shown.status_code, "import its agents again" in shown.text) == (400, True)
    assert await connection.fetchval("select count(*) from campaigns") == before
    created = await client.post(f"{api}/campaigns", json=new)
    assert created.status_code == 201
    settings = (await browser.get(f"{form}/{created.json()['id']}/settings")).text
    assert "<dt>Agent</dt><dd>Sales &lt;EU&gt;</dd>" in settings
    changed = await client.patch(f"{api}/campaigns/{created.json()['id']}", json={"retell_agent_id": "agent_x"})
    assert (changed.status_code, "retell_agent_id" in changed.json()["fields"]) == (400, True)
