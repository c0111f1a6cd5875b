"""What is held against ``tol``, after each pass."""

from typing import Any

from bokeh.models import ColumnDataSource

from daskgmm.monitoring.page.panels.base import chart
from daskgmm.monitoring.page.view import View
from daskgmm.monitoring.page.words import number

_ORANGE, _RED = "#e08a1e", "#e5484d"


class Change:
    """It falls towards the line of ``tol``."""

    def __init__(self, source: ColumnDataSource) -> None:
        tips = [("pass", "@iteration"), ("change", "@change{0.00e+0}")]
        self.root = chart("change", tips, y="log")
        line = self.root.line("iteration", "change", source=source, line_width=2, color=_ORANGE)
        dots = self.root.scatter("iteration", "change", source=source, size=4, color=_ORANGE)
        self.root.hover.renderers = [line, dots]
        self._tol = ColumnDataSource({"x": [], "y": [], "text": []})
        self.root.line("x", "y", source=self._tol, color=_RED, line_dash="dashed", line_width=1.5)
        self.root.text(
            "x", "y", "text", source=self._tol, text_color=_RED, text_font_size="12px", y_offset=-3
        )

    def show(self, view: View) -> None:
        """Draw the line as far as the passes go."""
        tol = None if view.run is None else view.run.latest.get("tol")
        lines: dict[str, list[Any]] = {"x": [], "y": [], "text": []}
        if view.run is not None and view.run.points and tol:
            x = [view.run.points[0].iteration, view.run.points[-1].iteration]
            lines = {"x": x, "y": [tol, tol], "text": [f"tol {number(tol)}", ""]}
        if lines != self._tol.data:
            self._tol.data = lines
