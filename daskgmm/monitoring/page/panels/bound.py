"""The panel of the lower bound after each pass."""

from bokeh.models import ColumnDataSource, Range1d

from daskgmm.monitoring.history import FitHistory
from daskgmm.monitoring.page.panels.base import chart
from daskgmm.monitoring.page.view import PageView

_BLUE = "#3f7fd9"
_MARGIN = 0.06
_EARLY, _DWARFED = 0.1, 0.1


class Bound:
    """A chart of the lower bound, which rises and levels off."""

    def __init__(self, source: ColumnDataSource) -> None:
        tips = [("pass", "@iteration"), ("lower bound", "@lower_bound{0.000000}")]
        self.root = chart("lower_bound", tips, y_range=Range1d(0, 1))
        self.root.line("iteration", "lower_bound", source=source, line_width=2, color=_BLUE)
        self.root.scatter("iteration", "lower_bound", source=source, size=4, color=_BLUE)

    def show(self, view: PageView) -> None:
        """Fit the axis to the passes, without first ones that lie far below the others."""
        low, high = span(view.run)
        margin = _MARGIN * (high - low) or 1.0
        self.root.y_range.update(start=low - margin, end=high + margin)


def span(run: FitHistory | None) -> tuple[float, float]:
    """Least and greatest lower bound that the axis covers, in nats a row.

    Where the first tenth of the passes would dwarf all others, they are left out.
    """
    points = () if run is None else run.points
    bounds = [point.lower_bound for point in points if point.lower_bound is not None]
    if not bounds:
        return 0.0, 0.0
    late = bounds[max(int(_EARLY * len(bounds)), 1) :] or bounds
    if max(late) - min(late) < _DWARFED * (max(bounds) - min(bounds)):
        return min(late), max(late)
    return min(bounds), max(bounds)
