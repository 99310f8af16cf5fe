"""Drawing: Vega-Altair specifications, made into SVG by vl-convert without a browser or a network.

Altair is chosen because a picture is data and encodings, not coordinates; its scales and axes are well kept; and
vl-convert draws it into SVG in this process. Colours are written as variables of the page's style, so that one picture
serves light, dark and print.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

# Colours that a picture is drawn with, and the variables of the page that take their place.
INK, SOFT, GRID, MUTED, ACCENT, PAPER = "#010101", "#010102", "#010103", "#010104", "#010105", "#010106"
SERIES = tuple(f"#0201{place:02x}" for place in range(8))
_VARIABLES = {
    INK: "ink", SOFT: "soft", GRID: "grid", MUTED: "muted", ACCENT: "accent", PAPER: "paper",
    **{colour: f"s{place}" for place, colour in enumerate(SERIES)},
}  # fmt: skip
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [10, 4], [1, 3], [6, 2, 1, 2])
FONT = "sans-serif"
TEXT = 12
_CHARACTER = 6.6  # pixels of an average letter in that size; one of Chinese, Japanese or Korean takes TEXT


class Width(NamedTuple):
    """What a picture is drawn for. plot: pixels of its plot; ticks: about how many an axis has."""

    name: str
    plot: int
    ticks: int
    label: int


WIDE = Width("wide", 680, 7, 26)
NARROW = Width("narrow", 250, 4, 14)
WIDTHS = (WIDE, NARROW)


class Frame(NamedTuple):
    """Pixels around a plot. They are given, not measured from texts: fonts differ between machines, and a picture
    must be the same on each."""

    left: int
    top: int = 8
    right: int = 24
    bottom: int = 52


@contextmanager
def unchecked() -> Iterator[None]:
    """Specifications are made without a check against the schema of Vega-Lite, which takes longer than drawing them."""
    from altair.utils.schemapi import debug_mode

    with debug_mode(False):
        yield


def svg(chart: Any, frame: Frame) -> str:
    """A chart as SVG whose colours are the page's."""
    drawing = chart.properties(autosize="none", padding=frame._asdict()).configure(**_theme())
    return _drawn(json.dumps(drawing.to_dict(validate=False)))


@lru_cache(maxsize=64)
def _drawn(specification: str) -> str:
    """A check draws again what was just written."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    for colour, name in _VARIABLES.items():
        drawn = drawn.replace(colour, f"var(--{name})")
    drawn = re.sub(r' (?:xmlns:xlink="[^"]*"|version="1\.1"|class="marks")', "", drawn, count=3)
    drawn = re.sub(r'^(<svg[^>]*?) width="[^"]*" height="[^"]*"', r'\1 aria-hidden="true" focusable="false"', drawn)
    return re.sub(r"<[^>]*>", _tidied, drawn)


def _tidied(tag: re.Match[str]) -> str:
    """A tag without the font, which is the page's, and with two decimals."""
    return re.sub(r"(-?\d+\.\d{2})\d+", r"\1", re.sub(r' font-family="[^"]*"', "", tag[0]))


def _theme() -> dict[str, Any]:
    axis = {
        "labelColor": SOFT, "titleColor": SOFT, "gridColor": GRID, "domainColor": MUTED, "tickColor": MUTED,
        "labelFontSize": TEXT, "titleFontSize": TEXT, "titleFontWeight": "normal", "titlePadding": 10, "domain": False,
        "ticks": False, "labelPadding": 6, "labelFont": FONT, "titleFont": FONT, "labelLimit": 0, "labelFlush": False,
        "labelOverlap": False, "labelBound": False, "titleLimit": 0,
    }  # fmt: skip
    return {
        "background": "transparent",
        "aria": False,
        "view": {"stroke": None},
        "axis": axis,
        "text": {"font": FONT, "fontSize": TEXT, "color": INK},
    }


def shortened(name: str, length: int) -> str:
    """A name that a picture has room for; its end tells systems of one build apart, so the middle goes."""
    name = " ".join(name.split())
    if len(name) <= length:
        return name
    head = (length - 1) * 2 // 5
    return f"{name[:head]}…{name[len(name) - (length - 1 - head) :]}"


