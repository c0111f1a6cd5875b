"""Fitted parameters in the data's units, computed from the frame that the fit ran in."""

from dataclasses import asdict
from typing import Any

import numpy as np

from daskgmm.estimators.validation import require_fitted
from daskgmm.fitting.fitted import reports_of
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import Predictor
from daskgmm.model.typing import Doubles, Floats
from daskgmm.training.starts import StartPlan


class FittedParameters:
    """Read-only views of a fitted mixture, with scikit-learn's names and shapes.

    They are properties because the fit keeps the parameters in its frame's coordinates, in which
    a tight component far from zero keeps all its digits; predictions use those coordinates.
    """

    _predictor: Predictor
    _dtype: np.dtype[Any]
    lower_bound_: float

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_predictor")

    @property
    def weights_(self) -> Floats:
        """Weights of the components, of shape (K,)."""
        return self._rounded(self._fitted().weights)

    @property
    def noise_weight_(self) -> float:
        """Share of noise, which with the weights sums to 1; 0 without noise."""
        noise = self._fitted().noise
        return 0.0 if noise is None else noise.weight

    @property
    def noise_density_(self) -> float:
        """Density of noise, the inverse of its box's volume in the data's units; 0 without it."""
        noise = self._fitted().noise
        return 0.0 if noise is None else float(np.exp(noise.log_density))

    @property
    def components_(self) -> Any:
        """DataFrame with a report on each component, a row each; no row of data is read.

        ``weight``; ``rows``, its responsibilities summed over the rows of the fit (NaN if not
        known); ``condition``, the condition number of its covariance; ``overlap``, the largest
        Bhattacharyya coefficient with another component, from 0 to 1; ``entropy``, the mean entropy
        (nats) of the responsibilities of rows that are drawn from it; and ``flags``, what is odd: a
        tuple of ``"coincides"``, ``"few rows"`` and ``"on reg_covar"``, or ``"empty"`` alone of a
        component that a variational mixture did not need.
        """
        import pandas as pd

        self._fitted()
        return pd.DataFrame([asdict(one) for one in reports_of(self)])  # type: ignore[arg-type]

    @property
    def means_(self) -> Floats:
        """Means, of shape (K, D)."""
        return self._rounded(self._fitted().means)

    @property
    def covariances_(self) -> Floats:
        """Covariances, in the type's shape."""
        mixture = self._fitted()
        return self._in_range(mixture.covariances, mixture)

    @property
    def precisions_(self) -> Floats:
        """Inverses of the covariances, in the type's shape."""
        mixture = self._fitted()
        return self._in_range(mixture.covariance.precisions(mixture.factors), mixture)

    @property
    def precisions_cholesky_(self) -> Floats:
        """Cholesky factors of the precisions, in the type's shape."""
        mixture = self._fitted()
        return self._in_range(mixture.factors, mixture)

    def _fitted(self) -> Mixture:
        if not hasattr(self, "_predictor"):
            # The error is an AttributeError as well, so that hasattr() works.
            require_fitted(self)
        return self._predictor.in_data_units

    def _rounded(self, values: Floats) -> Floats:
        return values.astype(self._dtype)

    def _in_range(self, values: Doubles, mixture: Mixture) -> Floats:
        """Round to the fit's float type, unless single precision can't hold the values."""
        diagonals = mixture.covariance.variances(values, mixture.shape)
        held = (diagonals >= np.finfo(self._dtype).tiny) & (diagonals <= np.finfo(self._dtype).max)
        return self._rounded(values) if held.all() else values.copy()

    def _last_fit(self, plan: StartPlan, n_features: int) -> tuple[Mixture, Frame, float] | None:
        """Mixture, frame and lower bound of the last fit, if it is of the planned kind."""
        if not hasattr(self, "_predictor"):
            return None
        mixture, planned = self._predictor.mixture, (plan.n_components, n_features)
        if mixture.covariance is not plan.covariance or mixture.shape != planned:
            return None
        return mixture, self._predictor.frame, self.lower_bound_
