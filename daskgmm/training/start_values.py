"""Start values from the user, some to be completed by values that are found, and some to stay."""

from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles


@dataclass(frozen=True, eq=False)
class StartValues:
    """Start values from the user, in data units; ``None`` where there are none.

    A component with a NaN among its values is to be found.

    Parameters
    ----------
    weights : ndarray of shape (K,) or None
    means : ndarray of shape (K, D) or None
    precisions : ndarray in the type's natural shape or None
    """

    weights: Doubles | None = None
    means: Doubles | None = None
    precisions: Doubles | None = None

    @property
    def complete(self) -> bool:
        """Whether all start values are given."""
        values = (self.weights, self.means, self.precisions)
        return not any(one is None or np.isnan(one).any() for one in values)

    def override(self, mixture: Mixture | None, covariance: Covariance, frame: Frame) -> Mixture:
        """A mixture in frame coordinates, with the given values in place of its own.

        Where some means are given, each takes the place of the component that is nearest.
        """
        if self.complete:
            mixture = None
        assert mixture is not None or self.complete  # noqa: S101  see `complete`
        means = None if self.means is None else frame.enter(self.means)
        if mixture is not None and means is not None and np.isnan(means).any():
            mixture = mixture.of_components(_nearest(mixture, means))
        weights = _either(self.weights, None if mixture is None else mixture.weights)
        if mixture is not None and self.weights is not None and np.isnan(self.weights).any():
            weights = filled(self.weights, mixture.weights)
        means = _either(means, None if mixture is None else mixture.means)
        if self.precisions is None:
            assert mixture is not None  # noqa: S101  see `complete`
            return replace(mixture, weights=weights, means=means)
        covariances, factors = self.shapes(covariance, frame)
        if mixture is not None:
            shared = covariance.needs_scatter
            covariances = _either(covariances, mixture.covariances, shared=shared)
            factors = _either(factors, mixture.factors, shared=shared)
        return Mixture(covariance, weights, means, covariances, factors)

    def shapes(self, covariance: Covariance, frame: Frame) -> tuple[Doubles, Doubles]:
        """Covariances and factors in frame coordinates, of the given precisions.

        They are NaN where they are to be found.
        """
        assert self.precisions is not None  # noqa: S101  asked for only where they are given
        inside = covariance.rescale(self.precisions, frame.scale)
        known = known_in(inside, shared=covariance.needs_scatter)
        if known.all():
            factors = covariance.factorise_precisions(inside)
            return covariance.covariances(factors), factors
        unit = np.eye(inside.shape[-1]) if covariance.has_matrices else 1.0
        factors = covariance.factorise_precisions(np.where(known, inside, unit))
        found = covariance.covariances(factors)
        return np.where(known, found, np.nan), np.where(known, factors, np.nan)


def known_in(values: Doubles, *, shared: bool = False) -> NDArray[np.bool_]:
    """Where the values of whole components are known, of the shape (K, 1, ...).

    Of values that components share, `shared`, all or none are.
    """
    within = tuple(range(0 if shared else 1, values.ndim))
    return np.asarray(~np.isnan(values).any(axis=within, keepdims=True))


def _either(given: Doubles | None, found: Doubles | None, *, shared: bool = False) -> Doubles:
    """Given values, and those found where they are missing."""
    if given is None:
        assert found is not None  # noqa: S101  one of both is there
        return found
    return given if found is None else np.where(known_in(given, shared=shared), given, found)


def filled(weights: Doubles, found: Doubles) -> Doubles:
    """Given weights (K,), and what they leave to the others, in the proportion of those found."""
    missing = np.isnan(weights)
    left = max(1 - float(np.nansum(weights)), 0.0)
    return np.where(missing, left * found / found[missing].sum(), weights)


def _nearest(mixture: Mixture, means: Doubles) -> NDArray[np.int64]:
    """The order of components in which those nearest to the given means (K, D) are at their places.

    The others keep their order.
    """
    known = np.flatnonzero(known_in(means)[:, 0])
    gaps = means[known][:, np.newaxis] - mixture.means
    distances = np.stack(
        [
            (mixture.covariance.precision_times(mixture.factors, own) * own).sum(axis=1)
            for own in gaps
        ]
    )
    _, chosen = scipy.optimize.linear_sum_assignment(distances)
    order = np.empty(mixture.n_components, np.int64)
    order[known] = chosen
    free = np.setdiff1d(np.arange(mixture.n_components), known)
    order[free] = np.setdiff1d(np.arange(mixture.n_components), chosen)
    return order
