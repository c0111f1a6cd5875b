"""`merging`: what joining components into ever fewer clusters costs or gains."""

from typing import TYPE_CHECKING, Any

import numpy as np

from daskgmm.errors import InputTypeError
from daskgmm.plotting.figure import INK, PALETTE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = {
    "entropy": "Entropy of the clusters (nats a row)",
    "distance": "Distance of the pair that was joined (Bhattacharyya, nats)",
}


def merging(merged: Any, ax: "Axes | None" = None) -> "Axes":
    """Draw a merge's entropies, or distances, against the number of clusters.

    Joins on the right take much off the entropy where components share rows; the elbow is where
    that ends, and dashed lines are the two that fit best on both sides of the chosen number. Of
    distances, joins of near clusters are on the right. A ring marks the chosen number.

    Parameters
    ----------
    merged : MergedMixture
    ax : matplotlib Axes, optional
        Axes to draw on, a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ConfigurationError
        Matplotlib is not installed.
    InputTypeError
        It is no merged mixture.
    """
    if not hasattr(merged, "path_"):
        raise InputTypeError(
            f"{merged!r:.100} has no path of joins to draw.",
            "Give the result of `merge` of a fitted mixture.",
        )
    path, chosen = merged.path_, merged.n_clusters_
    name = next(label for label in _LABELS if label in path)
    numbers, values = path["n_clusters"].to_numpy(), path[name].to_numpy()
    ax = new_axes() if ax is None else ax
    ax.plot(numbers, values, color=PALETTE[0], marker="o", markersize=4)
    ring = values[numbers == chosen]
    ax.plot([chosen], ring, "o", markersize=11, markerfacecolor="none", markeredgecolor=INK)
    if name == "entropy":
        for side in (numbers <= chosen, numbers >= chosen):
            if side.sum() > 1:
                line = np.polynomial.Polynomial.fit(numbers[side], values[side], 1)
                ax.plot(numbers[side], line(numbers[side]), "--", color=INK, linewidth=1)
    ax.set_xlabel("Clusters")
    ax.set_ylabel(_LABELS[name])
    ax.locator_params(axis="x", integer=True)
    ax.set_title(f"{len(numbers)} components in {chosen} cluster{'s' * (chosen != 1)}")
    return ax
