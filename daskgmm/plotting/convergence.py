"""`convergence`: the course of a fit, pass by pass."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from daskgmm.errors import InputTypeError
from daskgmm.plotting.figure import PALETTE, new_axes, write_in_full
from daskgmm.plotting.mixture import mixture_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BOUND_COLOUR, _CHANGE_COLOUR = PALETTE[0], PALETTE[6]

_LEAST_SHARE = 1e-5
"""Least range of lower bounds that is drawn, as a share of their size."""


def convergence(model: Any, ax: "Axes | None" = None) -> "Axes":
    """Draw the lower bound of each pass, and the change compared with ``tol`` on a log scale.

    Parameters
    ----------
    model : fitted mixture or selector
        For a selector, the fit of the mixture that it chose is drawn.
    ax : matplotlib Axes, optional
        Axes to draw on, a new figure by default.

    Returns
    -------
    matplotlib Axes
        The axes of the lower bound; the change has its own on the right.

    Raises
    ------
    ConfigurationError
        Matplotlib is not installed.
    InputTypeError
        The model has no passes of its own, as a `daskgmm.MergedMixture`.
    """
    model = mixture_of(model)
    if not isinstance(model, BaseEstimator):
        raise InputTypeError(
            f"{model!r:.100} has no lower_bounds_ to draw.",
            "Give the fitted mixture itself, or a selector.",
        )
    check_is_fitted(model, "lower_bounds_")
    bounds = np.asarray(model.lower_bounds_, dtype=np.float64)
    passes = np.arange(1, len(bounds) + 1)
    ax = new_axes() if ax is None else ax
    ax.plot(passes, bounds, color=_BOUND_COLOUR, marker="o", markersize=4)
    ax.set_xlabel("Pass")
    unit = "nats, but for constants" if hasattr(model, "mean_precision_") else "nats a row"
    ax.set_ylabel(f"Lower bound ({unit})", color=_BOUND_COLOUR)
    ax.locator_params(axis="x", integer=True)
    write_in_full(ax.yaxis)
    _leave_out_rounding(ax, bounds)
    _draw_changes(ax.twinx(), model, bounds)
    outcome = "Converged" if model.converged_ else "Not converged"
    ax.set_title(f"{outcome} after {len(bounds)} {'pass' if len(bounds) == 1 else 'passes'}")
    return ax


def _leave_out_rounding(ax: "Axes", bounds: NDArray[np.float64]) -> None:
    """Widen the range of the bounds until differences in their last digits look like none."""
    least = _LEAST_SHARE * max(float(np.abs(bounds).max(initial=0)), 1.0)
    low, high = ax.get_ylim()
    if high - low < least:
        middle = (low + high) / 2
        ax.set_ylim(middle - least / 2, middle + least / 2)


def _draw_changes(ax: "Axes", model: Any, bounds: NDArray[np.float64]) -> None:
    passes, changes, of_what = _changes(model, bounds)
    ax.set_yscale("log")
    # Zero and infinite changes can't be shown on a log scale: they leave a gap.
    shown = np.where((changes > 0) & np.isfinite(changes), changes, np.nan)
    ax.plot(passes, shown, color=_CHANGE_COLOUR, marker="s", markersize=4)
    label = f"Change of the {of_what} (dashed: tol {model.tol:g})"
    ax.set_ylabel(label, color=_CHANGE_COLOUR)
    if model.tol > 0:
        if np.isnan(shown).all():  # a line alone makes no range
            ax.set_ylim(model.tol / 10, model.tol * 10)
        ax.axhline(model.tol, color=_CHANGE_COLOUR, linestyle="dashed", linewidth=1)


def _changes(
    model: Any, bounds: NDArray[np.float64]
) -> tuple[NDArray[np.integer[Any]], NDArray[np.float64], str]:
    """Return passes, the change in each, and the name of what changes."""
    if getattr(model, "stopping", "lower_bound") == "lower_bound":
        return np.arange(2, len(bounds) + 1), np.abs(np.diff(bounds)), "lower bound"
    changes = np.array([entry["change"] for entry in model.history_], dtype=np.float64)
    return np.arange(1, len(changes) + 1), changes, "parameters"
