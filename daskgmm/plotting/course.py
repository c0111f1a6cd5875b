"""The course of a fit, pass by pass."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from daskgmm.plotting.canvas import PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BOUND_COLOUR, _CHANGE_COLOUR = PALETTE[0], PALETTE[6]


def convergence(model: Any, ax: "Axes | None" = None) -> "Axes":
    """Draw the lower bound of each pass, and its change against ``tol`` on a log scale.

    Parameters
    ----------
    model : fitted mixture
    ax : matplotlib Axes, optional
        Where to draw, a new figure by default.

    Returns
    -------
    matplotlib Axes
        Those of the lower bound; the change has its own on the right.

    Raises
    ------
    ConfigurationError
        Where matplotlib is not installed.
    """
    check_is_fitted(model, "lower_bounds_")
    bounds = np.asarray(model.lower_bounds_, dtype=np.float64)
    passes = np.arange(1, len(bounds) + 1)
    ax = new_figure().add_subplot() if ax is None else ax
    ax.plot(passes, bounds, color=_BOUND_COLOUR, marker="o", markersize=4)
    ax.set_xlabel("Pass")
    ax.set_ylabel("Lower bound (nats a row)", color=_BOUND_COLOUR)
    ax.locator_params(axis="x", integer=True)
    _draw_changes(ax.twinx(), passes[1:], np.abs(np.diff(bounds)), model.tol)
    outcome = "Converged" if model.converged_ else "Not converged"
    ax.set_title(f"{outcome} after {len(bounds)} {'pass' if len(bounds) == 1 else 'passes'}")
    return ax


def _draw_changes(
    ax: "Axes", passes: NDArray[np.integer[Any]], changes: NDArray[np.float64], tol: float
) -> None:
    # No change at all has no place on a log scale: a gap shows it.
    shown = np.where(changes > 0, changes, np.nan)
    ax.set_yscale("log")
    ax.plot(passes, shown, color=_CHANGE_COLOUR, marker="s", markersize=4)
    ax.set_ylabel(f"Change of the lower bound (dashed: tol {tol:g})", color=_CHANGE_COLOUR)
    if tol > 0:
        ax.axhline(tol, color=_CHANGE_COLOUR, linestyle="dashed", linewidth=1)
