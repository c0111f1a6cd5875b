"""`matrix`: a mixture's components in every pair of several columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from daskgmm.plotting.columns import column_names, column_positions
from daskgmm.plotting.density import (
    Component,
    components_of,
    draw_densities,
    draw_ellipses,
    draw_histogram,
    draw_points,
)
from daskgmm.plotting.figure import MAX_LEGEND, new_figure
from daskgmm.plotting.mixture import mixture_of, sampled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

MOST_COLUMNS = 8
"""Most columns of one figure."""

_USUAL_COLUMNS = 4
"""Columns where none are asked for."""

_INCHES = 2.2
"""Side of the axes of a pair."""


def matrix(
    model: Any,
    rows: Any = None,
    *,
    columns: Sequence[int | str] | None = None,
    labels: "ArrayLike | None" = None,
    figure: "Figure | SubFigure | None" = None,
    max_points: int = 5000,
    random_state: int | None = 0,
) -> "Figure | SubFigure":
    """Draw the components in every pair of columns, and in each alone on the diagonal.

    Beneath the diagonal are ellipses over points, and on it weighted densities over histograms,
    as `scatter` draws them.

    Parameters
    ----------
    model, rows, labels, max_points, random_state
        As in `scatter`.
    columns : sequence of up to 8 int or str, optional
        Columns to show, by position or name. By default the four in which components lie
        furthest apart, in units of their deviations.
    figure : matplotlib Figure or SubFigure, optional
        Empty figure to draw on, a new one by default.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ConfigurationError
        As in `scatter`.
    """
    labelled = mixture_of(model)
    model = getattr(labelled, "mixture_", labelled)
    check_is_fitted(model, "means_")
    most = MOST_COLUMNS if columns is not None else _USUAL_COLUMNS
    positions = column_positions(model, columns, most)
    clusters = getattr(labelled, "clusters_", None)
    found = None
    if rows is not None:
        found = sampled(labelled, rows, labels, max_points, random_state)
    side = len(positions)
    figure = new_figure(_INCHES * side + 1, _INCHES * side) if figure is None else figure
    grid: Any = figure.subplots(side, side, sharex="col", squeeze=False)
    for i, j in np.ndindex(side, side):
        ax = grid[i, j]
        if j > i:
            ax.remove()
            continue
        shown = [positions[i]] if i == j else [positions[j], positions[i]]
        _draw(ax, components_of(model, shown, clusters), shown, found)
    names = [column_names(model)[position] for position in positions]
    _label(grid, names)
    _share_heights(grid)
    _legend(figure, grid[0, 0], "Component" if clusters is None else "Cluster")
    return figure


def _draw(ax: "Axes", components: list[Component], shown: list[int], found: Any) -> None:
    pair = len(shown) == 2
    if found is not None:
        values, labels = found
        (draw_points if pair else draw_histogram)(ax, components, values[:, shown], labels)
    (draw_ellipses if pair else draw_densities)(ax, components)
    if not pair:
        for number in ax.texts[:]:  # the pairs have them already
            number.remove()


def _label(grid: Any, names: list[str]) -> None:
    # A column's name is not a formula, even if it contains dollar signs.
    for position, name in enumerate(names):
        grid[-1, position].set_xlabel(name, parse_math=False)
        if position:
            grid[position, 0].set_ylabel(name, parse_math=False)
        grid[position, position].set_yticks([])  # a density's height tells nothing beside others
        for ax in grid[position, : position + 1]:
            ax.label_outer()
    grid[0, 0].set_ylabel("Density")


def _share_heights(grid: Any) -> None:
    """Give the pairs of a row one range, which densities on the diagonal do not have."""
    for i in range(2, len(grid)):
        pairs = grid[i, :i]
        low = min(ax.get_ylim()[0] for ax in pairs)
        high = max(ax.get_ylim()[1] for ax in pairs)
        for ax in pairs:
            ax.set_ylim(low, high)


def _legend(figure: Any, ax: "Axes", title: str) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if len(labels) - 1 <= MAX_LEGEND:  # with the densities' sum
        figure.legend(handles, labels, title=title, loc="upper right", frameon=False)
