"""One component as a figure sees it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance import covariance_named
from daskgmm.plotting.figure import LINE_STYLES, PALETTE

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Component:
    """One component's marginal in the d columns of a figure, d being 1 or 2.

    Parameters
    ----------
    number : int
        Its place in the model.
    weight : float
    mean : ndarray of shape (d,)
    covariance : ndarray of shape (d, d)
    opacity : float
        Of its lines; 1 for the model's heaviest component.
    """

    number: int
    weight: float
    mean: Floats
    covariance: Floats
    opacity: float

    @property
    def colour(self) -> str:
        """Its colour, the same in every figure."""
        return PALETTE[self.number % len(PALETTE)]

    @property
    def line(self) -> dict[str, Any]:
        """The looks of its lines, as matplotlib's keywords."""
        style = LINE_STYLES[self.number // len(PALETTE) % len(LINE_STYLES)]
        return {"color": self.colour, "alpha": self.opacity, "linestyle": style}

    @property
    def label(self) -> str:
        """What a legend calls it."""
        return f"{self.number} ({self.weight:.1%})"

    @property
    def deviations(self) -> Floats:
        """Standard deviation in each column."""
        return np.sqrt(np.diagonal(self.covariance))

    def density(self, x: Floats) -> Floats:
        """Weighted density at places in its only column."""
        z = (x - self.mean) / self.deviations
        height = self.weight / (np.sqrt(2 * np.pi) * self.deviations)
        return np.asarray(height * np.exp(-(z**2) / 2))

    def ellipse(self, deviations: float) -> tuple[float, float, float]:
        """Width, height and angle in degrees of its contour so many deviations away."""
        variances, axes = np.linalg.eigh(self.covariance)
        height, width = 2 * deviations * np.sqrt(variances)
        return float(width), float(height), float(np.degrees(np.arctan2(*axes[::-1, 1])))


def components_of(model: Any, positions: list[int]) -> list[Component]:
    """Return the components of a fitted mixture, of any covariance type, in these columns."""
    weights, means = np.asarray(model.weights_), np.asarray(model.means_)
    covariance = covariance_named(model.covariance_type)
    covariances = covariance.as_matrices(np.asarray(model.covariances_), means.shape)
    return [
        Component(
            number=k,
            weight=float(weights[k]),
            mean=means[k, positions],
            covariance=covariances[k][np.ix_(positions, positions)],
            opacity=float(0.35 + 0.65 * weights[k] / weights.max()),
        )
        for k in range(len(weights))
    ]
