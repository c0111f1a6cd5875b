"""Variational Bayes: the M-step of a mixture whose parameters have priors.

See `daskgmm.model.bayesian.priors` for the formulas.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from daskgmm.errors import DataError
from daskgmm.model.bayesian.concentration import Concentration
from daskgmm.model.bayesian.priors import Priors, entropy
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles
from daskgmm.passes.statistics import Statistics
from daskgmm.training.m_step import Estimation, MStep, Regularisation, maximum_likelihood

_ADDED = 10
"""Weight that is added to each component's, in machine epsilons, as in scikit-learn."""


@final
@dataclass(frozen=True, eq=False)
class Variational(Estimation):
    """The posterior of all parameters under priors, some of which may come from the rows.

    Parameters
    ----------
    covariance : Covariance
        Covariance type, which decides what of the rows' covariance is needed.
    concentration : Concentration
        Prior of the weights.
    mean_precision : float
    mean : ndarray of shape (D,) or None
        In the data's units; ``None`` for the rows' mean.
    degrees_of_freedom : float
    scale : ndarray of shape (D, D) or (D,), or None
        In the data's units; ``None`` for the rows' covariance.
    """

    covariance: Covariance
    concentration: Concentration
    mean_precision: float
    mean: Doubles | None
    degrees_of_freedom: float
    scale: Doubles | None

    @property
    def needs_scatter(self) -> bool:  # type: ignore[override]
        """Whether the covariance of all rows is the prior, and is a matrix."""
        return self.scale is None and self.covariance.has_matrices

    def priors(self, statistics: Statistics) -> Priors:
        """The priors in the data's units, for rows with these statistics.

        Raises
        ------
        DataError
            The rows weigh too little to have a covariance.
        """
        rows = statistics
        mean, scale = self.mean, self.scale
        if mean is None:
            mean = rows.mean
        if scale is None:
            scale = self._spread(rows)
        return Priors(self.concentration, self.mean_precision, mean, self.degrees_of_freedom, scale)

    def _spread(self, rows: Statistics) -> Doubles:
        """Unbiased covariance (D, D) of the rows, or its diagonal."""
        if rows.weight <= 1:
            raise DataError(
                f"The rows weigh {rows.weight:g} in all, too little to estimate the prior of the "
                "covariances from them: a row of weight 2 counts as two.",
                "Multiply the sample weights by a number, or give covariance_prior.",
            )
        second, first = rows.second, rows.first
        if second.ndim == 2 and not self.covariance.has_matrices:
            second = np.diagonal(second)
        pairs = np.outer(first, first) if second.ndim == 2 else first**2
        found = (second - pairs / rows.weight) / (rows.weight - 1)
        # Where no row is complete, the rows show no correlations.
        return np.diag(found) if self.needs_scatter and found.ndim == 1 else np.asarray(found)

    def m_step(self, frame: Frame, statistics: Statistics) -> "VariationalStep":
        """The M-step in a frame."""
        priors = self.priors(statistics)
        return VariationalStep(priors, priors.inside(frame), frame, statistics.weight)


@final
@dataclass(frozen=True, eq=False)
class VariationalStep(MStep):
    """The M-step of variational Bayes; the bound is the evidence lower bound (ELBO) a row.

    Parameters
    ----------
    outside, priors : Priors
        In the data's units, and in the frame's coordinates.
    frame : Frame
    weight : float
        Sum of all rows' weights; moments of a sample stand for all rows.
    """

    outside: Priors
    priors: Priors
    frame: Frame
    weight: float

    @property
    def unit(self) -> float:
        """The weight of all rows: scikit-learn holds the change of the whole ELBO against tol."""
        return self.weight

    @property
    def of_search(self) -> MStep:
        """Maximum likelihood: moves of components rank by it, and priors empty components later."""
        return maximum_likelihood

    def maximise(
        self, mixture: Mixture, moments: Moments, regularisation: Regularisation
    ) -> Mixture:
        """The expected mixture under the posterior after the moments."""
        return self._expected(mixture.covariance, self._of_all(moments), regularisation)

    def first_mixture(
        self, covariance: Covariance, moments: Moments, regularisation: Regularisation
    ) -> Mixture:
        """First mixture; moments may be of single rows that no others stand behind."""
        return self._expected(covariance, moments, regularisation)

    def _expected(self, covariance: Covariance, moments: Moments, how: Regularisation) -> Mixture:
        return self.priors.mixture(covariance, moments, how.ridge, _ADDED * how.epsilon)

    def bound(self, mixture: Mixture, moments: Moments, following: Mixture) -> float:
        """The ELBO a row (nats) of the responsibilities and of the posterior that they led to."""
        covariance, n_components = following.covariance, following.n_components
        constant = self.outside.constant(covariance, n_components, self.weight)
        found = entropy(mixture, self._of_all(moments), self.frame)
        found += self.priors.evidence(following, self.frame) - constant
        return found / self.weight

    def _of_all(self, moments: Moments) -> Moments:
        share = self.weight / moments.weight if moments.weight > 0 else 1.0
        return moments.faded(share)
