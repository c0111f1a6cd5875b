"""One column: rows as a histogram, components as densities."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.plotting.density import Component, Floats
from daskgmm.plotting.figure import INK, MAX_LEGEND, write_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_rows(
    ax: "Axes", components: list[Component], values: Floats, labels: NDArray[np.integer[Any]]
) -> None:
    """Draw the density of rows of shape (n, 1), stacked in their components' colours."""
    column = values[:, 0]
    known = np.isfinite(column)
    ax.hist(
        [column[known & (labels == component.number)] for component in components],
        bins=int(np.clip(np.sqrt(known.sum()), 20, 100)),
        density=True,
        stacked=True,
        color=[component.colour for component in components],
        alpha=0.35,
    )


def draw_components(ax: "Axes", components: list[Component]) -> None:
    """Draw each component's weighted density, and their sum."""
    # Places about each mean at its own scale: an even grid steps over narrow components.
    steps = np.linspace(-5, 5, 201)
    places = [component.mean + steps * component.deviations for component in components]
    for component, x in zip(components, places, strict=True):
        ax.plot(x, component.density(x), linewidth=2, label=component.label, **component.line)
        if len(components) > MAX_LEGEND:
            peak = component.density(component.mean)
            write_number(ax, component.number, float(component.mean[0]), float(peak[0]))
    x = np.unique(places)
    total = np.sum([component.density(x) for component in components], axis=0)
    ax.plot(x, total, color=INK, linewidth=1, label="sum", zorder=1.9)  # beneath its parts
    ax.set_ylim(bottom=0)
