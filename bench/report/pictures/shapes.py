"""The few kinds of pictures that a report has: points with intervals, dumbbells, distributions and stacked bars."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bench.report.pictures.draw import (
    DASHES,
    INK,
    MUTED,
    PAPER,
    SERIES,
    SHAPES,
    SOFT,
    WIDTHS,
    Axis,
    Frame,
    Placed,
    Spot,
    Width,
    placed_labels,
    shortened,
    svg,
    unchecked,
    width_of,
)

_ROW = 26  # pixels of a row
_STOP = 12  # pixels of each point of a row whose points are not joined
_LABEL = "replace(datum.label, /^0\\\\./, '.')"  # as the tables write numbers, and with all digits of small ones
_VALUES_FRAME = Frame(left=44, top=30)


class Point(NamedTuple):
    """A point with the interval of its height. series: which colour and shape, None where it stays in the background.
    marked: whether it is filled."""

    name: str
    x: float
    y: float
    low: float | None
    high: float | None
    series: int | None
    marked: bool
    labelled: bool


def _data(rows: Sequence[dict[str, Any]]) -> Any:
    import altair

    return altair.InlineData(values=list(rows))


def _x(field: str, axis: Axis, width: Width) -> Any:
    import altair

    drawn = altair.Axis(title=axis.title, values=axis.ticks(width.ticks), format="~g", labelExpr=_LABEL, grid=True)
    return altair.X(f"{field}:Q", scale=axis.scale(), axis=drawn)


def _y(field: str, axis: Axis) -> Any:
    import altair

    drawn = altair.Axis(title=None, values=axis.ticks(6), format="~g", labelExpr=_LABEL)
    return altair.Y(f"{field}:Q", scale=axis.scale(), axis=drawn)


def scatter(
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    *,
    joined: Sequence[tuple[Point, Point]] = (),
    paths: Sequence[Sequence[Point]] = (),
    levels: Sequence[float] = (),
) -> tuple[str, str]:
    """Points, for a page and for a telephone. joined: pairs that cannot be told apart. paths: points of a series, in
    order. levels: heights that are drawn as lines."""
    with unchecked():
        wide, narrow = (_scatter(points, x, y, joined, paths, levels, width) for width in WIDTHS)
    return wide, narrow


def _scatter(
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    joined: Sequence[tuple[Point, Point]],
    paths: Sequence[Sequence[Point]],
    levels: Sequence[float],
    width: Width,
) -> str:
    import altair

    height = 340 if width is WIDTHS[0] else 260
    across = _x("x", x, width)
    up, low = _y("y", y), _y("low", y)
    layers: list[Any] = []
    if levels:
        rows = _data([{"y": level} for level in levels])
        layers.append(altair.Chart(rows).mark_rule(color=INK, strokeDash=[2, 3]).encode(y=up))
    for one, other in joined:
        both = _data([{"x": each.x, "y": each.y} for each in (one, other)])
        layers.append(altair.Chart(both).mark_line(color=MUTED, strokeDash=[3, 3], strokeWidth=1.5).encode(across, up))
    for path in paths:
        place = (path[0].series or 0) % len(SERIES)
        steps = _data([{"x": each.x, "y": each.y} for each in path])
        line = altair.Chart(steps).mark_line(color=SERIES[place], strokeWidth=1.5, strokeDash=DASHES[place])
        layers.append(line.encode(across, up))
    layers += _with_intervals(points, across, up, low)
    layers += _labels(_placed(points, (x, y), (*paths, *joined), (width, height)))
    title = altair.TitleParams(
        y.title,
        anchor="start",
        frame="group",
        fontSize=12,
        fontWeight="normal",
        color=SOFT,
        font="sans-serif",
        offset=12,
        limit=0,
    )
    return svg(altair.layer(*layers).properties(width=width.plot, height=height, title=title), _VALUES_FRAME)


def _placed(
    points: Sequence[Point], axes: tuple[Axis, Axis], lines: Sequence[Sequence[Point]], size: tuple[Width, int]
) -> list[tuple[str, Placed]]:
    """The points' labels, as far as they fit beside points and lines."""
    (x, y), (width, height) = axes, size

    def at(point: Point) -> tuple[float, float]:
        return x.place(point.x, width.plot), height - y.place(point.y, height)

    spots = [Spot(*at(p), shortened(p.name, width.label) if p.labelled else "") for p in points]
    ends = [(at(one), at(other)) for line in lines for one, other in itertools.pairwise(line)]
    along = [
        Spot(a[0] + (b[0] - a[0]) * tenth / 10, a[1] + (b[1] - a[1]) * tenth / 10, "")
        for a, b in ends
        for tenth in range(1, 10)
    ]
    places = placed_labels([*spots, *along], width.plot, height)
    return [(spot.label, place) for spot, place in zip(spots, places, strict=False) if place is not None]


