"""Caller numbers in the API and on their page: figures, caps, rests and the request of an import."""

import asyncpg

from outdial.clock import SystemClock
from tests.support.studio import BrowserFor, ClientFor
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
    assert "Rests until" in shown
    assert "a member of the organization let it rest" in shown
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
