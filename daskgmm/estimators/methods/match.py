"""`match` and `align_to`: components in the order of another mixture's."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from daskgmm.estimators.references import fitted_mixture, reordered
from daskgmm.estimators.validation import require_fitted
from daskgmm.fitting.fitted import Fitted
from daskgmm.fitting.protocols import FittedMixture

E = TypeVar("E", bound=FittedMixture)


class MatchMethods:
    """Mixin with the methods that compare components with those of another mixture."""

    def match(self: FittedMixture, reference: Any) -> NDArray[np.int64]:
        """Permutation that brings components in the order of another mixture's.

        Components correspond so that the sum of their Bhattacharyya distances is the least.
        Weights don't count, and covariance types may differ. No row is read.

        Parameters
        ----------
        reference : estimator, path or fsspec URL
            Fitted mixture, model file or run directory, with as many components and the same
            columns, which are matched by name where both have names.

        Returns
        -------
        ndarray of shape (K,)
            Entry j is the component that corresponds to the reference's component j:
            ``means_[model.match(reference)]`` are in the reference's order.

        Raises
        ------
        ConfigurationError
            The reference has other columns, or another number of components.
        """
        require_fitted(self)
        name = "reference"
        return Fitted.of(self).permutation(fitted_mixture(reference, name), name)

    def align_to(self: E, reference: Any) -> E:  # noqa: PYI019  the mixin needs what it is mixed into
        """The same mixture with its components in the order of another mixture's.

        Parameters
        ----------
        reference : estimator, path or fsspec URL
            As `match` takes it.

        Returns
        -------
        GaussianMixture
            Fitted, with the same parameters; this one is unchanged.
        """
        return reordered(self, self.match(reference))  # type: ignore[attr-defined]
