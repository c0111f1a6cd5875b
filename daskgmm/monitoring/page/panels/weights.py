"""The components' weights after each pass."""

import math
from typing import Any

from bokeh.models import ColumnDataSource, CustomJSTickFormatter, FixedTicker, Line
from bokeh.palettes import Category10_10, Turbo256

from daskgmm.monitoring.page.feed import component
from daskgmm.monitoring.page.panels.base import chart
from daskgmm.monitoring.page.view import View

_RED = "#e5484d"
_MARGIN = 24  # of the palette's ends, which are too dark for a dark page
_MANTISSAS = ((0.8, (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)), (3, (1, 2, 5)), (math.inf, (1,)))
"""Of the ticks, for that many decades."""

DYING = 0.1
"""A component with less than this share of an even weight is about to die."""


class Weights:
    """On a logarithmic scale, where those that die fall out of the bundle of the others."""

    def __init__(self, source: ColumnDataSource) -> None:
        tips = [("component", "$name"), ("pass", "@iteration"), ("weight", "@$name{0.000000}")]
        self.root = chart("weights", tips, y="log")
        self._source = source
        self._lines: list[tuple[Any, Line]] = []
        self._colours = 0
        self.root.yaxis.ticker = self._ticker = FixedTicker(ticks=[0.01, 0.1, 1])
        self.root.yaxis.formatter = CustomJSTickFormatter(
            code="return `${Number(tick.toPrecision(2))}`"
        )
        self._dying = ColumnDataSource({"x": [], "y": [], "text": []})
        self.root.text(
            "x", "y", "text", source=self._dying, text_color=_RED, text_font_size="12px",
            text_align="right", text_baseline="bottom",
        )  # fmt: skip

    def show(self, view: View) -> None:
        """As many lines as components, and the names of those that die."""
        points = () if view.run is None else view.run.points
        self._draw(max((len(point.weights) for point in points), default=0))
        if points:
            last = points[-1]
            weights = [one for point in points for one in point.weights if one > 0] or [1.0]
            self._ticker.ticks = _ticks(min(weights), max(weights))
            dying = {index: last.weights[index] for index in fading(last.weights)}
            labels = {
                "x": [last.iteration] * len(dying),
                "y": list(dying.values()),
                "text": [component(index) for index in dying],
            }
            if labels != self._dying.data:
                self._dying.data = labels

    def _draw(self, components: int) -> None:
        if components == self._colours:
            return
        for index in range(len(self._lines), components):
            line = Line(x="iteration", y=component(index), line_width=1.5)
            drawn = self.root.add_glyph(self._source, line, name=component(index))
            self._lines.append((drawn, line))
        for index, (drawn, line) in enumerate(self._lines):
            drawn.visible = index < components
            line.line_color = colour(index, components)
        self.root.hover.renderers = [drawn for drawn, _ in self._lines[:components]]
        self._colours = components


def colour(index: int, components: int) -> str:
    """Of a component among others, all over the page."""
    if components <= len(Category10_10):
        return str(Category10_10[index])
    span = len(Turbo256) - 1 - 2 * _MARGIN
    return str(Turbo256[_MARGIN + min(index, components - 1) * span // (components - 1)])


def _ticks(least: float, greatest: float) -> list[float]:
    """Round numbers down to the least weight: Bokeh's own are few below two decades."""
    decades = math.log10(greatest / least)
    mantissas = next(some for most, some in _MANTISSAS if decades <= most)
    powers = range(math.ceil(-math.log10(least)) + 2)
    return [mantissa * 10.0**-power for power in powers for mantissa in mantissas]


def fading(weights: tuple[float, ...]) -> list[int]:
    """The components that are about to die."""
    return [index for index, weight in enumerate(weights) if 0 < weight < DYING / len(weights)]
