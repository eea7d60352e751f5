"""Budgets in the API and on pages: setting them, their use, and the calls with unknown cost."""

from datetime import timedelta

import asyncpg

from tests.support.factories import NOW, create_calling, create_campaign, create_campaign_contact
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations


async def test_budgets_that_cannot_be_read_are_refused_before_anything_is_stored(
    two_organizations: TwoOrganizations, client_for: ClientFor, browser_for: BrowserFor, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    organization_id = own.tenant.organization_id
    path, pages = f"/api/v1/organizations/{organization_id}", f"/o/{organization_id}"
    admin, browser = await client_for(own.users["admin"]), await browser_for(own.users["admin"])
    for wrong, field in [
        ({"day_cents": -1}, "day_cents"), ({"month_cents": 1.5}, "month_cents"), ({"day_cents": "x"}, "day_cents"),
        ({"day_cents": 10**12 + 1}, "day_cents"), ({"time_zone": "Mars"}, "time_zone"),
    ]:  # fmt: skip
        refused = await admin.put(f"{path}/budgets", json=wrong)
        assert (refused.status_code, list(refused.json()["fields"])) == (400, [field])
    for typed, field in [({"day": "-5"}, "day"), ({"month": "much"}, "month"), ({"time_zone": "Mars"}, "time_zone")]:
        form = {"day": "", "month": "", "time_zone": "UTC"} | typed
        shown = await browser.post_form(f"{pages}/settings/budgets", form)
        assert shown.status_code == 400
        assert f'href="#field-{field}"' in shown.text
    assert await connection.fetchval("select count(*) from audit_log where action = 'change_budget'") == 0


async def test_members_see_the_use_of_budgets_and_the_calls_whose_cost_is_not_known(
    two_organizations: TwoOrganizations, client_for: ClientFor, browser_for: BrowserFor, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    organization_id, now = own.tenant.organization_id, NOW
    path, pages = f"/api/v1/organizations/{organization_id}", f"/o/{organization_id}"
    admin, browser = await client_for(own.users["admin"]), await browser_for(own.users["admin"])

    saved = await browser.post_form(
        f"{pages}/settings/budgets", {"day": "$1,000", "month": "10.00", "time_zone": "America/New_York"}
    )
    assert saved.status_code == 303
    campaign = await create_campaign(connection, own.tenant, budget_cents=300)
    spent = {"reserved_cents": 100, "spent_on": now.date(), "started_at": now, "request_deadline": None}
    ended = spent | {"status": "ended", "ended_at": now - timedelta(minutes=3), "created_at": now}
    _, unknown = await create_calling(connection, campaign, **ended, outcome="answered")
    await create_calling(connection, campaign, **ended, cost_cents=150, outcome="answered")
    await connection.execute("update spending set day = $1 where campaign_id = $2", now.date(), campaign.id)

    own_budget, day, month = (await admin.get(f"{path}/campaigns/{campaign.id}/progress")).json()["budgets"]
    assert [each["budget"] for each in (own_budget, day, month)] == ["campaign", "day", "month"]
    assert (own_budget["spent_cents"], own_budget["reserved_cents"], own_budget["left_cents"]) == (150, 100, 50)
    # Fewer than 20 costs are known: the highest is reserved.
    assert [each["level"] for each in (own_budget, day, month)] == ["used_up", "open", "open"]
    assert (await admin.get(f"{path}/budgets")).json()["month_cents"] == 1000
    (listed,) = (await admin.get(f"{path}/budgets/unknown-costs?campaign_id={campaign.id}")).json()["items"]
    assert (listed["id"], listed["reserved_cents"], listed["outcome"]) == (str(unknown), 100, "answered")
    assert 180 <= listed["age_s"] < 240

    shown = await browser.get(f"{pages}/settings/budgets?campaign={campaign.id}")
    assert f'href="{pages}/calls/{unknown}"' in shown.text
    assert "3:0" in shown.text
    assert (await browser.get(f"{pages}/settings/budgets?campaign=x")).status_code == 400
    page = (await browser.get(f"{pages}/campaigns/{campaign.id}")).text
    assert 'notice-bad"><p data-budget="campaign"' in page
    assert "cannot cover another call" in page
    assert "Budget 83% spent or reserved" in (await browser.get(f"{pages}/campaigns")).text

    await admin.put(f"{path}/budgets", json={"day_cents": 300, "month_cents": 10_000})
    listed_page = (await browser.get(f"{pages}/campaigns")).text
    assert 'notice-bad"><p data-budget="day"' in listed_page
    assert 'data-budget="month"' not in listed_page
    # A campaign that waits for its budget says so once, in the banner with the button that raises it.
    await create_campaign_contact(connection, campaign)
    page = (await browser.get(f"{pages}/campaigns/{campaign.id}")).text
    assert (page.count("budget of $3.00 cannot cover another call"), 'data-budget="campaign"' in page) == (1, False)
    assert "raise it to continue, or wait: the reserved calls may cost less" in page
    removed = await admin.put(f"{path}/budgets", json={})
    assert removed.json()["time_zone"] == "America/New_York"
    assert removed.json()["budgets"] == []
