"""Conjugate priors of means and covariances, which act in the M-step as rows that were seen before.

After Fraley and Raftery, "Bayesian regularization for normal mixture estimation and model-based
clustering", Journal of Classification 24 (2007). A mean is normal about a common one, with its
component's covariance over `mean_precision`; covariances have inverse Wishart or, along the axes,
inverse gamma distributions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles


@dataclass(frozen=True, eq=False)
class Prior:
    """Prior of a mixture's means and covariances, for maximum a posteriori estimation.

    Defaults are those of mclust's ``priorControl`` (Fraley and Raftery, 2007).

    Parameters
    ----------
    mean : array-like of shape (D,), optional
        Where means are expected; by default the mean of the rows.
    mean_precision : float, default 0.01
        Rows that count as seen at `mean` for each component, not negative.
    degrees_of_freedom : float, optional
        Of the covariances' distributions, above D - 1; by default D + 2.
    scale : float or array-like of shape (D,) or (D, D), optional
        Scale of the covariances, in squared units of the data: a variance, one for each feature,
        or a matrix. By default the covariance of the rows over ``K ** (2 / D)``; for covariances
        along the axes the mean of its diagonal.
    """

    mean: Any = None
    mean_precision: float = 0.01
    degrees_of_freedom: float | None = None
    scale: Any = None


@dataclass(frozen=True, eq=False)
class NormalPrior:
    """A prior with numbers for all that it leaves to the rows, in the coordinates of a frame.

    Parameters
    ----------
    mean : ndarray of shape (D,)
    mean_precision, degrees : float
    matrix, axes : ndarray of shape (D, D)
        Scales of covariances that are matrices, and of those along the axes.
    per_component : bool
        Whether scales are to be divided by ``K ** (2 / D)``.
    log_volume : float
        Log-volume of the frame's units in the data's, for densities in the data's units.
    """

    mean: Doubles
    mean_precision: float
    degrees: float
    matrix: Doubles
    axes: Doubles
    per_component: bool
    log_volume: float

    @classmethod
    def of(cls, prior: Prior, frame: Frame, mean: Doubles, covariance: Doubles) -> "NormalPrior":
        """Complete a prior with the mean (D,) and covariance (D, D) of the rows, in data units."""
        n_features = len(mean)
        given = prior.scale is not None
        matrix = _matrix(prior.scale, n_features) if given else covariance
        axes = matrix if given else np.mean(np.diag(covariance)) * np.eye(n_features)
        unit = np.outer(frame.scale, frame.scale)
        centre = mean if prior.mean is None else np.asarray(prior.mean, np.float64)
        degrees = prior.degrees_of_freedom
        return cls(
            frame.enter(centre),
            float(prior.mean_precision),
            n_features + 2.0 if degrees is None else float(degrees),
            matrix / unit,
            axes / unit,
            not given,
            -frame.log_jacobian,
        )

    def scale(self, covariance: Covariance, n_components: int) -> Doubles:
        """Scale (D, D) of the covariances of K components."""
        found = self.matrix if covariance.has_matrices else self.axes
        share = n_components ** (2 / len(self.mean)) if self.per_component else 1.0
        return np.asarray(found / share)

    def mode(
        self,
        covariance: Covariance,
        moments: Moments,
        ridge: Doubles,
        means: Doubles,
        held: NDArray[np.bool_],
    ) -> Mixture:
        """Means and covariances of the highest posterior density, given rows' moments.

        Parameters
        ----------
        covariance : Covariance
        moments : Moments
        ridge : ndarray of shape (D,)
            Added to the covariances' diagonals.
        means : ndarray of shape (K, D)
            Means of the components that are `held` there, a mask (K,).

        Returns
        -------
        Mixture
            Its weights are the rows' shares.

        Raises
        ------
        CollapsedComponentError
            A covariance is not positive definite.
        """
        counts = moments.sums[-1]
        total = counts + self.mean_precision
        share = counts / np.where(total > 0, total, 1.0)
        own = self.mean + share[:, np.newaxis] * (moments.means - self.mean)
        centres = np.where(held[:, np.newaxis], means, own)
        about = moments.about(centres, covariance)
        n_components, n_features = centres.shape
        rows, of_scale = covariance.prior_strength(self.degrees, n_components, n_features)
        scale = of_scale * self.scale(covariance, n_components)
        gaps, weight = self.mean - centres, self.mean_precision
        quadratic = about.sums[: -1 - n_features].copy(order="K")
        if weight > 0:
            of_gaps = np.empty_like(quadratic)
            covariance.quadratic(gaps.T, out=of_gaps)
            quadratic += weight * of_gaps
        _, i, j = covariance.monomials(n_features).T
        quadratic += covariance.features_of(scale[np.newaxis, i, j], n_features).T
        shared = about.shared
        if shared.size:
            shared = shared + weight * (gaps.T @ gaps) + n_components * scale
        # About a mean that is held there rows have first moments, which are part of its scatter.
        found = covariance.estimate(quadratic, shared, counts + rows, np.zeros_like(centres), ridge)
        weights = counts / counts.sum()
        return Mixture.from_covariances(covariance, weights, centres, found)

    def log_density(self, mixture: Mixture) -> float:
        """Log-density of a mixture's means and covariances in data units, up to a constant."""
        covariance, (n_components, n_features) = mixture.covariance, mixture.shape
        rows, of_scale = covariance.prior_strength(self.degrees, n_components, n_features)
        scale = of_scale * self.scale(covariance, n_components)
        factors = covariance.as_matrices(mixture.factors, mixture.shape)
        traces = (np.matmul(scale, factors) * factors).sum(axis=(1, 2))
        gaps = mixture.means - self.mean
        distances = (covariance.precision_times(mixture.factors, gaps) * gaps).sum(axis=1)
        halves = covariance.log_determinants(mixture.factors, mixture.shape) - self.log_volume
        return float((rows * halves - (traces + self.mean_precision * distances) / 2).sum())


def _matrix(scale: Any, n_features: int) -> Doubles:
    """A scale as a matrix (D, D)."""
    found = np.asarray(scale, np.float64)
    return found if found.ndim == 2 else found * np.eye(n_features)
