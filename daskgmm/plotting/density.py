"""Components and rows in the columns of a figure: ellipses over points, or densities."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance import covariance_named
from daskgmm.model.prediction import NOISE
from daskgmm.plotting.figure import (
    INK,
    LINE_STYLES,
    MAX_LEGEND,
    PALETTE,
    halo,
    write_number,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.floating[Any]]

_LINE_WIDTHS = {1: 2.2, 2: 1.4}
"""Widths (points) of the contours, by their standard deviations from the mean."""

_OF_NOISE = "0.6"
"""Colour of rows that are noise: a grey."""


@dataclass(frozen=True, eq=False)
class Component:
    """Marginal of one component in the d columns of a figure, d being 1 or 2.

    Parameters
    ----------
    number : int
        Position in the model, from 0.
    weight : float
    mean : ndarray of shape (d,)
    covariance : ndarray of shape (d, d)
    opacity : float
        Opacity of its lines; 1 for the model's heaviest component.
    group : int
        Label of its rows, which gives the colour: its number, or its cluster.
    entry : str or None
        Text for the legend; ``None`` if another component of the group has it.
    """

    number: int
    weight: float
    mean: Floats
    covariance: Floats
    opacity: float
    group: int
    entry: str | None

    @property
    def colour(self) -> str:
        """Colour of the component's group, the same in every figure."""
        return PALETTE[self.group % len(PALETTE)]

    @property
    def line(self) -> dict[str, Any]:
        """Style of the component's lines, as keywords of matplotlib."""
        style = LINE_STYLES[self.group // len(PALETTE) % len(LINE_STYLES)]
        return {"color": self.colour, "alpha": self.opacity, "linestyle": style}

    @property
    def deviations(self) -> Floats:
        """Standard deviation of the component in each column."""
        return np.sqrt(np.diagonal(self.covariance))

    def density(self, x: Floats) -> Floats:
        """Weighted density of the component at values `x` of its only column."""
        z = (x - self.mean) / self.deviations
        height = self.weight / (np.sqrt(2 * np.pi) * self.deviations)
        return np.asarray(height * np.exp(-(z**2) / 2))

    def ellipse(self, deviations: float) -> tuple[float, float, float]:
        """Width, height and angle (degrees) of the contour so many deviations from the mean."""
        variances, axes = np.linalg.eigh(self.covariance)
        height, width = 2 * deviations * np.sqrt(variances)
        return float(width), float(height), float(np.degrees(np.arctan2(*axes[::-1, 1])))


def components_of(
    model: Any, positions: list[int], clusters: NDArray[np.integer[Any]] | None = None
) -> list[Component]:
    """Return the components of a fitted mixture, of any covariance type, in these columns.

    `clusters` (K,) are those of the components, if they are joined into such.
    """
    weights, means = np.asarray(model.weights_), np.asarray(model.means_)
    covariance = covariance_named(model.covariance_type)
    covariances = covariance.as_matrices(np.asarray(model.covariances_), means.shape)
    groups = np.arange(len(weights)) if clusters is None else clusters
    shares = np.bincount(groups, weights)
    firsts = np.unique(groups, return_index=True)[1]
    return [
        Component(
            number=k,
            weight=float(weights[k]),
            mean=means[k, positions],
            covariance=covariances[k][np.ix_(positions, positions)],
            opacity=float(0.35 + 0.65 * weights[k] / weights.max()),
            group=int(groups[k]),
            entry=f"{groups[k]} ({shares[groups[k]]:.1%})" if k in firsts else None,
        )
        for k in range(len(weights))
    ]


def _colours(components: list[Component]) -> list[str]:
    """Colours by label."""
    return [own.colour for own in sorted(_entries(components), key=lambda own: own.group)]


def _entries(components: list[Component]) -> list[Component]:
    """The first component of each group."""
    return [component for component in components if component.entry is not None]


def draw_points(
    ax: "Axes", components: list[Component], values: Floats, labels: NDArray[np.integer[Any]]
) -> None:
    """Draw rows of shape (n, 2) as points in the colours of their components; noise in grey."""
    ax.scatter(
        values[:, 0],
        values[:, 1],
        s=float(np.clip(8000 / max(len(values), 1), 3, 18)),
        c=np.take([*_colours(components), _OF_NOISE], labels),
        alpha=0.45,
        linewidths=0,
        rasterized=True,  # otherwise SVG and PDF hold a path for each point
    )


def draw_ellipses(ax: "Axes", components: list[Component]) -> None:
    """Draw each component's mean and its contours at one and two standard deviations."""
    for component in components:
        _draw_contours(ax, component)
        x, y = component.mean
        ax.plot(
            x,
            y,
            color=component.colour,
            label=component.entry,
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


def draw_histogram(
    ax: "Axes", components: list[Component], values: Floats, labels: NDArray[np.integer[Any]]
) -> None:
    """Draw a histogram of rows of shape (n, 1), stacked in the colours of their components."""
    column = values[:, 0]
    known, groups = np.isfinite(column), list(range(len(_entries(components))))
    colours = _colours(components)
    if (labels == NOISE).any():
        groups, colours = [*groups, NOISE], [*colours, _OF_NOISE]
    ax.hist(
        [column[known & (labels == group)] for group in groups],
        bins=int(np.clip(np.sqrt(known.sum()), 20, 100)),
        density=True,
        stacked=True,
        color=colours,
        alpha=0.35,
    )


def draw_densities(ax: "Axes", components: list[Component]) -> None:
    """Draw each component's weighted density, and their sum."""
    # Each mean has a grid at its own scale: an even grid steps over narrow components.
    steps = np.linspace(-5, 5, 201)
    grids = [component.mean + steps * component.deviations for component in components]
    for component, x in zip(components, grids, strict=True):
        ax.plot(x, component.density(x), linewidth=2, label=component.entry, **component.line)
        if len(components) > MAX_LEGEND:
            peak = component.density(component.mean)
            write_number(ax, component.number, float(component.mean[0]), float(peak[0]))
    x = np.unique(grids)
    total = np.sum([component.density(x) for component in components], axis=0)
    ax.plot(x, total, color=INK, linewidth=1, label="sum", zorder=1.9)  # beneath its parts
    ax.set_ylim(bottom=0)
