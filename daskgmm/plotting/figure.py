"""New figures and axes, and the colours and text that all figures share."""

from typing import TYPE_CHECKING, Any

from daskgmm.errors import require_package

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Ten colours for any kind of colour vision: Petroff (2021), arXiv:2107.02270.
PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
# Past ten components the colours repeat with the next line style.
LINE_STYLES = ("solid", "dashed", "dotted", "dashdot", (0, (6, 2, 1, 2, 1, 2)))
INK = "#222222"
MAX_LEGEND = 10
"""Most components that a legend lists; where there are more, numbers are written beside them."""


def require_matplotlib() -> None:
    """Raise ConfigurationError if matplotlib is not installed."""
    require_package("matplotlib", "plot", "Figures need matplotlib")


def new_figure(width: float = 7.5, height: float = 5) -> "Figure":
    """Return an empty figure of this width and height (inches) that belongs to no window."""
    require_matplotlib()
    from daskgmm.plotting.notebook import ShownFigure

    return ShownFigure(figsize=(width, height), layout="constrained")


def new_axes() -> "Axes":
    """Return the axes of a new figure, which notebooks display."""
    figure = new_figure()
    from daskgmm.plotting.notebook import ShownAxes

    return figure.add_subplot(axes_class=ShownAxes)


def write_in_full(axis: "Axis") -> None:
    """Label an axis's ticks with full numbers instead of differences from an offset."""
    from matplotlib.ticker import ScalarFormatter

    axis.set_major_formatter(ScalarFormatter(useOffset=False))


def halo(linewidth: float) -> list[Any]:
    """Return a white outline for a line of this width (points)."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=linewidth + 1, foreground="white")]


def write_number(ax: "Axes", number: int, x: float, y: float) -> None:
    """Write a component's number beside the point (x, y)."""
    ax.annotate(
        str(number),
        (x, y),
        xytext=(3, 3),
        textcoords="offset points",
        fontsize=7,
        color=INK,
        path_effects=halo(0),
    )
