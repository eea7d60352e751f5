"""Chart layout: sizes and places are shares of a drawing, and its labels never touch."""

from itertools import pairwise

import pytest

from outdial.db.queries.results.analytics import AnswerRate
from outdial.domain.outcomes import Outcome
from outdial.studio.campaigns.figures import outcome_chart, rate_chart
from outdial.studio.campaigns.results import CampaignResults
from outdial.studio.view.badges import badge_for_contact
from outdial.studio.view.charts import (
    FEW_CALLS,
    AxisLabel,
    BarChart,
    ChartSeries,
    HeatMap,
    RatedCalls,
    heat_map,
    nice_ceiling,
    rate,
    row_bars,
    stacked_bars,
)

SERIES = {"a": ChartSeries("good", "A"), "b": ChartSeries("bad", "B")}
# Narrower than the widest font that the layout assumes, so that a small gap is left in any case.
CHARACTER = 7.7
ROOMS = {0: 230, 1: 540, 2: 900}


def test_columns_are_stacked_within_the_chart_and_match_the_table() -> None:
    columns = [("Mon", {"a": 3, "b": 1}), ("Tue", {}), ("Wed", {"b": 2})]
    chart = stacked_bars("Calls", columns, SERIES, first_head="Day", rates=[0.75, None, 0.5], rate_label="Rate")

    monday, tuesday, wednesday = chart.columns
    assert [column.title for column in chart.columns] == ["Mon: A 3, B 1, Rate 75%", "Tue: none", "Wed: B 2, Rate 50%"]
    first, second = monday.parts
    assert second.y + second.height == pytest.approx(first.y)
    assert first.height == pytest.approx(3 * second.height, abs=0.1)
    assert tuesday.parts == []
    for column in chart.columns:
        assert column.left <= column.x <= column.x + column.width <= column.left + column.room + 0.1
        assert all(0 <= part.y <= part.y + part.height <= 100.1 for part in column.parts)
    assert wednesday.left + wednesday.room == pytest.approx(100, abs=0.1)
    assert chart.head == ["Day", "A", "B", "Total", "Rate"]
    assert chart.rows == [["Mon", "3", "1", "4", "75%"], ["Wed", "0", "2", "2", "50%"]]
    assert chart.legend == [("good", "A"), ("bad", "B")]
    assert chart.ticks == ["5", "0"]
    # A line needs two columns beside each other.
    assert chart.line == []


def test_the_totals_of_the_period_before_are_a_line_on_the_same_scale_and_a_column_of_the_table() -> None:
    columns = [("Mon", {"a": 30}), ("Tue", {})]
    chart = stacked_bars("Calls", columns, SERIES, first_head="Day", before=[10, 90], before_label="Last week")

    assert chart.ticks[0] == "100"
    assert (chart.before, chart.before_label) == (["25.00,90.00 75.00,10.00"], "Last week")
    assert [column.title for column in chart.columns] == ["Mon: A 30, Last week 10", "Tue: Last week 90"]
    assert (chart.head, chart.rows) == (
        ["Day", "A", "Total", "Last week"],
        [["Mon", "30", "30", "10"], ["Tue", "0", "0", "90"]],
    )


def test_a_line_breaks_where_there_is_no_rate() -> None:
    columns = [(str(n), {"a": 30}) for n in range(5)]
    chart = stacked_bars("Calls", columns, SERIES, first_head="Day", rates=[0.5, 1, None, 0.25, 0])

    assert chart.line == ["10.00,50.00 30.00,0.00", "70.00,75.00 90.00,100.00"]


