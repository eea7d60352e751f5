"""Pages in their fullest state, with all their rows, long names and saved views, stay clear of the limit of a page."""

from datetime import timedelta
from uuid import uuid4

import asyncpg

from outdial.db.session import encode_json
from outdial.domain.limits import LONGEST_VIEW_NAME
from outdial.studio.callbacks.pages import SHOWN
from outdial.studio.saved_views.service import MOST_LISTED, ViewList
from tests.studio.test_callbacks import wait_for_callback
from tests.studio.test_every_page import LARGEST_PAGE
from tests.support.factories import NOW, Campaign, create_call, create_campaign, create_campaign_contact, insert
from tests.support.studio import BrowserFor
from tests.support.two_organizations import TwoOrganizations

HEADROOM = 4_000
NAME = "Wilhelmina Featherstonehaugh-Cholmondeley"
ROWS = 51
MANY = 26
WORDS = {"custom_analysis_data": {"callback_at": "in a day, after lunch " * 20}}
STATUSES: dict[str, dict[str, object]] = {
    "active": {},
    "paused": {"paused_reason": "lunch", "next_batch_at": None},
    "draft": {"next_batch_at": None},
    "completed": {"next_batch_at": None},
}
FILTERS = {
    ViewList.CALLS: {"outcome": "no_answer", "when": "last_7_days"},
    ViewList.CAMPAIGN_CALLS: {"outcome": "no_answer", "when": "last_7_days"},
    ViewList.CAMPAIGNS: {"section": "running"},
    ViewList.CONTACTS: {"q": "Featherstonehaugh"},
    ViewList.CAMPAIGN_CONTACTS: {"status": "pending", "outcome": "no_answer"},
}


async def create_callbacks(connection: asyncpg.Connection, campaign: Campaign) -> None:
    """Create more callbacks than a page has, with much that was said."""
    analysis = encode_json(WORDS | {"call_summary": "He keeps the plan. " * 30})
    for _ in range(MANY):
        entry = await wait_for_callback(connection, campaign, NOW + timedelta(days=9), NAME, call_count=1)
        await create_call(
            connection, entry, status="ended", outcome="answered", created_at=NOW, started_at=NOW,
            analysis=analysis, transcript="Agent: Hello?\n" * 500,
        )  # fmt: skip


async def test_full_pages_are_clear_of_the_limit_of_a_page(
    browser_for: BrowserFor, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    organization_id = own.tenant.organization_id
    home = f"/o/{organization_id}"
    campaign = await create_campaign(connection, own.tenant, name=NAME)
    for number in range(ROWS):
        entry = await create_campaign_contact(
            connection, campaign, attempts=1, call_count=1, last_outcome="no_answer", next_attempt_at=NOW,
            zone_key="America/Argentina/Buenos_Aires",
        )  # fmt: skip
        await connection.execute(
            "update contacts set name = $2, email = $3 where id = $1",
            *(entry.contact.id, f"{NAME} {number}", f"wilhelmina.featherstonehaugh.{number}@aberystwyth.example.com"),
        )
        await create_call(connection, entry, status="ended", outcome="no_answer", created_at=NOW, started_at=NOW)
    for _ in range(MANY):
        entry = await create_campaign_contact(connection, campaign, status="review", attempts=1, call_count=1)
        await connection.execute("update contacts set name = $2 where id = $1", entry.contact.id, NAME)
        said = {
            "transcript": "Agent: Hello?\n" * 500,
            "analysis": encode_json({"call_summary": "He keeps the plan. " * 30}),
        }
        await create_call(connection, entry, status="ended", outcome="unknown", created_at=NOW, started_at=NOW, **said)
    await create_callbacks(connection, campaign)
    for listed, filters in FILTERS.items():
        for number in range(MOST_LISTED):
            view = {"list": listed.value, "name": f"{number} {NAME}"[:LONGEST_VIEW_NAME].ljust(LONGEST_VIEW_NAME, "x")}
            view |= {"organization_id": organization_id, "user_id": own.users["owner" if number % 2 else "operator"]}
            view |= {"id": uuid4(), "created_at": NOW, "updated_at": NOW, "is_shared": True}
            await insert(connection, "saved_views", filters=encode_json(filters), **view)
    for number in range(MANY):
        for status, changes in STATUSES.items():
            name = f"{NAME} {status} {number}"
            await create_campaign(connection, own.tenant, name=name, status=status, **changes)
    owner = await browser_for(own.users["owner"])
    base = f"{home}/campaigns/{campaign.id}"
    sizes = {}
    for path in ("/api/v1/docs", "/api/v1/docs/schemas", f"{home}/campaigns"):
        sizes[path] = len((await owner.get(path)).content)
    sizes["review"] = len((await owner.get(f"{home}/review")).content)
    for name, path in (("callbacks", f"{home}/callbacks"), ("callbacks tab", f"{base}/callbacks?group=later")):
        callbacks = await owner.get(path)
        assert (callbacks.text.count("<h3>"), callbacks.text.count('class="turns"')) == (SHOWN, 1), path
        sizes[name] = len(callbacks.content)
    for path in (f"{home}/calls", f"{base}/calls", f"{home}/contacts?q=wilhelmina", f"{base}/contacts"):
        response = await owner.get(path)
        assert response.status_code == 200, response.text
        assert 'rel="next"' in response.text
        assert response.text.count(NAME) > MOST_LISTED
        sizes[path] = len(response.content)

    assert {path: size for path, size in sizes.items() if size > LARGEST_PAGE - HEADROOM} == {}
