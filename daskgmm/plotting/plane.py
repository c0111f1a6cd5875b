"""Two columns: rows as points, components as ellipses."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.plotting.density import Component, Floats
from daskgmm.plotting.figure import MAX_LEGEND, halo, write_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE_WIDTHS = {1: 2.2, 2: 1.4}


def draw_rows(
    ax: "Axes", components: list[Component], values: Floats, labels: NDArray[np.integer[Any]]
) -> None:
    """Draw rows of shape (n, 2) as points in the colours of their components."""
    ax.scatter(
        values[:, 0],
        values[:, 1],
        s=float(np.clip(8000 / max(len(values), 1), 3, 18)),
        c=np.take([component.colour for component in components], labels),
        alpha=0.45,
        linewidths=0,
        rasterized=True,  # else SVG and PDF hold a path for every point
    )


def draw_components(ax: "Axes", components: list[Component]) -> None:
    """Draw each component's mean and its contours at one and two standard deviations."""
    for component in components:
        _draw_contours(ax, component)
        x, y = component.mean
        ax.plot(
            x,
            y,
            color=component.colour,
            label=component.label,
            linestyle="none",
            marker="X",
            markersize=8,
            markeredgecolor="white",
        )
        if len(components) > MAX_LEGEND:
            write_number(ax, component.number, x, y)
    ax.autoscale_view()


def _draw_contours(ax: "Axes", component: Component) -> None:
    from matplotlib.patches import Ellipse

    x, y = component.mean
    for deviations, linewidth in _LINE_WIDTHS.items():
        width, height, angle = component.ellipse(deviations)
        contour = Ellipse((x, y), width, height, angle=angle, fill=False)
        contour.set(linewidth=linewidth, path_effects=halo(linewidth), **component.line)
        ax.add_patch(contour)
