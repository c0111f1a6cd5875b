"""`scatter`: a mixture's components over its rows, in one or two columns."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.base import is_dask_collection
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import resample
from sklearn.utils.validation import check_is_fitted

from daskgmm.errors import ConfigurationError
from daskgmm.plotting.columns import column_names, column_positions
from daskgmm.plotting.density import (
    components_of,
    draw_densities,
    draw_ellipses,
    draw_histogram,
    draw_points,
)
from daskgmm.plotting.figure import MAX_LEGEND, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def mixture_of(model: Any) -> Any:
    """Return the mixture that a selector chose, or the mixture itself."""
    return getattr(model, "best_estimator_", model)


def scatter(
    model: Any,
    rows: Any = None,
    *,
    columns: Sequence[int | str] | None = None,
    labels: "ArrayLike | None" = None,
    ax: "Axes | None" = None,
    max_points: int = 20_000,
    random_state: int | None = 0,
) -> "Axes":
    """Draw the components in two columns or one, over rows in their components' colours.

    In two columns a component is two ellipses, one and two standard deviations about its mean,
    fainter for a small weight. In one column, and always for a model of one feature, it is its
    weighted density, over a histogram of the rows.

    Parameters
    ----------
    model : fitted mixture, merged mixture or selector
        Mixture of any covariance type; a selector stands for the mixture that it chose. The
        components of a merged one have the colours of their clusters.
    rows : array or frame of shape (n, D), optional
        Rows in memory, as ``model.predict`` takes them; without them only the components show.
    columns : sequence of one or two int or str, optional
        Columns to show, by position or name. By default the two in which components lie furthest
        apart, in units of their deviations.
    labels : array-like of int of shape (n,), optional
        Components of the rows, the most probable ones by default.
    ax : matplotlib Axes, optional
        Axes to draw on, a new figure by default.
    max_points : int
        Draw a random sample where there are more rows.
    random_state : int or None
        Seed of the sample.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ConfigurationError
        Columns that the model doesn't have, rows or labels of another shape, or matplotlib is
        not installed.
    """
    labelled = mixture_of(model)
    model = getattr(labelled, "mixture_", labelled)
    check_is_fitted(model, "means_")
    positions = column_positions(model, columns, most=2)
    clusters = getattr(labelled, "clusters_", None)
    components = components_of(model, positions, clusters)
    ax = new_axes() if ax is None else ax
    if rows is not None:
        found, labels = sampled(labelled, rows, labels, max_points, random_state)
        values = found[:, positions]
        draw_rows = draw_points if len(positions) == 2 else draw_histogram
        draw_rows(ax, components, values, labels)
    draw_components = draw_ellipses if len(positions) == 2 else draw_densities
    draw_components(ax, components)
    names = [column_names(model)[position] for position in positions]
    title = "Component" if clusters is None else "Cluster"
    few = len({component.group for component in components}) <= MAX_LEGEND
    label_axes(ax, *names, title=title if few else None)
    return ax


def sampled(
    labelled: Any,
    rows: Any,
    labels: ArrayLike | None,
    max_points: int,
    random_state: int | None,
) -> tuple[NDArray[np.float64], NDArray[np.integer[Any]]]:
    """Some rows (m, D) in random order, and their labels (m,): those given, or the predicted ones.

    All are shuffled even if all are drawn: otherwise the last ones cover the others.
    """
    model = getattr(labelled, "mixture_", labelled)
    shape = tuple(getattr(rows, "shape", ()))
    if is_dask_collection(rows) or shape[1:] != (model.n_features_in_,):
        raise ConfigurationError(
            f"A figure's rows are {model.n_features_in_} columns in memory, "
            f"not {type(rows).__name__} of shape {shape}.",
            "Give the columns of the fit; of a dask input, a computed sample.",
        )
    if labels is not None and np.shape(labels) != shape[:1]:
        raise ConfigurationError(
            f"Labels of shape {np.shape(labels)} do not fit {shape[0]} rows.",
            "Give one label a row, or none.",
        )
    count = min(len(rows), max_points)
    draw = partial(resample, replace=False, n_samples=count, random_state=random_state)
    rows = draw(rows)
    found = labelled.predict(rows) if labels is None else draw(np.asarray(labels))
    return np.asarray(rows, dtype=np.float64), np.asarray(found)


def label_axes(ax: "Axes", x_name: str, y_name: str = "Density", *, title: str | None) -> None:
    """Name the axes after columns, and put a legend with a title beside them."""
    # A column's name is not a formula, even if it contains dollar signs.
    ax.set_xlabel(x_name, parse_math=False)
    ax.set_ylabel(y_name, parse_math=False)
    if title is not None:
        # Beside the axes: finding the best place inside is slow with many points.
        ax.legend(title=title, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
