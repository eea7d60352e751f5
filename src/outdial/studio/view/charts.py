"""Chart layout: positions of bars and labels in the units of an SVG view box."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 8, 24
_ROW: Final = 26
_ROW_LEFT, _ROW_RIGHT = 150, 90
_MAX_LABELS: Final = 6
# Keeps a few bars from filling the whole chart.
_MAX_BAR_WIDTH: Final = 48.0


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


def stacked_bars(
    title: str, columns: Sequence[tuple[str, Mapping[str, int]]], series: Mapping[str, ChartSeries], *, first_head: str
) -> Chart:
    """Lay out one stacked bar per column; columns are pairs of a name and its value per series."""
    totals = [sum(parts.get(key, 0) for key in series) for _, parts in columns]
    top = nice_ceiling(max(totals, default=0))
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(columns))
    bars = [
        bar
        for place, (name, parts) in enumerate(columns)
        for bar in _stack(place, step=step, top=top, name=name, parts=parts, series=series)
    ]
    every = ceil(len(columns) / _MAX_LABELS) if columns else 1
    used = [key for key in series if any(parts.get(key) for _, parts in columns)]
    return Chart(
        title=title,
        description=f"{sum(totals):,} in {len(columns)} bars; the highest bar is {max(totals, default=0):,}.",
        width=WIDTH,
        height=HEIGHT,
        bars=bars,
        ticks=[ChartLabel(_LEFT - 6, _height_of(value, top), f"{value:,}") for value in sorted({0, top // 2, top})],
        labels=[
            ChartLabel(round(_LEFT + (place + 0.5) * step, 1), HEIGHT - 6, name)
            for place, (name, _) in enumerate(columns)
            if place % every == 0
        ],
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
    room = WIDTH - _ROW_LEFT - _ROW_RIGHT
    height = max(1, len(rows)) * _ROW
    shares = [f"{100 * value / whole:.0f}%" if whole else "0%" for *_, value in rows]
    return Chart(
        title=title,
        description=f"{whole:,} in total across {len(rows)} rows.",
        width=WIDTH,
        height=height,
        bars=[
            ChartBar(
                x=_ROW_LEFT,
                y=place * _ROW + 4,
                width=round(room * value / most, 1),
                height=_ROW - 8,
                tone=tone,
                title=f"{name}: {value:,}",
            )
            for place, (name, tone, value) in enumerate(rows)
            if value
        ],
        ticks=[ChartLabel(_ROW_LEFT - 8, place * _ROW + 18, name) for place, (name, *_) in enumerate(rows)],
        labels=[
            ChartLabel(round(_ROW_LEFT + room * value / max(1, most) + 8, 1), place * _ROW + 18, f"{value:,} ({share})")
            for place, ((_, _, value), share) in enumerate(zip(rows, shares, strict=True))
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


def _stack(
    place: int, step: float, top: int, name: str, parts: Mapping[str, int], series: Mapping[str, ChartSeries]
) -> list[ChartBar]:
    gap = min(4.0, step * 0.2)
    width = round(min(_MAX_BAR_WIDTH, max(0.5, step - gap)), 2)
    x = round(_LEFT + (place + 0.5) * step - width / 2, 2)
    bars, below = [], 0
    for key, part in series.items():
        if value := parts.get(key, 0):
            upper, lower = _height_of(below + value, top), _height_of(below, top)
            bars.append(
                ChartBar(
                    x=x,
                    y=upper,
                    width=width,
                    height=round(lower - upper, 2),
                    tone=part.tone,
                    title=f"{name}, {part.label}: {value:,}",
                )
            )
            below += value
    return bars


def _height_of(value: int, top: int) -> float:
    return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top, 2)
