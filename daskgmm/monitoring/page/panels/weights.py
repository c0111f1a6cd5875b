"""The panel of the components' weights after each pass."""

import math
from typing import Any

from bokeh.models import ColumnDataSource, CustomJSTickFormatter, FixedTicker, GlyphRenderer, Line
from bokeh.palettes import Category10_10, Turbo256

from daskgmm.monitoring.history import Point
from daskgmm.monitoring.page.feed import component
from daskgmm.monitoring.page.panels.base import chart
from daskgmm.monitoring.page.view import PageView

_RED = "#e5484d"
_MARGIN = 24  # of the palette's ends, which are too dark for a dark page
_MANTISSAS = ((1.3, (1, 1.5, 2, 3, 4, 5, 6, 8)), (3, (1, 2, 5)), (math.inf, (1,)))
"""Mantissas of the ticks, by the number of decades that the axis covers."""

_APART = 1.5
_NAMED = 5
_NO_LABELS: dict[str, list[Any]] = {"x": [], "y": [], "text": []}

_PLAIN = {"nonselection_glyph": None, "muted_glyph": None}
"""No glyphs for selected or muted lines: each takes time to make, and none is used."""

DYING = 0.1
"""A component with less than this share of an equal weight is about to vanish."""


class Weights:
    """A chart of weights on a logarithmic scale, with labels at components that vanish."""

    def __init__(self, source: ColumnDataSource) -> None:
        tips = [("component", "$name"), ("pass", "@iteration"), ("weight", "@$name{0.000000}")]
        self.root = chart("weights", tips, y="log")
        self._source = source
        self._lines: list[GlyphRenderer] = []
        self._colours = 0
        self.root.yaxis.ticker = self._ticker = FixedTicker(ticks=[0.01, 0.1, 1])
        self.root.yaxis.formatter = CustomJSTickFormatter(
            code="return `${Number(tick.toPrecision(2))}`"
        )
        self._dying = ColumnDataSource(dict(_NO_LABELS))
        self.root.text(
            "x", "y", "text", source=self._dying, text_color=_RED, text_font_size="12px",
            text_align="right", text_baseline="bottom",
        )  # fmt: skip

    def show(self, view: PageView) -> None:
        """Draw a line a component, and label components that vanish."""
        points = () if view.run is None else view.run.points
        self._draw(max((len(point.weights) for point in points), default=0))
        weights = [one for point in points for one in point.weights if one > 0] or [1.0]
        self._ticker.ticks = _ticks(min(weights), max(weights))
        labels = _labels(points[-1]) if points else dict(_NO_LABELS)
        if labels != self._dying.data:
            self._dying.data = labels

    def _draw(self, components: int) -> None:
        if components == self._colours:
            return
        fresh = [self._line(index) for index in range(len(self._lines), components)]
        self._lines += fresh
        for index, drawn in enumerate(self._lines):
            drawn.visible = index < components
            drawn.glyph.line_color = colour(index, components) if drawn.visible else None
        # All at once: for each change Bokeh goes through all models while the scheduler waits.
        self.root.renderers = [*self.root.renderers, *fresh]
        self.root.hover.renderers = self._lines[:components]
        self._colours = components

    def _line(self, index: int) -> GlyphRenderer:
        line = Line(x="iteration", y=component(index), line_width=1.5)
        return GlyphRenderer(data_source=self._source, glyph=line, name=component(index), **_PLAIN)


def colour(index: int, components: int) -> str:
    """The colour of a component on the whole page."""
    if components <= len(Category10_10):
        return str(Category10_10[index])
    span = len(Turbo256) - 1 - 2 * _MARGIN
    return str(Turbo256[_MARGIN + min(index, components - 1) * span // (components - 1)])


def _ticks(least: float, greatest: float) -> list[float]:
    """Round numbers that cover the weights; Bokeh has too few of them below two decades."""
    decades = math.log10(greatest / least)
    mantissas = next(some for most, some in _MANTISSAS if decades <= most)
    powers = range(math.ceil(-math.log10(least)) + 2)
    return [mantissa * 10.0**-power for power in powers for mantissa in mantissas]


def _labels(point: Point) -> dict[str, list[Any]]:
    """Labels of components that vanish; those close to each other share one."""
    bundles: list[list[int]] = []
    weights = point.weights
    for index in sorted(fading(weights), key=lambda index: -weights[index]):
        if not bundles or weights[bundles[-1][0]] > _APART * weights[index]:
            bundles.append([])
        bundles[-1].append(index)
    return {
        "x": [point.iteration] * len(bundles),
        "y": [weights[bundle[0]] for bundle in bundles],
        "text": [_name(bundle) for bundle in bundles],
    }


def _name(bundle: list[int]) -> str:
    named = ", ".join(map(str, bundle[:_NAMED]))
    more = f" and {len(bundle) - _NAMED} more" if len(bundle) > _NAMED else ""
    return f"component{'s' * (len(bundle) > 1)} {named}{more}"


def fading(weights: tuple[float, ...]) -> list[int]:
    """Indices of the components that are about to vanish."""
    return [index for index, weight in enumerate(weights) if 0 < weight < DYING / len(weights)]