def _with_intervals(points: Sequence[Point], across: Any, up: Any, ends: Any) -> list[Any]:
    """A layer for each look; what is marked lies on top."""
    import altair

    looks: dict[tuple[bool, bool, int | None], list[Point]] = {}
    for point in points:
        looks.setdefault((point.marked, point.series is not None, point.series), []).append(point)
    rules, marks = [], []
    for (marked, _, series), alike in sorted(looks.items(), key=lambda look: (look[0][:2], look[0][2] or 0)):
        colour = MUTED if series is None else SERIES[series % len(SERIES)]
        rows = [{"x": p.x, "y": p.y, "low": p.low, "high": p.high} for p in alike]
        with_ends = [row for row in rows if row["low"] is not None and row["high"] is not None]
        if with_ends:
            rule = altair.Chart(_data(with_ends)).mark_rule(color=colour, strokeWidth=1.5, opacity=0.75)
            rules.append(rule.encode(across, ends, y2="high:Q"))
        shape, filled = SHAPES[(series or 0) % len(SHAPES)], colour if marked else PAPER
        mark = altair.Chart(_data(rows)).mark_point(
            shape=shape, size=90, fill=filled, stroke=colour, strokeWidth=2, opacity=1
        )
        marks.append(mark.encode(across, up))
    return [*rules, *marks]


def _labels(placed: Sequence[tuple[str, Placed]]) -> Iterator[Any]:
    """Texts at their places, which are pixels of the plot."""
    import altair

    for align in ("left", "center", "right"):
        rows = [{"text": text, "x": place.left, "y": place.top} for text, place in placed if place.align == align]
        if rows:
            mark = altair.Chart(_data(rows)).mark_text(align=align, baseline="middle", color=INK)
            yield mark.encode(
                altair.X("x:Q", scale=None, axis=None), altair.Y("y:Q", scale=None, axis=None), text="text:N"
            )


class Stop(NamedTuple):
    """A stage of a row, with the interval of its value."""

    stage: str
    value: float
    low: float | None
    high: float | None
    series: int


class Row(NamedTuple):
    """A row of points on one line."""

    name: str
    stops: Sequence[Stop]


def _beside(names: Sequence[str], width: Width) -> tuple[list[str], int, Frame]:
    """Names of rows as there is room for them, the pixels that the plot is left, and the frame with room for them."""
    short = _distinct(names, 34 if width is WIDTHS[0] else 15)
    left = int(max(width_of(name) for name in short)) + 14
    whole = width.plot + _VALUES_FRAME.left
    return short, whole - left, Frame(left=left)


def rows(lines: Sequence[Row], axis: Axis, *, connected: bool) -> tuple[str, str]:
    """Points in rows, for a page and for a telephone. connected: whether a line joins those of a row."""
    with unchecked():
        wide, narrow = (_rows(lines, axis, connected, width) for width in WIDTHS)
    return wide, narrow


def _rows(lines: Sequence[Row], axis: Axis, connected: bool, width: Width) -> str:
    import altair

    names, plot, frame = _beside([line.name for line in lines], width)
    across = _x("x", axis, width)
    drawn = altair.Axis(title=None, grid=False, labelColor=INK)
    up = altair.Y("row:N", sort=names, axis=drawn, scale=altair.Scale(paddingInner=0.2, domain=names))
    layers: list[Any] = []
    if connected:
        joined = [
            {"row": name, "x": min(s.value for s in line.stops), "x2": max(s.value for s in line.stops)}
            for name, line in zip(names, lines, strict=True)
        ]
        layers.append(altair.Chart(_data(joined)).mark_rule(color=MUTED, strokeWidth=2).encode(across, up, x2="x2:Q"))
    alike: dict[tuple[int, float], list[tuple[str, Stop]]] = {}
    for name, line in zip(names, lines, strict=True):
        for place, stop in enumerate(line.stops):
            shift = 0.0 if connected else _STOP / 2 * (2 * place - len(line.stops) + 1)
            alike.setdefault((stop.series, shift), []).append((name, stop))
    for (series, shift), stops in alike.items():
        layers += _stops(stops, series, shift, (across, _x("low", axis, width), up))
    each = _ROW if connected else max(_ROW, _STOP * (1 + max(len(line.stops) for line in lines)))
    return svg(altair.layer(*layers).properties(width=plot, height=len(lines) * each), frame)


