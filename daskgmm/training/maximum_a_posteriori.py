"""Maximum a posteriori: the M-step under a prior of means and covariances."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.prior import NormalPrior, Prior
from daskgmm.passes.statistics import Statistics
from daskgmm.training.m_step import (
    ConditionalMStep,
    Estimation,
    Regularisation,
    noise_after,
)


@dataclass(frozen=True, eq=False)
class MaximumAPosteriori(Estimation):
    """Maximum a posteriori, under a prior that may leave some of its numbers to the rows.

    Parameters
    ----------
    prior : Prior
    """

    needs_scatter: ClassVar[bool] = True

    prior: Prior

    def m_step(self, frame: Frame, statistics: Statistics) -> "PosteriorMode":
        """With the rows' mean and covariance where the prior gives none."""
        mean = statistics.mean
        second = statistics.about(mean).second
        if second.ndim == 1:  # without complete rows nothing is known of products
            second = np.diag(second)
        rows = statistics.weight - 1 if statistics.weight >= 2 else statistics.weight
        return PosteriorMode(NormalPrior.of(self.prior, frame, mean, second / rows))


@dataclass(frozen=True, eq=False)
class PosteriorMode(ConditionalMStep):
    """The M-step under a prior: the bound is the log-likelihood and the prior's log-density, a row.

    Parameters
    ----------
    prior : NormalPrior
    """

    prior: NormalPrior

    def maximise(
        self, mixture: Mixture, moments: Moments, regularisation: Regularisation
    ) -> Mixture:
        """The most probable mixture given the moments; see `NormalPrior.mode`."""
        found = self.first_mixture(mixture.covariance, moments, regularisation)
        return found.beside(noise_after(mixture, moments))

    def maximise_beside(
        self,
        mixture: Mixture,
        moments: Moments,
        regularisation: Regularisation,
        held: NDArray[np.bool_],
    ) -> Mixture:
        """The most probable mixture where some means stay."""
        found = self.prior.mode(
            mixture.covariance, moments, regularisation.ridge, mixture.means, held
        )
        return found.beside(noise_after(mixture, moments))

    def first_mixture(
        self, covariance: Covariance, moments: Moments, regularisation: Regularisation
    ) -> Mixture:
        """The most probable mixture without noise, from moments under any responsibilities."""
        held = np.zeros(len(moments.origins), np.bool_)
        return self.prior.mode(covariance, moments, regularisation.ridge, moments.origins, held)

    def bound(self, mixture: Mixture, moments: Moments, following: Mixture) -> float:
        """Mean log-likelihood and log-density of the prior under `mixture` (nats a row)."""
        del following
        return moments.lower_bound + self.prior.log_density(mixture) / moments.weight
