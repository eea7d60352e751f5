"""A page that shows the progress of a background process is refreshed until it is over, also without JavaScript."""

import re
from datetime import timedelta

import asyncpg
import pytest

from outdial.domain.policies.test_calls import StatusOfTestCall
from outdial.studio.test_calls.service import CampaignTestCall
from outdial.studio.web.rendering import TEMPLATES
from tests.support.factories import NOW
from tests.support.studio import BrowserFor
from tests.support.two_organizations import TwoOrganizations

REFRESH = '<noscript><meta http-equiv="refresh"'
NOTHING_WAITS = (
    "update launch_checks set checked_at = requested_at",
    "update number_imports set finished_at = requested_at, next_try_at = null",
    "update erasures set finished_at = requested_at, swept_at = requested_at, phone = null, terms = '{}'",
    "update calls set request_deadline = created_at - interval '1 hour' where request_deadline is not null",
    "delete from test_calls",
)
WAITS = {
    "campaigns/{campaign}/launch-check": "update launch_checks set checked_at = null",
    "numbers": "update number_imports set finished_at = null, next_try_at = requested_at",
    "privacy": "update erasures set finished_at = null",
    "stop": "update calls set request_deadline = '2100-01-01' where request_deadline is not null",
}


@pytest.mark.parametrize("path", WAITS)
async def test_a_page_is_refreshed_while_it_waits_and_no_longer(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, connection: asyncpg.Connection, path: str
) -> None:
    own = two_organizations.own
    organization_id = own.tenant.organization_id
    browser = await browser_for(own.users["owner"])
    campaign = await connection.fetchval(
        "select campaign_id from launch_checks where organization_id = $1", organization_id
    )
    url = f"/o/{organization_id}/{path.format(campaign=campaign)}"
    for statement in NOTHING_WAITS:
        await connection.execute(statement)
    await connection.execute("update organizations set stopped_at = $1, stopped_by = 'x'", NOW)

    shown = (await browser.get(url)).text
    assert "data-live-every" not in shown
    assert REFRESH not in shown

    await connection.execute(WAITS[path])
    shown = (await browser.get(url)).text
    assert re.search(r'<\w+ [^>]*id="[\w-]+" data-live data-live-every="\d+"', shown)
    assert REFRESH in shown


def test_a_page_waits_for_the_end_of_a_test_call_and_then_for_its_analysis() -> None:
    ended = {"status": StatusOfTestCall.ENDED, "ended_at": NOW, "analysis": None}
    for changes, seconds, expected in [
        ({"status": StatusOfTestCall.REQUESTED, "ended_at": None}, 3600, True),
        ({"status": StatusOfTestCall.SENT, "ended_at": None}, 3600, True),
        ({}, 60, True),
        ({}, 600, False),
        ({"analysis": {"call_summary": "Fine."}}, 60, False),
        ({"status": StatusOfTestCall.REFUSED, "ended_at": None}, 0, False),
        ({"status": StatusOfTestCall.FAILED, "ended_at": None}, 0, False),
    ]:
        call = CampaignTestCall.model_construct(**ended | changes)
        assert call.may_change(NOW + timedelta(seconds=seconds)) == expected, changes


def test_no_page_asks_to_be_reloaded() -> None:
    pages = [(path.name, path.read_text().lower()) for path in TEMPLATES.rglob("*.html")]
    asking = [name for name, text in pages if re.search(r"\breload", text)]
    assert asking == ["layout.html"]  # which marks the pages that can be fetched again
