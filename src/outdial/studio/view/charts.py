"""Chart layout: columns with a line of rates, bars in groups, and heat maps.

Positions are shares of the drawing in percent, because text is laid out apart from it and keeps its size. The server
cannot measure text: it assumes a wide font, so that no label is cut off or touches another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import ClassVar, Final, Literal, TypeAlias

from outdial.studio.view.format import percent

# Advance of a digit in DejaVu Sans, the widest of the usual fonts, at the size of the labels (12).
_CHARACTER: Final = 7.7
_GAP: Final = 12
# Widths of the drawing in pixels, without its axes, from which studio.css shows the labels of each level.
_ROOMS: Final = (230, 540, 900)
# Keeps a few bars from filling the whole chart.
_MOST_WIDTH: Final = 8.0
FEW_CALLS: Final = 20
"""A rate of fewer calls says little: its cell stays grey."""
_LEVELS: Final = 5

Anchor: TypeAlias = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """A series of stacked columns: the tone that sets its color, and its label."""

    tone: str
    label: str


@dataclass(frozen=True, slots=True)
class ColumnPart:
    """A part of a stacked column; `y` counts from the top."""

    y: float
    height: float
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartColumn:
    """A stacked column. `left` and `room` are those of its share of the drawing, which the pointer finds."""

    left: float
    room: float
    x: float
    width: float
    parts: Sequence[ColumnPart]
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisLabel:
    """The name of a column below the drawing. Level 0 fits on a phone; levels 1 and 2 need wider drawings."""

    x: float
    anchor: Anchor
    text: str
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnChart:
    """Stacked columns, the values of the scale from its top, and with `line` the rates from 0 to 100% as polylines.

    `before` is the polyline of the totals with which the columns are compared.
    """

    kind: ClassVar = "columns"
    title: str
    description: str
    columns: Sequence[ChartColumn]
    ticks: Sequence[str]
    labels: Sequence[AxisLabel]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    legend: Sequence[tuple[str, str]] = ()
    line: Sequence[str] = ()
    line_label: str | None = None
    before: Sequence[str] = ()
    before_label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBar:
    """A horizontal bar; `width` is its share of the longest. With `href`, the row leads to what it counts."""

    name: str
    tone: str
    width: float
    value: str
    share: str
    title: str
    href: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BarGroup:
    """Bars that belong together, under a heading with their sum unless it is empty."""

    label: str
    value: str
    share: str
    bars: Sequence[RowBar]


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """Horizontal bars in groups."""

    kind: ClassVar = "bars"
    title: str
    description: str
    groups: Sequence[BarGroup]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class HeatCell:
    """A cell of a heat map: its rate in words, the calls behind it, and 0 to 4 for its color, None for few calls."""

    text: str
    title: str
    level: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Rates by two dimensions, one cell for each pair."""

    kind: ClassVar = "heat"
    title: str
    description: str
    corner: str
    columns: Sequence[str]
    cells: Sequence[tuple[str, Sequence[HeatCell | None]]]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


Chart: TypeAlias = ColumnChart | BarChart | HeatMap


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedBar:
    """What a bar counts: its name, its tone, its value, and the page behind it."""

    name: str
    tone: str
    value: int
    href: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedCalls:
    """Calls of one cell of a heat map, and those of them that were answered."""

    row: str
    column: str
    calls: int
    answered: int


