"""`profiles`: the means of a mixture's components in all columns, side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from sklearn.utils.validation import check_is_fitted

from daskgmm.plotting.columns import column_names, column_positions, moments_of
from daskgmm.plotting.density import Component, Floats, components_of
from daskgmm.plotting.figure import INK, MAX_LEGEND, new_axes
from daskgmm.plotting.mixture import label_axes, mixture_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_COLUMNS = 40
"""Most columns of one figure."""


def profiles(
    model: Any, *, columns: Sequence[int | str] | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Draw each component's means over the columns: as a line, or of many as a row of colours.

    Each column is in units of its own deviation about its own mean, under the whole mixture, so
    that columns of any units stand side by side. Up to ten components are lines in parallel
    coordinates, with a band of one standard deviation; more are rows of a table, like beside like
    (Ward), from far below a column's mean to far above.

    Parameters
    ----------
    model : fitted mixture, merged mixture or selector
        As in `scatter`.
    columns : sequence of up to 40 int or str, optional
        Columns to show, by position or name. By default all, or the 40 in which components lie
        furthest apart.
    ax : matplotlib Axes, optional
        Axes to draw on, a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ConfigurationError
        Columns that the model doesn't have, or matplotlib is not installed.
    """
    labelled = mixture_of(model)
    model = getattr(labelled, "mixture_", labelled)
    check_is_fitted(model, "means_")
    positions = column_positions(model, columns, MOST_COLUMNS)
    clusters = getattr(labelled, "clusters_", None)
    components = components_of(model, positions, clusters)
    centre, between, within = (found[positions] for found in moments_of(model))
    deviations = np.sqrt(between + within)
    units = np.where(deviations > 0, deviations, 1.0)
    ax = new_axes() if ax is None else ax
    lines = (np.stack([one.mean for one in components]) - centre) / units
    if len({component.group for component in components}) <= MAX_LEGEND:
        _draw_lines(ax, components, lines, units)
        title = "Component" if clusters is None else "Cluster"
        label_axes(ax, "", "Mean (deviations from the column's)", title=title)
    else:
        _draw_table(ax, components, lines)
    names = [column_names(model)[position] for position in positions]
    ax.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
    return ax


def _draw_lines(ax: "Axes", components: list[Component], lines: Floats, units: Floats) -> None:
    places = np.arange(lines.shape[1])
    for component, line in zip(components, lines, strict=True):
        ax.plot(places, line, marker="o", markersize=4, label=component.entry, **component.line)
        width = component.deviations / units
        ax.fill_between(
            places, line - width, line + width, color=component.colour, alpha=0.1, linewidth=0
        )
    ax.axhline(0, color=INK, linewidth=0.8, zorder=0.5)


def _draw_table(ax: "Axes", components: list[Component], lines: Floats) -> None:
    order = leaves_list(linkage(lines, "ward"))
    most = float(np.abs(lines).max())
    image = ax.imshow(
        lines[order], cmap="PuOr", vmin=-most, vmax=most, aspect="auto", interpolation="nearest"
    )
    entries = [f"{components[k].number} ({components[k].weight:.1%})" for k in order]
    size = float(np.clip(300 / len(entries), 3, 9))
    ax.set_yticks(range(len(entries)), entries, fontsize=size)
    ax.set_ylabel("Component")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.6)
    bar.set_label("Mean (deviations from the column's)")
