"""From moments of the known features to moments of all, for rows of one pattern."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.missing.regression import Regression, add_second
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles


@dataclass(frozen=True, eq=False)
class Completion:
    """The affine map of a mixture's moments, for rows that lack the same features.

    Parameters
    ----------
    mixture : Mixture
    known, missing : ndarray of int
        Positions of the features, in their order; some are known and some are not.
    """

    mixture: Mixture
    known: NDArray[np.int64]
    missing: NDArray[np.int64]

    @cached_property
    def _regression(self) -> tuple[Doubles, Doubles]:
        """Slopes (H, M, O), and covariances (H, M, M) that are left."""
        mixture = self.mixture
        factors = mixture.covariance.whitening(mixture.factors, mixture.shape)
        found = Regression.of(factors, self.missing[np.newaxis])
        onto = found.bases[0].swapaxes(1, 2) @ factors[:, self.known].swapaxes(1, 2)
        return -found.backs[0] @ onto, found.covariances[0]

    def __call__(self, marginal: Moments) -> Moments:
        """Moments of all features, from those of the known ones.

        About what is expected where the known features are at the marginal moments' origins.
        """
        mixture, known, missing = self.mixture, self.known, self.missing
        covariance, (n_components, n_features) = mixture.covariance, mixture.shape
        counts, linear = marginal.sums[-1], marginal.sums[-1 - len(known) : -1]
        length = covariance.feature_length(n_features)
        sums = np.zeros((length, n_components))
        sums[-1] = counts
        of_linear = sums[length - 1 - n_features : -1]
        of_linear[known] = linear
        centres = mixture.means.copy()
        centres[:, known] = marginal.origins
        side = n_features if covariance.needs_scatter else 0
        shared = np.zeros((side, side))
        feature, i, j = covariance.monomials(n_features).T
        inside = np.isin(i, known) & np.isin(j, known)
        sums[np.unique(feature[inside])] = marginal.sums[: -1 - len(known)]
        if covariance.has_matrices:
            slopes, left = self._regression
            away = marginal.origins - mixture.means[:, known]
            centres[:, missing] += (slopes @ away[:, :, np.newaxis])[:, :, 0]
            of_linear[missing] = (slopes @ linear.T[:, :, np.newaxis])[:, :, 0].T
            total = counts.sum(keepdims=True) if covariance.needs_scatter else counts
            second = self._second(marginal, slopes, total[:, np.newaxis, np.newaxis] * left)
        else:
            variances = covariance.variances(mixture.covariances, mixture.shape)
            second = np.zeros(mixture.shape)
            second[:, missing] = counts[:, np.newaxis] * variances[:, missing]
        add_second(mixture, second, sums, shared)
        return replace(marginal, origins=centres, sums=sums, shared=shared)

    def _second(self, marginal: Moments, slopes: Doubles, left: Doubles) -> Doubles:
        """Second moments (H, D, D) of the missing features with all.

        Among known features they are zero, unless components share them.
        """
        known, missing, n_features = self.known, self.missing, self.mixture.n_features
        second = np.zeros((len(slopes), n_features, n_features))
        if self.mixture.covariance.needs_scatter:
            among = marginal.shared[np.newaxis]
            second[0][np.ix_(known, known)] = marginal.shared
        else:
            feature, i, j = self.mixture.covariance.monomials(len(known)).T
            among = np.empty((len(slopes), len(known), len(known)))
            among[:, i, j] = among[:, j, i] = marginal.sums[feature].T
        across = slopes @ among  # (H, M, O)
        each = np.arange(len(slopes))
        second[np.ix_(each, missing, known)] = across
        second[np.ix_(each, known, missing)] = across.swapaxes(1, 2)
        second[np.ix_(each, missing, missing)] = across @ slopes.swapaxes(1, 2) + left
        return second