def stacked_bars(
    title: str,
    columns: Sequence[tuple[str, Mapping[str, int]]],
    series: Mapping[str, ChartSeries],
    *,
    first_head: str,
    rates: Sequence[float | None] | None = None,
    rate_label: str = "Rate",
    before: Sequence[int] | None = None,
    before_label: str = "Before",
) -> ColumnChart:
    """Lay out one stacked column per pair of a name and its value per series; `rates` are shares, one per column.

    `before` are the totals with which the columns are compared, one per column.
    """
    totals = [sum(parts.get(key, 0) for key in series) for _, parts in columns]
    compared = list(before or ())
    top = nice_ceiling(max([*totals, *compared], default=0))
    # The middle of an odd scale is no whole number of calls.
    scale = [top, 0] if top % 2 else [top, top // 2, 0]
    step = 100 / max(1, len(columns))
    width = min(_MOST_WIDTH, step * 0.8)
    shares = [None] * len(columns) if rates is None else list(rates)
    placed = []
    for place, ((name, parts), share) in enumerate(zip(columns, shares, strict=True)):
        values = [f"{part.label} {parts[key]:,}" for key, part in series.items() if parts.get(key)]
        if share is not None:
            values.append(f"{rate_label} {share:.0%}")
        if compared:
            values.append(f"{before_label} {compared[place]:,}")
        placed.append(
            ChartColumn(
                left=round(place * step, 2),
                room=round(step, 2),
                x=round((place + 0.5) * step - width / 2, 2),
                width=round(width, 2),
                parts=_parts(parts, series, top),
                title=f"{name}: {', '.join(values) or 'none'}",
            )
        )
    used = [key for key in series if any(parts.get(key) for _, parts in columns)]
    has_rates = any(share is not None for share in shares)
    return ColumnChart(
        title=title,
        description=f"{sum(totals):,} in {len(columns)} bars; the highest bar is {max(totals, default=0):,}.",
        columns=placed if any(totals) or any(compared) else [],
        ticks=[f"{value:,}" for value in scale],
        labels=_axis_labels([name for name, _ in columns], step, width),
        head=[
            *(first_head, *(series[key].label for key in used), "Total"),
            *([rate_label] if has_rates else []),
            *([before_label] if compared else []),
        ],
        rows=_number_rows(columns, used, shares if has_rates else None, compared),
        legend=[(series[key].tone, series[key].label) for key in used],
        line=_polylines(shares, step),
        line_label=rate_label if has_rates else None,
        before=_polylines([value / top for value in compared], step),
        before_label=before_label if compared else None,
    )


def _number_rows(
    columns: Sequence[tuple[str, Mapping[str, int]]],
    used: Sequence[str],
    shares: Sequence[float | None] | None,
    compared: Sequence[int],
) -> list[list[str]]:
    """Return the numbers behind the columns, without those that have none now and had none before."""
    rows = []
    for place, (name, parts) in enumerate(columns):
        total = sum(parts.get(key, 0) for key in used)
        row = [name, *(f"{parts.get(key, 0):,}" for key in used), f"{total:,}"]
        if shares is not None:
            share = shares[place]
            row.append("–" if share is None else f"{share:.0%}")
        if compared:
            row.append(f"{compared[place]:,}")
        if total or (compared and compared[place]):
            rows.append(row)
    return rows


def row_bars(title: str, rows: Sequence[tuple[str, str, int]], *, first_head: str) -> BarChart:
    """Lay out one horizontal bar per row; rows are a name, a tone and a value."""
    bars = [CountedBar(name=name, tone=tone, value=value) for name, tone, value in rows]
    return grouped_bars(title, [("", bars)], first_head=first_head)


def grouped_bars(
    title: str, groups: Sequence[tuple[str, Sequence[CountedBar]]], *, first_head: str, whole: int | None = None
) -> BarChart:
    """Lay out horizontal bars under the headings of their groups; groups without bars are left out.

    Shares are those of `whole`, by default of the sum.
    """
    counted = [bar for _, bars in groups for bar in bars]
    most = max((bar.value for bar in counted), default=0)
    if whole is None:
        whole = sum(bar.value for bar in counted)

    def share_of(value: int) -> str:
        return percent(value, whole) if whole else "0%"

    return BarChart(
        title=title,
        description=f"{sum(bar.value for bar in counted):,} in total across {len(counted)} rows.",
        groups=[
            BarGroup(
                label=label,
                value=f"{(total := sum(bar.value for bar in bars)):,}",
                share=share_of(total),
                bars=[
                    RowBar(
                        name=bar.name,
                        tone=bar.tone,
                        width=round(100 * bar.value / most, 1) if most else 0,
                        value=f"{bar.value:,}",
                        share=share_of(bar.value),
                        title=f"{bar.name}: {bar.value:,} of {whole:,} ({share_of(bar.value)})",
                        href=bar.href,
                    )
                    for bar in bars
                ],
            )
            for label, bars in groups
            if bars
        ],
        head=[first_head, "Count", "Share"],
        rows=[[bar.name, f"{bar.value:,}", share_of(bar.value)] for bar in counted],
    )


def heat_map(title: str, cells: Sequence[RatedCalls], *, corner: str, axis: str) -> HeatMap:
    """Lay out rates by row and column, in the order in which they come. Colors compare them with the highest rate."""
    by_place = {(cell.row, cell.column): cell for cell in cells}
    rows, columns = list(dict.fromkeys(c.row for c in cells)), sorted({c.column for c in cells})
    highest = max((cell.answered / cell.calls for cell in cells if cell.calls >= FEW_CALLS), default=0)

    def drawn(cell: RatedCalls | None, column: str) -> HeatCell | None:
        if cell is None:
            return None
        rate = cell.answered / cell.calls
        level = None if cell.calls < FEW_CALLS else min(_LEVELS - 1, int(_LEVELS * rate / highest)) if highest else 0
        words = f"{cell.row}, {axis} {column}: {rate:.0%} of {cell.calls:,} {'call' if cell.calls == 1 else 'calls'}"
        return HeatCell(f"{rate:.0%}", words, level)

    return HeatMap(
        title=title,
        description=f"{sum(cell.calls for cell in cells):,} calls in {len(cells)} cells.",
        corner=corner,
        columns=[f"{axis.capitalize()} {column}" for column in columns],
        cells=[(row, [drawn(by_place.get((row, column)), column) for column in columns]) for row in rows],
        head=[corner, axis.capitalize(), "Calls", "Answered", "Rate"],
        rows=[
            [cell.row, cell.column, f"{cell.calls:,}", f"{cell.answered:,}", f"{cell.answered / cell.calls:.0%}"]
            for cell in cells
        ],
    )


def rate(part: int, whole: int) -> float | None:
    """Return a share to draw; None when it is one of few calls, which would jump."""
    return part / whole if whole >= FEW_CALLS else None


def nice_ceiling(value: int) -> int:
    """Round up to the next scale maximum: 1, 2, 5, 10, 20, 50, ...; never 0."""
    if value <= 1:
        return 1
    power: int = 10 ** int(log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value)


def _parts(parts: Mapping[str, int], series: Mapping[str, ChartSeries], top: int) -> list[ColumnPart]:
    stacked, below = [], 0
    for key, part in series.items():
        if value := parts.get(key, 0):
            upper, height = 100 - 100 * (below + value) / top, 100 * value / top
            stacked.append(ColumnPart(round(upper, 2), round(height, 2), part.tone))
            below += value
    return stacked


def _polylines(shares: Sequence[float | None], step: float) -> list[str]:
    """Return the points of each run of columns that have a rate."""
    runs: list[list[str]] = [[]]
    for place, share in enumerate(shares):
        if share is None:
            runs.append([])
        else:
            runs[-1].append(f"{(place + 0.5) * step:.2f},{100 - 100 * share:.2f}")
    return [" ".join(run) for run in runs if len(run) > 1]


def _axis_labels(names: Sequence[str], step: float, width: float) -> list[AxisLabel]:
    """Place the names that fit on a phone, and between them those that wider drawings have room for."""
    placed: dict[int, AxisLabel] = {}
    for level, room in enumerate(_ROOMS):
        taken = [_span(label, room) for label in placed.values()]
        longest = max(map(_text_width, names), default=0) + _GAP
        every = max(1, ceil(longest / (step * room / 100)))
        for place in range(0, len(names), every):
            label = _axis_label(names[place], (place + 0.5) * step, width, level)
            begin, end = _span(label, room)
            if place in placed or any(begin < other_end and end > other_begin for other_begin, other_end in taken):
                continue
            placed[place] = label
            taken.append((begin, end))
    return [placed[place] for place in sorted(placed)]


def _axis_label(name: str, middle: float, width: float, level: int) -> AxisLabel:
    """Center a name below its column, or let it begin or end with the column where it would leave the drawing."""
    text = 100 * _text_width(name) / _ROOMS[level]
    x, anchor = _anchored(middle, width, text)
    return AxisLabel(x=round(x, 2), anchor=anchor, text=name, level=level)


def _anchored(middle: float, width: float, text: float) -> tuple[float, Anchor]:
    """Return where a text of some share of the drawing is placed; one that fits nowhere begins at the left."""
    if middle < text / 2:
        return max(0, min(middle - width / 2, 100 - text)), "start"
    if middle + text / 2 > 100:
        return min(100, max(middle + width / 2, text)), "end"
    return middle, "middle"


def _span(label: AxisLabel, room: int) -> tuple[float, float]:
    """Return where a label begins and ends in a drawing of `room` pixels, with half of the gap on each side."""
    width, at = _text_width(label.text), label.x * room / 100
    begin = {"start": at, "middle": at - width / 2, "end": at - width}[label.anchor]
    return begin - _GAP / 2, begin + width + _GAP / 2


def _text_width(text: str) -> float:
    return _CHARACTER * len(text)
