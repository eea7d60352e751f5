"""Reports: calls by day, by campaign, over time and by outcome."""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from starlette.requests import Request

from outdial.clock import VirtualClock
from outdial.studio.reports.pages import period_links
from outdial.studio.reports.service import CampaignCharts, calls_over_time, width_for
from outdial.studio.reports.totals import CallTotals, PreviousTotals, compared_figures, compared_with
from tests.support.factories import (
    NOW,
    Campaign,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
)
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    return await create_campaign(connection, await create_tenant(connection))


@pytest.fixture
async def viewer(connection: asyncpg.Connection, campaign: Campaign) -> UUID:
    return await create_member(connection, campaign.tenant.organization_id, "viewer")


async def call(
    connection: asyncpg.Connection, campaign: Campaign, at: datetime, outcome: str | None, **more: Any
) -> None:
    entry = await create_campaign_contact(connection, campaign)
    status = "ended" if outcome else "ongoing"
    await create_call(connection, entry, status=status, outcome=outcome, created_at=at, **more)


def address(campaign: Campaign) -> str:
    return f"/api/v1/organizations/{campaign.tenant.organization_id}"


async def test_a_report_counts_by_days_of_the_requested_time_zone(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    second = await create_campaign(connection, campaign.tenant, name="Second")
    # 03:30 UTC is the evening before in New York.
    night = datetime(2026, 3, 9, 3, 30, tzinfo=UTC)
    await call(connection, campaign, night, "answered", duration_ms=60_000, cost_cents="10.5")
    await call(connection, campaign, NOW, "do_not_call", duration_ms=1_000, cost_cents="0.5")
    await call(connection, second, NOW, "busy")
    await call(connection, campaign, NOW, None)
    await call(connection, campaign, NOW - timedelta(days=40), "answered")
    client = await client_for(viewer)

    report = (await client.get(f"{address(campaign)}/reports", params={"zone": "America/New_York"})).json()

    assert (report["since"], report["until"]) == ("2026-02-09", "2026-03-10")
    assert [(day["day"], day["calls"], day["answered"]) for day in report["days"]] == [
        ("2026-03-08", 1, 1),
        ("2026-03-10", 3, 1),
    ]
    total = report["total"]
    assert (total["calls"], total["finished"], total["answered"]) == (4, 3, 2)
    assert total["answer_rate"] == pytest.approx(2 / 3)
    assert (total["talk_ms"], total["cost_cents"]) == (61_000, 11.0)
    assert [(row["name"], row["calls"]) for row in report["campaigns"]] == [("Spring", 3), ("Second", 1)]


async def test_a_report_is_compared_with_the_same_part_of_the_period_before(
    connection: asyncpg.Connection,
    client_for: ClientFor,
    browser_for: BrowserFor,
    campaign: Campaign,
    viewer: UUID,
) -> None:
    second = await create_campaign(connection, campaign.tenant, name="Second")
    await call(connection, campaign, NOW - timedelta(hours=1), "answered", duration_ms=90_000, cost_cents="30")
    await call(connection, campaign, NOW - timedelta(days=1), "busy")
    await call(connection, campaign, NOW - timedelta(days=2, hours=1), "answered", duration_ms=60_000, cost_cents="20")
    # Yesterday's period ends at this time of the day.
    await call(connection, campaign, NOW - timedelta(days=2) + timedelta(minutes=1), "busy")
    await call(connection, second, NOW - timedelta(days=3), "busy")
    await call(connection, second, NOW - timedelta(days=4), "busy")
    query = {"since": (NOW - timedelta(days=1)).date().isoformat(), "until": NOW.date().isoformat()}
    client, browser = await client_for(viewer), await browser_for(viewer)

    report = (await client.get(f"{address(campaign)}/reports", params=query)).json()
    of_one = (await client.get(f"{address(campaign)}/analytics", params=query | {"campaign_id": campaign.id})).json()
    page = (await browser.get(f"/o/{campaign.tenant.organization_id}/reports", params=query)).text
    whole = {"since": "2026-02-02", "until": "2026-02-02"}
    past = (await browser.get(f"/o/{campaign.tenant.organization_id}/analytics", params=whole)).text

    previous = report["previous"]
    assert (previous["since"], previous["until"]) == ("2026-03-07", "2026-03-08")
    assert datetime.fromisoformat(previous["ends_at"]) == NOW - timedelta(days=2)
    assert (previous["calls"], previous["answered"], previous["talk_ms"], previous["cost_cents"]) == (2, 1, 60_000, 20)
    assert (previous["calls_by_day"], of_one["previous"]["calls_by_day"]) == ([1, 1], [0, 1])
    assert (of_one["previous"]["calls"], of_one["previous"]["answered"]) == (1, 1)
    changes = re.findall(r'<span class="note">([^<]+)</span></dd>', page)
    assert changes == ["Same as before, 2", "Same as before, 50%", "Up 50% from 1:00", "Up 50% from $0.20"]
    assert "Changes are from the 2 days before, Mar 7 to Mar 8, up to 5:00 PM." in page
    assert "Changes are from" not in past
    # The chart shows the period before, and the periods of one press say which one is shown.
    assert ("Period before 1" in page, 'class="stroke-before"' in page) == (True, True)
    assert '<th scope="col" class="num">Period before</th>' in page
    chips = re.findall(
        r'<a class="chip" href="[^"]*since=([^&]+)&amp;until=([^&]+)&amp;zone=UTC"( aria-current="true")?>', page
    )
    assert chips == [
        ("2026-03-10", "2026-03-10", ""),
        ("2026-03-09", "2026-03-09", ""),
        ("2026-03-04", "2026-03-10", ""),
        ("2026-03-01", "2026-03-10", ""),
        ("2026-02-09", "2026-03-10", ""),
    ]
    usual = (await browser.get(f"/o/{campaign.tenant.organization_id}/reports")).text
    assert re.findall(r'aria-current="true">([^<]+)</a>', usual[usual.index('aria-label="Period"') :]) == [
        "Last 30 days"
    ]
    # A zone that the reader has chosen stays.
    chosen = (await browser.get(f"/o/{campaign.tenant.organization_id}/reports", params={"zone": "Asia/Tokyo"})).text
    assert len(re.findall(r'<a class="chip" href="[^"]*&amp;zone=Asia%2FTokyo"', chosen)) == 5


def test_periods_with_the_same_days_are_not_both_chosen() -> None:
    clock = VirtualClock(datetime(2026, 11, 30, 12, tzinfo=UTC))
    request = Request({"type": "http", "method": "GET", "path": "/reports", "headers": [], "query_string": b""})
    form = {"since": "2026-11-01", "until": "2026-11-30", "zone": "UTC"}
    chosen = [label for label, _, is_chosen in period_links(request, form, clock) if is_chosen]
    assert chosen == ["This month"]


@pytest.mark.parametrize(
    ("value", "before", "told"),
    [
        (0, 0, ""),
        (3, 0, "None before"),
        (3, 3, "Same as before, 3"),
        (2, 4, "Down 50% from 4"),
        (4_000, 2, "Up from 2"),
        (1_001, 1_000, "Up less than 1% from 1,000"),
    ],
)
def test_a_change_is_said_in_words(value: int, before: int, told: str) -> None:
    assert compared_figures(totals(value), previous(before))["calls"] == told


def test_a_rate_changes_by_points() -> None:
    now, before = totals(10, answered=5, finished=10), previous(10, answered=4, finished=10)

    assert compared_figures(now, before)["answer_rate"] == "Up 10 points from 40%"
    assert compared_figures(now, previous(0))["answer_rate"] == ""


@pytest.mark.parametrize(
    ("answered", "answered_before", "told"),
    [
        (3, 6, "Same as before, less than 1%"),
        (0, 6, "Down from less than 1%"),
        (6, 0, "Up from 0%"),
        (20, 6, "Up from less than 1%"),
        (1_000, 996, "Up from more than 99%"),
        (404, 396, "Same as before, 40%"),
        (406, 396, "Up 1 point from 40%"),
    ],
)
def test_rates_near_none_and_all_change_without_points(answered: int, answered_before: int, told: str) -> None:
    now = totals(1_000, answered=answered, finished=1_000)
    assert compared_figures(now, previous(1_000, answered=answered_before, finished=1_000))["answer_rate"] == told


def test_the_days_compared_with_are_named() -> None:
    yesterday = previous(1, since=date(2026, 3, 9), ends_at=datetime(2026, 3, 10, tzinfo=UTC))

    assert compared_with(date(2026, 3, 10), yesterday) == "Changes are from the day before, Mar 9."


def totals(calls: int, answered: int = 0, finished: int = 0) -> CallTotals:
    return CallTotals(
        calls=calls,
        finished=finished,
        refused=0,
        answered=answered,
        answer_rate=answered / finished if finished else None,
        talk_ms=0,
        cost_cents=0,
    )


def previous(
    calls: int,
    answered: int = 0,
    finished: int = 0,
    since: date = date(2026, 3, 9),
    ends_at: datetime = datetime(2026, 3, 10, tzinfo=UTC),
) -> PreviousTotals:
    counted = totals(calls, answered, finished).model_dump()
    return PreviousTotals(since=since, until=since, ends_at=ends_at, calls_by_day=[calls], **counted)


@pytest.mark.parametrize(
    "query",
    [
        {"zone": "Mars/Olympus"},
        {"zone": "EST"},
        {"since": "2026-03-02", "until": "2026-03-01"},
        {"since": "2020-01-01", "until": "2026-03-01"},
        {"since": "0001-01-01"},
        {"until": "9999-12-31"},
    ],
    ids=str,
)
async def test_a_report_with_an_invalid_period_is_rejected(
    client_for: ClientFor, campaign: Campaign, viewer: UUID, query: dict[str, str]
) -> None:
    response = await (await client_for(viewer)).get(f"{address(campaign)}/reports", params=query)

    assert response.status_code == 400, response.text
    assert response.json()["fields"]


async def test_charts_count_every_call_once_in_consecutive_buckets(
    connection: asyncpg.Connection, client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    for minutes, outcome in [(0, "answered"), (1, "busy"), (200, "busy"), (200, None)]:
        await call(connection, campaign, NOW - timedelta(minutes=minutes), outcome)

    charts = (await (await client_for(viewer)).get(f"{address(campaign)}/campaigns/{campaign.id}/charts")).json()

    assert charts["width_s"] == 900
    assert charts["outcomes"] == {"answered": 1, "busy": 2, "": 1}
    starts = [datetime.fromisoformat(bucket["starts_at"]) for bucket in charts["buckets"]]
    assert {later - earlier for earlier, later in pairwise(starts)} == {timedelta(minutes=15)}
    assert sum(sum(bucket["outcomes"].values()) for bucket in charts["buckets"]) == 4
    assert charts["buckets"][0]["outcomes"] == {"busy": 1, "": 1}


async def test_a_campaign_without_calls_has_empty_charts(
    client_for: ClientFor, campaign: Campaign, viewer: UUID
) -> None:
    charts = (await (await client_for(viewer)).get(f"{address(campaign)}/campaigns/{campaign.id}/charts")).json()

    assert (charts["buckets"], charts["outcomes"]) == ([], {})
    assert calls_over_time(CampaignCharts(**charts)) is None


async def test_charts_of_another_organization_are_not_found(
    client_for: ClientFor, two_organizations: TwoOrganizations
) -> None:
    own, other = two_organizations.own, two_organizations.other
    client = await client_for(own.users["owner"])

    for organization, campaign in [(own, other), (other, other), (other, own)]:
        url = f"/api/v1/organizations/{organization.tenant.organization_id}/campaigns/{campaign.fresh.id}/charts"
        assert (await client.get(url)).status_code == 404


@pytest.mark.parametrize("days", [0, 0.01, 0.5, 3, 40, 400, 4000])
def test_any_period_is_covered_by_few_bars(days: float) -> None:
    span = timedelta(days=days)
    assert span / width_for(span) <= 30


@pytest.mark.parametrize(("since", "name"), [(date(2026, 3, 1), "Calls per day"), (date(2025, 6, 1), "Calls per week")])
async def test_the_report_page_has_a_chart_with_a_text_alternative(
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    campaign: Campaign,
    viewer: UUID,
    since: date,
    name: str,
) -> None:
    for number in range(20):
        await call(connection, campaign, NOW - timedelta(days=number % 9), "answered" if number % 3 else "busy")
    browser = await browser_for(viewer)

    response = await browser.get(f"/o/{campaign.tenant.organization_id}/reports?since={since}&until=2026-03-10")

    assert response.status_code == 200, response.text
    drawing = re.search(r'<svg[^>]+role="img" aria-labelledby="([\w-]+) ([\w-]+)">(.*?)</svg>', response.text, re.S)
    assert drawing is not None
    assert f'<h3 id="{drawing[1]}">{name}</h3>' in response.text
    assert f'<desc id="{drawing[2]}">20 in' in drawing[3]
    assert " style=" not in response.text
    assert "<summary>Show data</summary>" in response.text
    assert f'<a href="/o/{campaign.tenant.organization_id}/campaigns/{campaign.id}">Spring</a>' in response.text
    assert len(response.content) < 60_000


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [("", 200, "No calls in this period"), ("?since=x", 400, "use the format"), ("?zone=x", 400, "America/New_York")],
)
async def test_an_empty_report_explains_the_next_step(
    browser_for: BrowserFor, campaign: Campaign, viewer: UUID, query: str, status: int, says: str
) -> None:
    response = await (await browser_for(viewer)).get(f"/o/{campaign.tenant.organization_id}/reports{query}")

    assert response.status_code == status
    assert says in response.text