@pytest.mark.parametrize(("whole", "share"), [(0, None), (FEW_CALLS - 1, None), (FEW_CALLS, 0.5)])
def test_a_rate_of_few_calls_is_not_drawn(whole: int, share: float | None) -> None:
    assert rate(FEW_CALLS // 2, whole) == share


@pytest.mark.parametrize("name", ["9 AM", "Nov 28", "Nov 28, 10:15 PM", "1,000,000 of something long"])
@pytest.mark.parametrize("count", [1, 2, 7, 12, 30, 45])
def test_labels_lie_within_the_drawing_and_never_touch(name: str, count: int) -> None:
    chart = stacked_bars("Calls", [(name, {"a": 1})] * count, SERIES, first_head="Day")

    assert {label.level for label in chart.labels} >= {0}
    for level, room in ROOMS.items():
        spans = sorted(span_of(label, room) for label in chart.labels if label.level <= level)
        assert spans[0][0] >= -0.5
        assert spans[-1][1] <= room + 0.5 or len(name) * CHARACTER > room
        assert all(before[1] < after[0] for before, after in pairwise(spans)), (level, spans)


def span_of(label: AxisLabel, room: int) -> tuple[float, float]:
    width, at = len(label.text) * CHARACTER, label.x * room / 100
    begin = {"start": at, "middle": at - width / 2, "end": at - width}[label.anchor]
    return begin, begin + width


def test_empty_data_has_no_bars() -> None:
    assert stacked_bars("Calls", [], SERIES, first_head="Day").columns == []
    assert row_bars("Outcomes", [], first_head="Outcome").groups == []
    assert row_bars("Outcomes", [("A", "good", 0)], first_head="Outcome").rows == [["A", "0", "0%"]]


@pytest.mark.parametrize(("value", "top"), [(0, 1), (1, 1), (2, 2), (3, 5), (7, 10), (10, 10), (11, 20), (999, 1000)])
def test_a_scale_ends_with_a_round_number(value: int, top: int) -> None:
    assert nice_ceiling(value) == top


def test_a_cell_of_few_calls_is_grey_and_the_others_compare_with_the_highest_rate() -> None:
    cells = [
        RatedCalls(row="9 AM", column="1", calls=FEW_CALLS - 1, answered=FEW_CALLS - 1),
        RatedCalls(row="9 AM", column="2", calls=100, answered=40),
        RatedCalls(row="10 AM", column="1", calls=100, answered=0),
    ]
    found = heat_map("Rate", cells, corner="Hour", axis="attempt")

    assert found.columns == ["Attempt 1", "Attempt 2"]
    assert [[cell and (cell.text, cell.level) for cell in row] for _, row in found.cells] == [
        [("100%", None), ("40%", 4)],
        [("0%", 0), None],
    ]
    assert found.cells[0][1][1].title == "9 AM, attempt 2: 40% of 100 calls"  # type: ignore[union-attr]
    assert found.rows[1] == ["9 AM", "2", "100", "40", "40%"]


def test_every_outcome_is_in_a_group_and_leads_to_its_contacts() -> None:
    results = CampaignResults(last_outcomes={**dict.fromkeys(map(str, Outcome), 2), "released": 1})
    chart = outcome_chart(results, 100, "/contacts")

    assert isinstance(chart, BarChart)
    groups = {group.label: group for group in chart.groups}
    assert list(groups) == ["Reached", "Machine", "Not reached", "Failed"]
    assert groups["Reached"].value == "8"
    assert {bar.tone for bar in groups["Reached"].bars} == {"good"}
    assert {bar.tone for bar in groups["Machine"].bars} == {"machine"}
    assert {bar.tone for bar in groups["Not reached"].bars} == {"neutral"}
    assert {bar.tone for bar in groups["Failed"].bars} <= {"bad", "warn"}
    bars = [bar for group in chart.groups for bar in group.bars]
    assert {bar.href for bar in bars} == {f"/contacts?outcome={outcome}" for outcome in Outcome} | {None}
    assert "2 of 100 (2%)" in bars[0].title


def test_rates_name_the_hour_on_the_contacts_clock() -> None:
    rates = [AnswerRate(hour="00", attempt=1, calls=3, reached=1), AnswerRate(hour="13", attempt=5, calls=3, reached=1)]
    chart = rate_chart(CampaignResults(rates=rates))

    assert isinstance(chart, HeatMap)
    assert [row for row, _ in chart.cells] == ["12 AM", "1 PM"]
    assert chart.columns == ["Attempt 1", "Attempt 5+"]


@pytest.mark.parametrize(
    ("outcome", "tone", "label"),
    [
        (None, "neutral", "Not reached"),
        ("no_answer", "neutral", "Not reached"),
        ("voicemail", "neutral", "Not reached"),
        ("invalid_number", "bad", "Failed"),
        ("blocked", "bad", "Failed"),
        ("provider_fault", "bad", "Failed"),
    ],
)
def test_a_contact_that_no_one_reached_is_no_failure(outcome: str | None, tone: str, label: str) -> None:
    badge = badge_for_contact("failed", outcome)

    assert (badge.tone, badge.label) == (tone, label)
    assert badge_for_contact("completed", outcome).label == "Completed"
