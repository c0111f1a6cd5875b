"""The objective of EM: the M-step, and the bound that it raises.

The E-step is the same for all: moments of the rows under a mixture. An M-step makes the next
mixture of them. A new one is a class here or beside, whose bound no step of EM lowers; the loop,
starts and moves ask no further.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.noise import Noise
from daskgmm.model.typing import Doubles
from daskgmm.passes.statistics import Statistics


@dataclass(frozen=True, eq=False)
class Regularisation:
    """Constants that keep covariances positive definite: see `Moments.maximise`.

    Parameters
    ----------
    ridge : ndarray of shape (D,)
        Added to the covariances' diagonals, in the frame's units.
    epsilon : float
        Machine epsilon of the data's float type.
    zero : ndarray of shape (D,) or None
        Where the data's own zero lies in the frame; ``None`` for its origin.
    """

    ridge: Doubles
    epsilon: float
    zero: Doubles | None


class MStep(ABC):
    """The M-step in the coordinates of a frame."""

    smooths: ClassVar[bool] = False
    """Whether covariances come from all rows so much that few of its own make none spurious."""

    @abstractmethod
    def maximise(
        self, mixture: Mixture, moments: Moments, regularisation: Regularisation
    ) -> Mixture:
        """The next mixture, from the moments of all rows under `mixture`.

        Raises
        ------
        CollapsedComponentError
            A covariance is not positive definite.
        """

    @abstractmethod
    def first_mixture(
        self, covariance: Covariance, moments: Moments, regularisation: Regularisation
    ) -> Mixture:
        """First mixture of a start, from moments under its responsibilities; likewise."""

    @property
    def unit(self) -> float:
        """Factor on the bound before its change is held against ``tol``."""
        return 1.0

    @property
    def of_search(self) -> "MStep":
        """The M-step with which a search for the start compares mixtures on sampled rows."""
        return self

    @abstractmethod
    def bound(self, mixture: Mixture, moments: Moments, following: Mixture) -> float:
        """Bound that EM raises (nats a row), after a step from `mixture` to the `following` one."""


class ConditionalMStep(MStep):
    """An M-step that can leave means as they are."""

    @abstractmethod
    def maximise_beside(
        self,
        mixture: Mixture,
        moments: Moments,
        regularisation: Regularisation,
        held: NDArray[np.bool_],
    ) -> Mixture:
        """The next mixture where means of `mixture` stay for the components of a mask (K,)."""


class Estimation(ABC):
    """Objective of a fit, before anything is known of the rows."""

    needs_scatter: ClassVar[bool] = False
    """Whether it needs the rows' total second moments."""

    @abstractmethod
    def m_step(self, frame: Frame, statistics: Statistics) -> MStep:
        """The M-step in a frame, for rows with these statistics."""


class MaximumLikelihood(Estimation, ConditionalMStep):
    """Maximum likelihood: the bound is the mean log-likelihood under the mixture before."""

    def m_step(self, frame: Frame, statistics: Statistics) -> "MaximumLikelihood":
        """The M-step, the same for any rows."""
        del frame, statistics
        return self

    def maximise(
        self, mixture: Mixture, moments: Moments, regularisation: Regularisation
    ) -> Mixture:
        """The mixture under which the moments are most likely."""
        how = regularisation
        found = moments.maximise(mixture.covariance, how.ridge, how.epsilon, how.zero)
        return found.beside(noise_after(mixture, moments))

    def maximise_beside(
        self,
        mixture: Mixture,
        moments: Moments,
        regularisation: Regularisation,
        held: NDArray[np.bool_],
    ) -> Mixture:
        """The most likely mixture, with second moments about the means that stay."""
        if held.any():
            origins = np.where(held[:, np.newaxis], mixture.means, moments.origins)
            moments = moments.about(origins, mixture.covariance)
            sums = moments.sums.copy(order="K")
            sums[-1 - mixture.n_features : -1, held] = 0
            moments = replace(moments, sums=sums)
        return self.maximise(mixture, moments, regularisation)

    def first_mixture(
        self, covariance: Covariance, moments: Moments, regularisation: Regularisation
    ) -> Mixture:
        """The most likely first mixture, whose components may be single rows."""
        how = regularisation
        return moments.first_mixture(covariance, how.ridge, how.epsilon, how.zero)

    def bound(self, mixture: Mixture, moments: Moments, following: Mixture) -> float:
        """Mean log-likelihood a row under `mixture`."""
        del mixture, following
        return moments.lower_bound


def noise_after(mixture: Mixture, moments: Moments) -> Noise | None:
    """A mixture's noise with the share of the rows that moments under it leave to noise."""
    if mixture.noise is None:
        return None
    return replace(mixture.noise, weight=moments.left_to_noise)


maximum_likelihood = MaximumLikelihood()
"""What is maximised unless a fit asks for something else."""
