"""Pages stay readable with names of any length, and forms keep what they refuse."""

import json
import re
from html import unescape
from itertools import pairwise

import asyncpg
import pytest

from outdial.studio.view.charts import Chart, ChartSeries, row_bars, stacked_bars
from tests.support.factories import create_calling, create_campaign
from tests.support.studio import BrowserFor
from tests.support.two_organizations import TwoOrganizations

# An average width of the characters in DejaVu Sans at 12 px; digits are the widest in labels.
CHARACTER = 7.6
SERIES = {"a": ChartSeries("good", "A")}


async def test_names_of_an_analysis_are_cut_and_values_have_lines_of_their_own(
    connection: asyncpg.Connection, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    campaign = await create_campaign(connection, own.tenant)
    analysis = {"custom_analysis_data": {"x" * 5000: "short"}, "call_summary": "y" * 5000}
    _, call_id = await create_calling(
        connection, campaign, status="ended", outcome="answered", analysis=json.dumps(analysis)
    )
    browser = await browser_for(own.users["viewer"])

    text = (await browser.get(f"/o/{own.tenant.organization_id}/calls/{call_id}")).text

    assert max(map(len, re.findall("[Xx]+", text))) <= 121
    assert 'class="facts facts-stacked"' in text


@pytest.mark.parametrize("highest", [1, 3, 7, 63_118, 25_000_000])
@pytest.mark.parametrize("columns", [1, 2, 7, 30])
def test_the_labels_of_a_chart_lie_within_it_and_apart(highest: int, columns: int) -> None:
    names = [f"Nov {number + 1}, 12:00 PM" for number in range(columns)]
    chart = stacked_bars("Calls", [(name, {"a": highest}) for name in names], SERIES, first_head="From")

    assert [tick.text for tick in chart.ticks if tick.x - CHARACTER * len(tick.text) < 0] == []
    spans = [
        (label.x - CHARACTER * len(label.text) / 2, label.x + CHARACTER * len(label.text) / 2) for label in chart.labels
    ]
    assert spans
    assert spans[0][0] >= 0
    assert spans[-1][1] <= chart.width
    assert all(left[1] < right[0] for left, right in pairwise(spans))
    assert all(0 <= tick.y <= chart.height for tick in chart.ticks)


@pytest.mark.parametrize("value", [1, 63_118, 123_456_789])
@pytest.mark.parametrize("name", ["Busy", "Invalid number", "An outcome with a name of any length that goes on"])
def test_a_row_of_a_chart_has_room_for_its_name_and_number(value: int, name: str) -> None:
    chart: Chart = row_bars("Calls", [(name, "good", value), ("Other", "bad", 2)], first_head="Outcome")

    assert [tick.text for tick in chart.ticks if tick.x - CHARACTER * len(tick.text) < 0] == []
    assert [label.text for label in chart.labels if label.x + CHARACTER * len(label.text) > chart.width] == []
    assert all(bar.width >= 0 and bar.x + bar.width <= chart.width for bar in chart.bars)
    assert [row[0] for row in chart.rows] == [name, "Other"]


async def test_the_do_not_call_form_keeps_the_numbers_that_it_refuses(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    browser = await browser_for(own.users["operator"])
    url = f"/o/{own.tenant.organization_id}/do-not-call"
    lines = ["+14155550134", "030 2312", "+14155550135", "nobody <b>"]

    response = await browser.post_form(url, {"numbers": "\n".join(lines), "region": "", "reason": "asked"}, page=url)

    kept = re.search(r"<textarea[^>]*>([^<]*)</textarea>", response.text)
    assert kept is not None
    assert unescape(kept[1]).splitlines() == ["030 2312", "nobody <b>"]
    assert 'value="asked"' in response.text
    assert "2 added" in response.text


async def test_blocking_the_number_of_a_contact_leads_back_to_the_contact(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    browser = await browser_for(own.users["operator"])
    base = f"/o/{own.tenant.organization_id}"
    contact = f"{base}/contacts/{own.spare_entry.contact.id}"
    assert f'name="back" value="{contact}"' in (await browser.get(contact)).text

    for back, leads_to in ((contact, contact), ("https://evil.example/", f"{base}/do-not-call")):
        form = {"numbers": own.spare_entry.contact.phone, "back": back}
        response = await browser.post_form(f"{base}/do-not-call", form)
        assert (response.status_code, response.headers["location"]) == (303, leads_to)
