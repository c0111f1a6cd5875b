"""The panel of the change after each pass, which is compared with ``tol``."""

from typing import Any

from bokeh.models import ColumnDataSource, Range1d

from daskgmm.monitoring.history import FitHistory
from daskgmm.monitoring.page.panels.base import chart
from daskgmm.monitoring.page.view import PageView
from daskgmm.monitoring.text import number

_ORANGE, _RED = "#e08a1e", "#e5484d"
_ROOM = 2.0
_EARLY, _DWARFED = 0.1, 1e3


class Change:
    """A chart of the change, which falls towards a line at ``tol``."""

    def __init__(self, source: ColumnDataSource) -> None:
        tips = [("pass", "@iteration"), ("change", "@change{0.00e+0}")]
        self.root = chart("change", tips, y="log", y_range=Range1d(0.1, 1))
        line = self.root.line("iteration", "change", source=source, line_width=2, color=_ORANGE)
        dots = self.root.scatter("iteration", "change", source=source, size=4, color=_ORANGE)
        self.root.hover.renderers = [line, dots]
        self._tol = ColumnDataSource({"x": [], "y": [], "text": []})
        self.root.line("x", "y", source=self._tol, color=_RED, line_dash="dashed", line_width=1.5)
        self.root.text(
            "x", "y", "text", source=self._tol, text_color=_RED, text_font_size="12px", y_offset=-3
        )

    def show(self, view: PageView) -> None:
        """Draw the line of ``tol`` and fit the axis to the passes."""
        tol = 0.0 if view.run is None else view.run.latest.get("tol") or 0.0
        lines: dict[str, list[Any]] = {"x": [], "y": [], "text": []}
        if view.run is not None and view.run.points and tol:
            x = [view.run.points[0].iteration, view.run.points[-1].iteration]
            lines = {"x": x, "y": [tol, tol], "text": [f"tol {number(tol)}", ""]}
        if lines != self._tol.data:
            self._tol.data = lines
        low, high = span(view.run, tol)
        self.root.y_range.update(start=low / _ROOM, end=high * _ROOM)


def span(run: FitHistory | None, tol: float) -> tuple[float, float]:
    """Least and greatest change that the axis covers, `tol` included.

    Where the first tenth of the passes would dwarf all others, they are left out.
    """
    points = () if run is None else run.points
    sizes = [abs(point.change) for point in points if point.change] or [tol or 1.0]
    late = sizes[max(int(_EARLY * len(sizes)), 1) :] or sizes
    seen = late if max(sizes) > _DWARFED * max(late) else sizes
    return min([*seen, tol or seen[0]]), max([*seen, tol])