def _stops(
    stops: Sequence[tuple[str, Stop]], series: int, shift: float, channels: tuple[Any, Any, Any]
) -> Iterator[Any]:
    import altair

    across, ends, up = channels
    place = series % len(SERIES)
    rows = [{"row": name, "x": stop.value, "low": stop.low, "high": stop.high} for name, stop in stops]
    with_ends = [row for row in rows if row["low"] is not None and row["high"] is not None]
    if with_ends:
        rule = altair.Chart(_data(with_ends)).mark_rule(
            color=SERIES[place], strokeWidth=1.5, opacity=0.7, yOffset=shift
        )
        yield rule.encode(ends, up, x2="high:Q")
    mark = altair.Chart(_data(rows)).mark_point(
        shape=SHAPES[place], size=80, fill=SERIES[place], stroke=PAPER, strokeWidth=1, opacity=1, yOffset=shift
    )
    yield mark.encode(across, up)


class Spread(NamedTuple):
    """A distribution: five percentiles, lowest first."""

    name: str
    low: float
    quarter: float
    middle: float
    three_quarters: float
    high: float


def spreads(lines: Sequence[Spread], axis: Axis) -> tuple[str, str]:
    """Distributions in rows: a line from the low to the high percentile, a bar over the middle half, a stroke."""
    with unchecked():
        wide, narrow = (_spreads(lines, axis, width) for width in WIDTHS)
    return wide, narrow


def _spreads(lines: Sequence[Spread], axis: Axis, width: Width) -> str:
    import altair

    names, plot, frame = _beside([line.name for line in lines], width)
    values = [
        {"row": name, "low": s.low, "quarter": s.quarter, "middle": s.middle, "more": s.three_quarters, "high": s.high}
        for name, s in zip(names, lines, strict=True)
    ]
    across = _x("low", axis, width)
    up = altair.Y("row:N", sort=names, axis=altair.Axis(title=None, grid=False, labelColor=INK))
    chart = altair.Chart(_data(values))
    whole = chart.mark_rule(color=SERIES[0], strokeWidth=1.5).encode(across, up, x2="high:Q")
    half = chart.mark_bar(color=SERIES[0], height=9).encode(_x("quarter", axis, width), up, x2="more:Q")
    middle = chart.mark_tick(color=PAPER, thickness=3, size=9).encode(_x("middle", axis, width), up)
    return svg(altair.layer(whole, half, middle).properties(width=plot, height=len(lines) * _ROW), frame)


class Bar(NamedTuple):
    """A bar of parts, one after the other: the series of each and its value."""

    name: str
    parts: Sequence[tuple[int, float]]


def bars(lines: Sequence[Bar], axis: Axis) -> tuple[str, str]:
    """Stacked bars in rows."""
    with unchecked():
        wide, narrow = (_bars(lines, axis, width) for width in WIDTHS)
    return wide, narrow


def _bars(lines: Sequence[Bar], axis: Axis, width: Width) -> str:
    import altair

    names, plot, frame = _beside([line.name for line in lines], width)
    values = []
    for name, line in zip(names, lines, strict=True):
        start = 0.0
        for series, value in line.parts:
            values.append({"row": name, "start": start, "end": start + value, "colour": SERIES[series % len(SERIES)]})
            start += value
    across = _x("start", axis, width)
    up = altair.Y("row:N", sort=names, axis=altair.Axis(title=None, grid=False, labelColor=INK))
    chart = altair.Chart(_data(values)).mark_bar(height=14, stroke=PAPER, strokeWidth=1)
    drawn = chart.encode(across, up, x2="end:Q", color=altair.Color("colour:N", scale=None))
    return svg(altair.layer(drawn).properties(width=plot, height=len(lines) * _ROW), frame)


def _distinct(names: Sequence[str], length: int) -> list[str]:
    """Names short enough for a picture, of which no two are alike: equal ones are told apart by their number."""
    found: list[str] = []
    for name in names:
        short, again = shortened(name, length), 1
        while short in found:
            again += 1
            short = f"{shortened(name, length - 3)} {again}"
        found.append(short)
    return found


__all__ = ["Axis", "Bar", "Point", "Row", "Spread", "Stop", "bars", "rows", "scatter", "spreads"]
