"""`selection`: the criterion of each candidate of a selection."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from daskgmm.errors import ConfigurationError, InputTypeError
from daskgmm.model.scoring import CRITERIA
from daskgmm.plotting.figure import INK, PALETTE, new_axes, write_in_full

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Candidates = Any  # a selector, a DataFrame or an iterable of mappings


_FAR = 4.0
"""Ranges of the best curve above its least value, within which all curves are shown whole."""

_SHOWN = 1.5
"""Ranges of the best curve that are shown where others lie further off."""


def selection(
    results: "Candidates", criterion: str | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Draw a criterion against the number of components, a line for each covariance type.

    The best of several starts is drawn; a ring marks the least value of all. Curves that lie far
    above the one with the least value leave the view, and a line in it says so.

    Parameters
    ----------
    results : selector, DataFrame or iterable of mapping
        A fitted `daskgmm.GaussianMixtureSelector`, its ``results_``, or their rows.
    criterion : {'bic', 'aic', 'icl'}, optional
        By default the selector's criterion, else the BIC.
    ax : matplotlib Axes, optional
        Axes to draw on, a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ConfigurationError
        An unknown criterion, results without any value, or matplotlib is not installed.
    InputTypeError
        The results are of no selection.
    """
    if isinstance(results, BaseEstimator):
        check_is_fitted(results)
        criterion = criterion or getattr(results, "criterion", None)
        results = getattr(results, "results_", ())
    if not isinstance(results, Iterable):
        raise InputTypeError(
            f"{results!r:.100} holds no candidates to draw.",
            "Give a fitted GaussianMixtureSelector, or its results_.",
        )
    criterion = criterion or "bic"
    if criterion not in CRITERIA:
        raise ConfigurationError(
            f"criterion={criterion!r} is not known.", f"Use one of: {', '.join(CRITERIA)}."
        )
    rows = results.to_dict("records") if hasattr(results, "to_dict") else results
    curves = _curves(rows, criterion)
    ax = new_axes() if ax is None else ax
    for colour, (kind, curve) in zip(PALETTE, curves.items(), strict=False):
        numbers = sorted(curve)
        values = [curve[number] for number in numbers]
        ax.plot(numbers, values, color=colour, marker="o", markersize=4, label=kind)
    _ring(ax, curves)
    _keep_in_view(ax, curves)
    ax.set_xlabel("Components")
    ax.set_ylabel(criterion.upper())
    ax.locator_params(axis="x", integer=True)
    write_in_full(ax.yaxis)
    ax.legend(title="Covariance", frameon=False)
    return ax


def _curves(rows: Iterable[Mapping[str, Any]], criterion: str) -> dict[str, dict[int, float]]:
    """Return the least value for each number of components, by covariance type."""
    curves: dict[str, dict[int, float]] = {}
    for row in rows:
        value = row[criterion]
        if value is not None and np.isfinite(value):
            curve, number = curves.setdefault(row["covariance_type"], {}), row["n_components"]
            curve[number] = min(value, curve.get(number, np.inf))
    if not curves:
        raise ConfigurationError(
            f"There is no {criterion.upper()} to draw.", "Give the results of a selection."
        )
    return curves


def _ring(ax: "Axes", curves: Mapping[str, Mapping[int, float]]) -> None:
    points = ((value, number) for curve in curves.values() for number, value in curve.items())
    value, number = min(points)
    ax.plot(number, value, "o", markersize=11, markerfacecolor="none", markeredgecolor=INK)
    ax.set_title(f"Least with {number} component{'s' * (number != 1)}")


def _keep_in_view(ax: "Axes", curves: Mapping[str, Mapping[int, float]]) -> None:
    """Show the best curve large, where others lie far above it."""
    least = {kind: min(curve.values()) for kind, curve in curves.items()}
    best = min(least, key=lambda kind: least[kind])
    span = max(curves[best].values()) - least[best]
    highest = max(max(curve.values()) for curve in curves.values())
    if span == 0 or highest - least[best] <= _FAR * span:
        return
    top = least[best] + _SHOWN * span
    ax.set_ylim(least[best] - 0.1 * span, top)
    beyond = [f"{kind} from {value:,.0f}" for kind, value in least.items() if value > top]
    if beyond:
        ax.annotate(
            f"Above this view: {', '.join(beyond)}",
            (0.02, 0.98), xycoords="axes fraction", va="top", fontsize=8, color=INK,
        )  # fmt: skip
