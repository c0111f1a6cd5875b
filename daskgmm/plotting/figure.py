"""What figures are drawn on and with."""

from typing import TYPE_CHECKING, Any

from daskgmm.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Ten colours that every kind of colour vision tells apart: Petroff (2021), arXiv:2107.02270.
PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
# Nobody tells fifty colours apart: past ten they come again with the next line style.
LINE_STYLES = ("solid", "dashed", "dotted", "dashdot", (0, (6, 2, 1, 2, 1, 2)))
INK = "#222222"
MAX_LEGEND = 10
"""Components that a legend has room for; where there are more, they bear numbers."""


def new_figure(width: float = 7.5) -> "Figure":
    """Return an empty figure, this many inches wide, that belongs to no window."""
    try:
        from daskgmm.plotting.notebook import ShownFigure
    except ImportError as error:
        raise ConfigurationError(
            "Figures need matplotlib, which is not installed.",
            "Install it: pip install 'daskgmm[plot]'",
        ) from error
    return ShownFigure(figsize=(width, 5), layout="constrained")


def new_axes() -> "Axes":
    """Return the only axes of a new figure, which a notebook shows."""
    figure = new_figure()
    from daskgmm.plotting.notebook import ShownAxes

    return figure.add_subplot(axes_class=ShownAxes)


def write_in_full(axis: "Axis") -> None:
    """Have an axis's ticks bear their numbers, not what those are beside one written apart."""
    from matplotlib.ticker import ScalarFormatter

    axis.set_major_formatter(ScalarFormatter(useOffset=False))


def halo(linewidth: float) -> list[Any]:
    """Return the effect that sets a line of this width, in points, off from what it crosses."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=linewidth + 1, foreground="white")]


def write_number(ax: "Axes", number: int, x: float, y: float) -> None:
    """Write a component's number beside its place."""
    ax.annotate(
        str(number),
        (x, y),
        xytext=(3, 3),
        textcoords="offset points",
        fontsize=7,
        color=INK,
        path_effects=halo(0),
    )
