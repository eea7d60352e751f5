"""Chart layout: positions of bars and labels in the units of an SVG view box.

The server cannot measure text. It assumes a wide font, so that no label is cut off or touches another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Final

WIDTH: Final = 420
"""Width of a chart in half a page. Text stays readable when a phone shows the chart at three quarters of its size."""

WIDE: Final = 960
HEIGHT: Final = 200
_RIGHT, _TOP, _BOTTOM = 8, 12, 24
_ROW: Final = 26
_GAP: Final = 8
# Advance of a digit in DejaVu Sans, the widest of the usual fonts, at the size of the labels (12).
_CHARACTER: Final = 7.7
_LONGEST_NAME: Final = 30
_MAX_LABELS: Final = 8
# Keeps a few bars from filling the whole chart.
_MAX_BAR_WIDTH: Final = 48.0
_HEAT_LEVELS: Final = 5


@dataclass(frozen=True, slots=True)
class ChartBar:
    """A bar or a segment of a stacked bar. `tone` sets its color; `title` is its tooltip and text alternative."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class ChartLabel:
    """Positioned text: the value of a gridline, or the name of a bar."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A laid-out chart, and its data as table rows for readers who cannot see it."""

    title: str
    description: str
    width: int
    height: int
    bars: Sequence[ChartBar]
    ticks: Sequence[ChartLabel]
    labels: Sequence[ChartLabel]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    legend: Sequence[tuple[str, str]] = ()
    is_upright: bool = True


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """A series of stacked bars: the tone that sets its color, and its label."""

    tone: str
    label: str


@dataclass(frozen=True, slots=True)
class HeatValue:
    """A share of a whole, such as the answered ones among the finished calls."""

    part: int
    whole: int


@dataclass(frozen=True, slots=True)
class HeatCell:
    """A cell of a heat map: its text, its depth from 0 (nothing) to 5 (the highest share), and its value in words."""

    text: str
    level: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """A table whose cells are colored by their share. `scale` is the share of the deepest color, in percent."""

    title: str
    first_head: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[HeatCell]]]
    scale: int


def heat_map(
    title: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[HeatValue | None]]],
    *,
    first_head: str,
) -> HeatMap:
    """Lay out shares by row and column; the highest share has the deepest color. Rows are a name and their values."""
    shares = [value.part / value.whole for _, values in rows for value in values if value is not None and value.whole]
    top = max(shares, default=0.0)

    def cell(row: str, column: str, value: HeatValue | None) -> HeatCell:
        if value is None or not value.whole:
            return HeatCell("", 0, f"{row}, {column}: no calls")
        share = value.part / value.whole
        level = ceil(_HEAT_LEVELS * share / top) if share else 0
        text = f"{100 * share:.0f}"
        return HeatCell(text, level, f"{row}, {column}: {text}%, {value.part:,} of {value.whole:,}")

    return HeatMap(
        title=title,
        first_head=first_head,
        columns=columns,
        rows=[
            (name, [cell(name, column, value) for column, value in zip(columns, values, strict=True)])
            for name, values in rows
        ],
        scale=round(100 * top),
    )


