"""The panel of rows per second of each pass."""

from bokeh.models import ColumnDataSource, CustomJSTickFormatter, Range1d

from daskgmm.monitoring.page.panels.base import chart
from daskgmm.monitoring.page.view import PageView

_GREEN = "#2f9e63"
_ROOM = 1.1

# As `monitoring.text.count`: Bokeh's own formats write a million as m.
_UNITS = """
const steps = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];
const [size, unit] = steps.find(([size, _]) => tick >= size) ?? [1, ""];
return `${Number((tick / size).toPrecision(3))}${unit}`;
"""


class Speed:
    """A chart of speed; the first pass may be slower, as later ones find their rows in a cache."""

    def __init__(self, source: ColumnDataSource) -> None:
        tips = [
            ("pass", "@iteration"),
            ("rows per second", "@rows_per_second{0,0}"),
            ("seconds", "@seconds{0.000}"),
        ]
        self.root = chart("speed", tips, y_range=Range1d(0, 1))
        self.root.line("iteration", "rows_per_second", source=source, line_width=2, color=_GREEN)
        self.root.scatter("iteration", "rows_per_second", source=source, size=4, color=_GREEN)
        self.root.yaxis.formatter = CustomJSTickFormatter(code=_UNITS)

    def show(self, view: PageView) -> None:
        """Fit the axis to the fastest pass."""
        points = () if view.run is None else view.run.points
        fastest = max((point.rows_per_second or 0.0 for point in points), default=0.0)
        self.root.y_range.end = _ROOM * fastest or 1.0
