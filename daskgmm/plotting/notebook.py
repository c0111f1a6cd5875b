"""Figures that a notebook shows as their axes are a cell's value, without ``pyplot``.

This module needs matplotlib, so it is imported when a figure is drawn.
"""

from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_DOTS_AN_INCH = 100


class ShownFigure(Figure):
    """A figure with a picture of itself, for IPython."""

    def _repr_png_(self) -> bytes:
        stream = BytesIO()
        self.savefig(stream, format="png", dpi=_DOTS_AN_INCH)
        return stream.getvalue()


class ShownAxes(Axes):
    """Axes whose picture is that of their whole figure."""

    def _repr_png_(self) -> bytes | None:
        figure = self.get_figure()
        return figure._repr_png_() if isinstance(figure, ShownFigure) else None