def width_of(text: str) -> float:
    """About how many pixels a text takes."""
    return sum(TEXT if ord(char) > 0x2E7F else _CHARACTER for char in text)


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis with a scale of its own, so that it is known where on the plot a value lies."""

    title: str
    low: float
    high: float
    log: bool = False

    @staticmethod
    def over(title: str, values: Sequence[float], *, ceiling: float | None = None, zero: bool = False) -> Axis:
        """An axis that holds the values with room beside them. A wide range of positive values is drawn in logarithms.
        ceiling: the largest value that there can be."""
        low, high = min(values), max(values)
        if not zero and low > 0 and high / low > 20:
            return Axis(title, low / 1.4, high * 1.6, log=True)
        room = (high - low) * 0.12 or abs(high) * 0.1 or 0.1
        top = high + room if ceiling is None else min(high + room, max(ceiling, high))
        return Axis(title, 0.0 if zero else max(low - room, 0.0) if low >= 0 else low - room, top)

    def place(self, value: float, pixels: float) -> float:
        """How many pixels a value lies from the low end."""
        import math

        if self.log:
            return pixels * math.log(value / self.low) / math.log(self.high / self.low)
        return pixels * (value - self.low) / ((self.high - self.low) or 1)

    def ticks(self, about: int) -> list[float]:
        """Round values on it, so many at most that a number fits beside each."""
        import math

        if self.log:
            low, high = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            for digits in ((1, 2, 5), (1, 3), (1,)):
                found = [d * 10.0**e for e in range(low, high + 1) for d in digits]
                found = [value for value in found if self.low <= value <= self.high]
                if len(found) <= about:
                    return found
            return found[:: math.ceil(len(found) / about)]
        span = self.high - self.low
        power = 10.0 ** math.floor(math.log10(span / about))
        step = next(power * by for by in (1, 2, 5, 10) if span / (power * by) <= about)
        first = math.ceil(self.low / step - 1e-9)
        return [
            round(first * step + i * step, 12) for i in range(about + 2) if first * step + i * step <= self.high + 1e-9
        ]

    def scale(self) -> Any:
        import altair

        kind: Literal["log", "linear"] = "log" if self.log else "linear"
        zero = altair.Undefined if self.log else False
        return altair.Scale(type=kind, domain=[self.low, self.high], nice=False, zero=zero, clamp=True)


class Spot(NamedTuple):
    """A point on a plot in pixels, from the left and from above, with the label that it would like."""

    left: float
    top: float
    label: str


class Placed(NamedTuple):
    """A label's place: where its text starts, ends or has its middle."""

    left: float
    top: float
    align: Literal["left", "center", "right"]


def placed_labels(spots: Sequence[Spot], width: float, height: float) -> list[Placed | None]:
    """A place for each label that covers no point and no other label; None where there is none. The first ones choose
    first."""
    taken = [(s.left - 6, s.top - 6, s.left + 6, s.top + 6) for s in spots]
    found: list[Placed | None] = []
    for spot in spots:
        place = None
        if spot.label:
            place = next((each for each in _choices(spot) if _free(_box(each, spot.label), taken, width, height)), None)
            if place is not None:
                taken.append(_box(place, spot.label))
        found.append(place)
    return found


def _choices(spot: Spot) -> list[Placed]:
    sides = [Placed(spot.left + 11, spot.top, "left"), Placed(spot.left - 11, spot.top, "right")]
    sides += [Placed(spot.left, spot.top + by, "center") for by in (-15, 16)]
    for by in (-15, 16, -29, 30):
        sides += [Placed(spot.left + 9, spot.top + by, "left"), Placed(spot.left - 9, spot.top + by, "right")]
    return sides


def _box(place: Placed, label: str) -> tuple[float, float, float, float]:
    wide = width_of(label)
    left = place.left - {"left": 0.0, "center": wide / 2, "right": wide}[place.align]
    return left, place.top - 8, left + wide, place.top + 8


def _free(
    box: tuple[float, float, float, float],
    taken: Sequence[tuple[float, float, float, float]],
    width: float,
    height: float,
) -> bool:
    inside = box[0] >= 0 and box[2] <= width + 40 and box[1] >= -12 and box[3] <= height + 2
    return inside and not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
    )
