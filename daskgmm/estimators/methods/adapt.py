"""`adapt`: a mixture whose means are moved towards new rows, in one pass."""

from dataclasses import replace
from numbers import Real
from typing import Any, TypeVar

import numpy as np

from daskgmm.estimators.inputs import as_source, require_unchanged
from daskgmm.estimators.validation import require_fitted
from daskgmm.fitting.options import check_number
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.fitting.settings import compute_dtype
from daskgmm.fitting.update import NewRows
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.persist import held

E = TypeVar("E", bound=FittedMixture)


class AdaptMethods:
    """Mixin with `adapt`."""

    def adapt(self: E, X: Any, relevance: float = 16.0) -> E:  # noqa: PYI019  the mixin needs what it is mixed into
        """A new mixture whose means are moved towards X, in one pass over it.

        A component's new mean is that of its rows in X, by their responsibilities, and the old one,
        which counts as `relevance` rows; so what X hardly has stays as it is. Weights, covariances
        and noise are the same. This is how models of speakers are made of one of all speech
        (Reynolds, Quatieri and Dunn, 2000, eq. 12 and 14).

        Parameters
        ----------
        X : array, frame, dask collection or dataset of shape (n, D)
            Rows, one or more, with finite values; the weights of a dataset count.
        relevance : float, default 16.0
            Rows that an old mean counts as, not negative.

        Returns
        -------
        GaussianMixture
            Fitted, with the same parameters; this one is unchanged. It has no course of a fit, and
            no moments: `partial_fit` goes on with ``forgetting=0`` only.

        Raises
        ------
        ConfigurationError
            `relevance` is negative, or no finite number.
        DataError
            The columns differ from those fitted, there are no rows, or a value is not finite.
        """
        require_fitted(self)
        check_number("relevance", relevance, Real, 0)
        source = as_source(self, X, reset=False)
        before = self._predictor
        rows = NewRows(held(source), before, compute_dtype(self, source.dtype))
        with one_thread():
            (moments,) = rows.expect([before.mixture])
        require_unchanged(X)
        found: Any = type(self)(**self.get_params(deep=False))
        mixture = adapted(before.mixture, moments, relevance)
        found._predictor = replace(before, mixture=mixture)  # noqa: SLF001  of one family
        found._dtype, found._moments = self._dtype, None  # noqa: SLF001
        found.n_features_in_ = self.n_features_in_
        if hasattr(self, "feature_names_in_"):
            found.feature_names_in_ = self.feature_names_in_
        found.n_rows_, found.n_passes_ = moments.rows, rows.passes
        return found  # type: ignore[no-any-return]


def adapted(mixture: Mixture, moments: Moments, relevance: float) -> Mixture:
    """A mixture whose means are moved towards those of moments under it."""
    counts = moments.sums[-1]
    total = counts + relevance
    share = counts / np.where(total > 0, total, 1.0)
    means = mixture.means + share[:, np.newaxis] * (moments.means - mixture.means)
    return replace(mixture, means=means)
