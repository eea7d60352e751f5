"""Each reason why a campaign waits leads to the page that ends the wait, and every page with calls to the stop."""

import re
from datetime import timedelta

import asyncpg
import pytest

from outdial.dialer.admission import SkipReason, WaitReason
from outdial.dialer.doctor import RunReason
from outdial.studio.campaigns.cures import CureBase, CurePage, NoCure, WaitCode, code_of, cure_of
from tests.support.factories import NOW, create_campaign, create_campaign_contact
from tests.support.studio import BrowserFor
from tests.support.two_organizations import TwoOrganizations

REASONS: list[WaitCode] = [*WaitReason, *SkipReason, *RunReason]


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_has_a_page_or_says_why_there_is_none(reason: WaitCode) -> None:
    assert code_of(str(reason)) is reason
    for campaign_budget in (False, True):
        match cure_of(reason, campaign_budget=campaign_budget):
            case CurePage(label=label, path=path):
                assert "" not in (label, path)
            case NoCure(why=why):
                assert " " in why


async def test_the_pages_exist_and_those_with_calls_link_to_the_stop(
    two_organizations: TwoOrganizations, browser_for: BrowserFor, connection: asyncpg.Connection
) -> None:
    own = two_organizations.own
    running = await create_campaign(connection, own.tenant, budget_cents=1, next_batch_at=NOW + timedelta(days=3650))
    await create_campaign_contact(connection, running)
    base = f"/o/{own.tenant.organization_id}"
    campaign = f"{base}/campaigns/{running.id}"
    operator, viewer = [await browser_for(own.users[role]) for role in ("operator", "viewer")]
    cures = [cure_of(reason, campaign_budget=each) for reason in REASONS for each in (False, True)]
    pages: dict[str, set[str]] = {}
    for cure in cures:
        if isinstance(cure, CurePage):
            url, _, field = f"{campaign if cure.base is CureBase.CAMPAIGN else base}/{cure.path}".partition("#")
            pages.setdefault(url, set()).add(field)
            if cure.role == "viewer":
                assert (await viewer.get(url)).status_code == 200, url
    for url, fields in pages.items():
        shown = await operator.get(url)
        assert shown.status_code == 200, url
        assert all(f'id="{field}"' in shown.text for field in fields - {""}), (url, fields)

    stop = f'href="{base}/stop"'
    call = re.search(r'href="(calls/[0-9a-f-]{36})', (await operator.get(f"{base}/calls")).text)
    assert call is not None
    for url in (f"{base}/campaigns", campaign, f"{base}/calls", f"{base}/{call[1]}", f"{base}/callbacks"):
        assert (await operator.get(url)).text.count(stop) == 1, url
        assert stop not in (await viewer.get(url)).text

    # The wait itself is linked: a viewer may open the page of the budgets, but not the form of the campaign.
    assert f'href="{campaign}/edit#field-budget">Add budget</a>' in (await operator.get(campaign)).text
    assert "Add budget" not in (await viewer.get(campaign)).text
    await connection.execute(
        "update organizations set stopped_at = $2, stopped_by = 'x' where id = $1", own.tenant.organization_id, NOW
    )
    shown = (await viewer.get(campaign)).text
    assert f'href="{base}/stop">Resume all calls</a>' in shown
    assert shown.count(stop) == 2  # with the banner, which replaces the button
