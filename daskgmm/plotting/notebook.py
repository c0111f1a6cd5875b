"""Figures and axes that notebooks display as a cell's value, without ``pyplot``.

This module needs matplotlib, so it is imported when a figure is drawn.
"""

from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_DOTS_AN_INCH = 100


class ShownFigure(Figure):
    """Figure that IPython displays as a PNG."""

    def _repr_png_(self) -> bytes:
        stream = BytesIO()
        self.savefig(stream, format="png", dpi=_DOTS_AN_INCH)
        return stream.getvalue()


class ShownAxes(Axes):
    """Axes that IPython displays as their whole figure."""

    def _repr_png_(self) -> bytes | None:
        figure = self.get_figure()
        return figure._repr_png_() if isinstance(figure, ShownFigure) else None
