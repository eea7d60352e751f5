"""Times: one zone, the viewer's, in lists, sentences, filters, charts and exports, and the contact's own beside it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import quote
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from outdial.studio.reports.service import bucket_starts, width_for
from outdial.studio.view import format as formats
from outdial.studio.web.filters import ZONE_COOKIE, RecentDays
from tests.support.factories import NOW, create_call, create_campaign, create_campaign_contact, create_contact
from tests.support.studio import Browser, BrowserFor, StudioServer
from tests.support.two_organizations import TwoOrganizations

MORNINGS = '{"every_day": [["09:00", "12:00"]]}'
# The evening before in New York.
NIGHT = datetime(2026, 3, 9, 3, 30, tzinfo=UTC)


@pytest.fixture
async def browser(browser_for: BrowserFor, two_organizations: TwoOrganizations) -> Browser:
    """An operator's browser in New York."""
    browser = await browser_for(two_organizations.own.users["operator"])
    set_zone(browser, "America/New_York")
    return browser


def set_zone(browser: Browser, zone: str) -> None:
    browser.client.cookies.set(ZONE_COOKIE, quote(zone, safe=""), domain="127.0.0.1")


async def test_a_reason_names_the_viewers_time_and_the_contacts_own(
    browser: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    tenant = two_organizations.own.tenant
    campaign = await create_campaign(connection, tenant, calling_hours=MORNINGS)
    await create_campaign_contact(connection, campaign, zone_key="Europe/London")

    for path in ("campaigns", f"campaigns/{campaign.id}"):
        text = (await browser.get(f"/o/{tenant.organization_id}/{path}")).text
        assert "Outside calling hours in Europe/London; opens" in text
        assert ">Mar 11 at 5:00 AM</time> (9:00 AM in London)" in text
        assert "Times shown in New York time" in text


async def test_the_next_call_of_a_contact_is_within_its_own_hours(
    browser: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    tenant = two_organizations.own.tenant
    campaign = await create_campaign(connection, tenant, calling_hours=MORNINGS)
    entry = await create_campaign_contact(connection, campaign, zone_key="Asia/Tokyo", next_attempt_at=NOW)

    for path in ("contacts", f"contacts/{entry.id}"):
        text = (await browser.get(f"/o/{tenant.organization_id}/campaigns/{campaign.id}/{path}")).text
        # The next day has begun in Tokyo, and the day is named where it differs.
        assert ">today at 8:00 PM</time>" in text
        assert "Mar 11, 9:00 AM in Tokyo" in text


async def test_a_day_in_a_filter_is_a_day_of_the_viewer(
    browser: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    tenant = two_organizations.own.tenant
    entry = await create_campaign_contact(connection, await create_campaign(connection, tenant))
    call_id = await create_call(connection, entry, status="ended", outcome="busy", created_at=NIGHT)

    async def is_listed(day: str) -> bool:
        response = await browser.get(f"/o/{tenant.organization_id}/calls?from={day}&to={day}")
        assert response.status_code == 200, response.text
        return str(call_id) in response.text

    assert (await is_listed("2026-03-08"), await is_listed("2026-03-09")) == (True, False)
    set_zone(browser, "UTC")
    assert (await is_listed("2026-03-08"), await is_listed("2026-03-09")) == (False, True)


async def test_an_export_has_the_days_and_the_times_of_the_viewer(
    browser: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    tenant = two_organizations.own.tenant
    # Daylight saving begins on the 8th, a day of 23 hours.
    form = {"kind": "calls", "since": "2026-03-08", "until": "2026-03-08"}
    response = await browser.post_form(f"/o/{tenant.organization_id}/exports", form)

    assert response.status_code == 303, response.text
    filters = await connection.fetchrow(
        "select (filters ->> 'since')::timestamptz as since, (filters ->> 'until')::timestamptz as until,"
        " filters ->> 'time_zone' as zone from exports where filters ? 'since'"
    )
    assert filters["since"] == datetime(2026, 3, 8, 5, 0, tzinfo=UTC)
    assert filters["until"] == datetime(2026, 3, 9, 4, 0, tzinfo=UTC)
    assert filters["zone"] == "America/New_York"


@pytest.mark.parametrize("cookie", ["Mars/Olympus", "EST", "../../etc/passwd", "x" * 4000, "%00", ""])
async def test_an_unknown_zone_shows_utc(
    browser_for: BrowserFor, two_organizations: TwoOrganizations, cookie: str
) -> None:
    own = two_organizations.own
    browser = await browser_for(own.users["viewer"])
    browser.client.cookies.set(ZONE_COOKIE, cookie, domain="127.0.0.1")

    response = await browser.get(f"/o/{own.tenant.organization_id}/reports")

    assert (response.status_code, "Times shown in UTC" in response.text) == (200, True)


async def test_reports_and_the_start_of_a_campaign_use_the_viewers_zone(
    browser: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    tenant = two_organizations.own.tenant
    planned = await create_campaign(
        connection, tenant, status="draft", next_batch_at=None, scheduled_at=datetime(2026, 7, 1, 13, 0, tzinfo=UTC)
    )
    base = f"/o/{tenant.organization_id}"

    assert 'value="America/New_York"' in (await browser.get(f"{base}/reports")).text
    form = (await browser.get(f"{base}/campaigns/{planned.id}/setup/when")).text
    assert '<option value="America/New_York" selected>New York, America' in form
    assert form.count(" selected>New York") == 1
    assert 'value="2026-07-01T09:00"' in form


async def test_charts_are_labeled_in_the_viewers_zone(
    browser: Browser, connection: asyncpg.Connection, two_organizations: TwoOrganizations
) -> None:
    tenant = two_organizations.own.tenant
    campaign = await create_campaign(connection, tenant)
    for minutes in (0, 3):
        entry = await create_campaign_contact(connection, campaign)
        at = NIGHT + timedelta(minutes=minutes)
        await create_call(connection, entry, status="ended", outcome="busy", created_at=at)

    text = (await browser.get(f"/o/{tenant.organization_id}/campaigns/{campaign.id}")).text

    assert ">11:30 PM</text>" in text
    # As a word: the random token of a form may hold these letters.
    assert not re.search(r"\bUTC\b", text)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Pacific/Apia", "UTC"])
@pytest.mark.parametrize("hours", [0, 5, 40, 24 * 20, 24 * 200])
def test_buckets_cover_every_call_and_begin_with_local_days(zone: str, hours: int) -> None:
    # Over the change of daylight saving in New York.
    first, last = datetime(2026, 3, 7, 18, 40, tzinfo=UTC), datetime(2026, 3, 7, 18, 40, tzinfo=UTC)
    last += timedelta(hours=hours)
    width = width_for(last - first)

    starts = bucket_starts(first, last, width, ZoneInfo(zone))

    assert starts[0] <= first
    assert last < starts[-1] + width + timedelta(hours=1)
    assert all(earlier < later for earlier, later in pairwise(starts))
    assert len(starts) <= 31
    if width >= timedelta(days=1):
        assert {start.astimezone(ZoneInfo(zone)).hour for start in starts} == {0}


def test_a_time_of_a_contact_names_its_day_when_it_is_another() -> None:
    formats.show_times_in(ZoneInfo("America/Los_Angeles"))
    assert formats.in_zone(NOW, "Europe/London") == "5:00 PM in London"
    assert formats.in_zone(NOW, "Asia/Tokyo") == "Mar 11, 2:00 AM in Tokyo"
    assert formats.moment(NOW) == "Mar 10, 2026 at 10:00 AM"


def test_a_time_on_a_page_is_relative_to_the_viewers_day_and_year() -> None:
    formats.show_times_in(ZoneInfo("America/Los_Angeles"), NOW)
    shown = [formats.relative_moment(NOW + timedelta(hours=hours)) for hours in (0, 14, -24 * 90)]
    assert shown == ["today at 10:00 AM", "Mar 11 at 12:00 AM", "Dec 10, 2025 at 9:00 AM"]
    assert formats.relative_moment(NOW, seconds=True) == "today at 10:00:00 AM"


def test_sentences_that_commands_have_too_show_the_viewers_time() -> None:
    formats.show_times_in(ZoneInfo("America/Los_Angeles"))
    shown = formats.with_viewer_times("they open 2026-03-10 at 17:00 UTC, or 2026-03-11 at 03:30:07 UTC")
    assert shown == "they open Mar 10, 2026 at 10:00 AM, or Mar 10, 2026 at 8:30:07 PM"
    for text in ("2026-02-30 at 17:00 UTC", "2026-03-10T17:00:00Z", "0001-01-01 at 00:00 UTC"):
        assert formats.with_viewer_times(text) == text


def test_minutes_of_the_day_read_as_times_do() -> None:
    shown = {0: "12:00 AM", 540: "9:00 AM", 750: "12:30 PM", 1200: "8:00 PM", 1440: "midnight"}
    assert {minute: formats.minute_text(minute) for minute in shown} == shown


@pytest.mark.parametrize(
    ("now", "zone", "expected"),
    [
        # Clocks went forward on the 8th in New York: the day has 23 hours, and the week begins before it.
        (
            "2026-03-09T03:30:00+00:00",
            "America/New_York",
            {
                "today": ("2026-03-08T05:00", "2026-03-09T04:00"),
                "yesterday": ("2026-03-07T05:00", "2026-03-08T05:00"),
                "last_7_days": ("2026-03-02T05:00", "2026-03-09T04:00"),
                "this_month": ("2026-03-01T05:00", "2026-03-09T04:00"),
            },
        ),
        # In Kiritimati, the month has begun.
        (
            "2026-03-31T12:00:00+00:00",
            "Pacific/Kiritimati",
            {
                "today": ("2026-03-31T10:00", "2026-04-01T10:00"),
                "yesterday": ("2026-03-30T10:00", "2026-03-31T10:00"),
                "last_7_days": ("2026-03-25T10:00", "2026-04-01T10:00"),
                "this_month": ("2026-03-31T10:00", "2026-04-01T10:00"),
            },
        ),
    ],
)
def test_recent_days_are_days_of_the_viewers_calendar(
    now: str, zone: str, expected: Mapping[str, tuple[str, str]]
) -> None:
    for days in RecentDays:
        bounds = days.bounds(ZoneInfo(zone), datetime.fromisoformat(now))
        found = tuple(each.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") for each in bounds)
        assert found == expected[days], days


async def test_the_list_of_calls_has_recent_days_that_move_with_the_calendar(
    browser_for: BrowserFor,
    studio_app: StudioServer,
    connection: asyncpg.Connection,
    two_organizations: TwoOrganizations,
) -> None:
    own = two_organizations.own
    await connection.execute("delete from campaigns where organization_id = $1", own.tenant.organization_id)
    campaign = await create_campaign(connection, own.tenant)
    # March 10 has begun in Kolkata when the second call is placed, and not yet in UTC.
    for name, at in (("Noor", NOW), ("Before", NOW.replace(hour=19) - timedelta(days=1)), ("Old", NOW - timedelta(8))):
        contact = await create_contact(connection, own.tenant.organization_id, name=name)
        entry = await create_campaign_contact(connection, campaign, contact)
        await create_call(connection, entry, status="ended", created_at=at)
    browser = await browser_for(own.users["viewer"])
    set_zone(browser, "Asia/Kolkata")
    url = f"/o/{own.tenant.organization_id}/calls"

    async def names(query: str) -> list[str]:
        page = (await browser.get(f"{url}?{query}")).text
        return [name for name in ("Noor", "Before", "Old") if f">{name}</a>" in page]

    assert await names("") == ["Noor", "Before", "Old"]
    assert await names("when=today") == ["Noor", "Before"]
    assert await names("when=yesterday") == []
    assert await names("when=last_7_days") == ["Noor", "Before"]
    assert await names("when=this_month") == ["Noor", "Before", "Old"]
    # Days of the calendar that are typed go before a choice, and a choice replaces them.
    assert await names("when=today&from=2026-03-01&to=2026-03-05") == ["Old"]
    page = (await browser.get(f"{url}?when=last_7_days&outcome=answered")).text
    assert 'href="' + url + '?outcome=answered&amp;when=today">Today<' in page
    assert re.search(r'when=last_7_days" aria-current="true">Last 7 days<', page)
    assert '<input type="hidden" name="when" value="last_7_days">' in page
    assert (await browser.get(f"{url}?when=last_year")).status_code == 400
    studio_app.clock.advance(timedelta(days=1))
    browser = await browser_for(own.users["viewer"])
    set_zone(browser, "Asia/Kolkata")
    assert await names("when=yesterday") == ["Noor", "Before"]
