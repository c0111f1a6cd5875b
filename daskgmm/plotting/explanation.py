"""`explanation`: which of a row's values are surprising given the others."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from daskgmm.errors import ConfigurationError
from daskgmm.plotting.columns import column_names
from daskgmm.plotting.figure import INK, PALETTE, new_axes
from daskgmm.plotting.mixture import mixture_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DRAWN = 2000
"""Rows that are drawn from the model to show which surprises are usual."""

_ODD, _USUAL = PALETTE[6], PALETTE[0]


def explanation(model: Any, row: Any, *, most: int = 20, ax: "Axes | None" = None) -> "Axes":
    """Draw the surprise of each of a row's values given the others, the most unusual on top.

    Grey bars are the middle 98% of the surprises of rows that are drawn from the model. Values
    beyond are in another colour. Columns are in the order of what lies beyond the median of those
    rows, because surprises themselves depend on the columns' units.

    Parameters
    ----------
    model : fitted mixture, merged mixture or selector
        Mixture with the method ``explain``; a selector stands for the mixture that it chose.
    row : array-like of shape (D,) or (1, D), Series, or frame of one row
        In the data's units, with finite values.
    most : int
        Most columns to draw.
    ax : matplotlib Axes, optional
        Axes to draw on, a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ConfigurationError
        It is not one row of the model's columns, or matplotlib is not installed.
    DataError
        A value is not finite.
    """
    model = mixture_of(model)
    model = copy.copy(getattr(model, "mixture_", model)).set_params(random_state=0)
    check_is_fitted(model, "means_")
    names = column_names(model)
    values = _one_row(model, row)
    if hasattr(model, "feature_names_in_"):
        del model.feature_names_in_  # the values are in the model's order, without names
    found = model.explain(values[np.newaxis])[0]
    low, middle, high = np.quantile(
        model.explain(model.sample(_DRAWN)[0]), (0.01, 0.5, 0.99), axis=0
    )
    order = np.argsort(found - middle, kind="stable")[-most:]
    ax = new_axes() if ax is None else ax
    for place, column in enumerate(order):
        ax.barh(place, high[column] - low[column], left=low[column], height=0.55, color="#dddddd")
        colour = _ODD if found[column] > high[column] else _USUAL
        ax.plot([middle[column], found[column]], [place, place], color=colour, linewidth=2)
        ax.plot(found[column], place, "o", color=colour, markersize=8)
    ax.use_sticky_edges = False  # a margin beside the bars too
    ax.set_yticks(
        range(len(order)),
        [f"{names[column]} = {values[column]:g}" for column in order],
        parse_math=False,
    )
    ax.set_xlabel("Surprise given the other columns (nats; grey: 98% of the model's own rows)")
    odd = int((found > high).sum())
    ax.set_title(f"{odd} of {len(found)} columns surprise more than usual", color=INK)
    return ax


def _one_row(model: Any, row: Any) -> Any:
    names = getattr(model, "feature_names_in_", None)
    if names is not None and hasattr(row, "columns"):
        row = row[list(names)] if set(names) <= set(row.columns) else row
    elif names is not None and hasattr(row, "index") and set(names) <= set(row.index):
        row = row[list(names)]
    values = np.asarray(row, dtype=np.float64)
    if values.shape not in {(model.n_features_in_,), (1, model.n_features_in_)}:
        raise ConfigurationError(
            f"The row has the shape {values.shape}.",
            f"Give one row of the model's {model.n_features_in_} columns, such as rows[:1].",
        )
    return values.reshape(-1)