def stacked_bars(
    title: str,
    columns: Sequence[tuple[str, Mapping[str, int]]],
    series: Mapping[str, ChartSeries],
    *,
    first_head: str,
    chart_width: int = WIDTH,
) -> Chart:
    """Lay out one stacked bar per column; columns are pairs of a name and its value per series."""
    totals = [sum(parts.get(key, 0) for key in series) for _, parts in columns]
    top = nice_ceiling(max(totals, default=0))
    # The middle of an odd scale is no whole number of calls.
    scale = [0, top] if top % 2 else [0, top // 2, top]
    left = _text_width(f"{top:,}") + _GAP
    step = (chart_width - left - _RIGHT) / max(1, len(columns))
    width = round(min(_MAX_BAR_WIDTH, max(0.5, step - min(4.0, step * 0.2))), 2)
    bars: list[ChartBar] = []
    for place, (name, parts) in enumerate(columns):
        below = 0
        for key, part in series.items():
            if value := parts.get(key, 0):
                upper, lower = _height_of(below + value, top), _height_of(below, top)
                bars.append(
                    ChartBar(
                        x=round(left + (place + 0.5) * step - width / 2, 2),
                        y=upper,
                        width=width,
                        height=round(lower - upper, 2),
                        tone=part.tone,
                        title=f"{name}, {part.label}: {value:,}",
                    )
                )
                below += value
    labels: list[ChartLabel] = []
    every = ceil(len(columns) / _MAX_LABELS) if columns else 1
    free_from = 0.0
    for place, (name, _) in enumerate(columns):
        half = _text_width(name) / 2
        x = min(max(left + (place + 0.5) * step, half), chart_width - half)
        if place % every == 0 and x - half >= free_from:
            labels.append(ChartLabel(round(x, 1), HEIGHT - 6, name))
            free_from = x + half + _GAP
    used = [key for key in series if any(parts.get(key) for _, parts in columns)]
    return Chart(
        title=title,
        description=f"{sum(totals):,} in {len(columns)} bars; the highest bar is {max(totals, default=0):,}.",
        width=chart_width,
        height=HEIGHT,
        bars=bars,
        ticks=[ChartLabel(round(left - 6, 1), _height_of(value, top), f"{value:,}") for value in scale],
        labels=labels,
        head=[first_head, *(series[key].label for key in used), "Total"],
        rows=[
            [name, *(f"{parts.get(key, 0):,}" for key in used), f"{total:,}"]
            for (name, parts), total in zip(columns, totals, strict=True)
            if total
        ],
        legend=[(series[key].tone, series[key].label) for key in used],
    )


def row_bars(title: str, rows: Sequence[tuple[str, str, int]], *, first_head: str) -> Chart:
    """Lay out one horizontal bar per row; rows are a name, a tone and a value."""
    whole, most = sum(value for *_, value in rows), max((value for *_, value in rows), default=0)
    height = max(1, len(rows)) * _ROW
    shares = [f"{100 * value / whole:.0f}%" if whole else "0%" for *_, value in rows]
    names = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name, *_ in rows]
    values = [f"{value:,} ({share})" for (*_, value), share in zip(rows, shares, strict=True)]
    left = max(map(_text_width, names), default=0) + 2 * _GAP
    room = WIDTH - left - max(map(_text_width, values), default=0) - 2 * _GAP
    return Chart(
        title=title,
        description=f"{whole:,} in total across {len(rows)} rows.",
        width=WIDTH,
        height=height,
        bars=[
            ChartBar(
                x=round(left, 1),
                y=place * _ROW + 4,
                width=round(room * value / most, 1),
                height=_ROW - 8,
                tone=tone,
                title=f"{name}: {value:,}",
            )
            for place, (name, tone, value) in enumerate(rows)
            if value
        ],
        ticks=[ChartLabel(round(left - _GAP, 1), place * _ROW + 18, name) for place, name in enumerate(names)],
        labels=[
            ChartLabel(round(left + room * value / max(1, most) + _GAP, 1), place * _ROW + 18, text)
            for place, ((_, _, value), text) in enumerate(zip(rows, values, strict=True))
        ],
        head=[first_head, "Count", "Share"],
        rows=[[name, f"{value:,}", share] for (name, _, value), share in zip(rows, shares, strict=True)],
        is_upright=False,
    )


def nice_ceiling(value: int) -> int:
    """Round up to the next scale maximum: 1, 2, 5, 10, 20, 50, ...; never 0."""
    if value <= 1:
        return 1
    power: int = 10 ** int(log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value)


def _text_width(text: str) -> float:
    return _CHARACTER * len(text)


def _height_of(value: int, top: int) -> float:
    return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top, 2)
