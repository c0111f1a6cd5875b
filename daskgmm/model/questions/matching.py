"""Correspondence of the components of two mixtures."""

import numpy as np
import scipy
from numpy.typing import NDArray

from daskgmm.model.mixture import Mixture
from daskgmm.model.questions.distances import bhattacharyya

_MOST = 1e200
"""Largest distance, as infinite ones can't be added up."""


def matching(mixture: Mixture, reference: Mixture) -> NDArray[np.int64]:
    """The permutation (K,) that brings a mixture's components in the order of a reference's.

    Its entry j is the mixture's component that corresponds to component j of the reference: the sum
    of the Bhattacharyya distances is the least of all permutations (Kuhn, 1955). Both mixtures have
    K components, in the same coordinates.
    """
    distances = np.minimum(bhattacharyya(reference, mixture), _MOST)
    return np.asarray(scipy.optimize.linear_sum_assignment(distances)[1], dtype=np.int64)
