"""Predictions of a fitted mixture for rows: labels, probabilities, densities and criteria."""

from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.containers.frames import like_frame
from daskgmm.errors import ConfigurationError
from daskgmm.estimators.inputs import (
    as_source,
    in_memory_rows,
    is_frame,
    kind_of,
    names_of,
    require_unchanged,
)
from daskgmm.estimators.validation import is_share, require_fitted
from daskgmm.fitting import criteria
from daskgmm.model.prediction import Predictor
from daskgmm.model.typing import Doubles
from daskgmm.passes.engine.persist import held
from daskgmm.passes.prediction import (
    Method,
    predict_frame,
    predict_in_memory,
    predict_lazily,
    readied_for,
)
from daskgmm.passes.quantile import log_density_quantile

if TYPE_CHECKING:
    import dask.array as da

    from daskgmm.data.dataset import Dataset


def predict_rows(
    estimator: "PredictMethods", X: Any, method: Method, *, named: bool = False
) -> Any:
    """Apply a method of the estimator's predictor to each row of X.

    Parameters
    ----------
    estimator : estimator
    X : array, frame, dask collection or dataset of shape (n, D)
    method : callable
    named : bool
        Whether the method gives a value for each column: then the result for a frame is a frame of
        the same columns and index.

    Returns
    -------
    ndarray, dask array, dask Series or dask DataFrame
        A NumPy array for rows in memory; a frame with the same divisions for a dask frame; else
        a dask array with the same chunks.
    """
    require_fitted(estimator)
    predictor = estimator._predictor  # noqa: SLF001  the estimator's own helper
    kind = kind_of(X)
    if kind == "memory":
        rows = in_memory_rows(estimator, X, reset=False)
        found = predict_in_memory(rows, predictor, method, names_of(estimator))
        return like_frame(X, found) if named and is_frame(X) else found
    source = as_source(estimator, X, reset=False)
    example = method(predictor, np.zeros((1, source.n_features), source.dtype))
    if kind == "frame":
        return predict_frame(X, predictor, method, example, named=named)
    columns = None if example.ndim == 1 else example.shape[1]
    return predict_lazily(source, predictor, method, columns, example.dtype)


def anomaly_threshold(estimator: "PredictMethods", X: Any, quantile: Any) -> float:
    """Log-density (nats) below which a share of X's rows lies."""
    require_fitted(estimator)
    if not is_share(quantile):
        raise ConfigurationError(
            f"quantile={quantile!r}.", "Pass a share of the rows between 0 and 1, such as 0.01."
        )
    if kind_of(X) == "memory":
        return _quantile(estimator.score_samples(X).astype(np.float64), float(quantile))
    source = as_source(estimator, X, reset=False)
    predictor = readied_for(estimator._predictor, source)  # noqa: SLF001  the estimator's own helper
    found = log_density_quantile(held(source), predictor, float(quantile))
    require_unchanged(X)
    return found


def _quantile(densities: Doubles, share: float) -> float:
    # Far rows have a log-density of -inf, from which numpy can't interpolate.
    lower = float(np.quantile(densities, share, method="lower"))
    return lower if np.isinf(lower) else float(np.quantile(densities, share))


class FitPredict:
    """Mixin of estimators that label the rows that they are fitted to."""

    def fit_predict(self: Any, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit, then label the same rows.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        array of shape (n,)
            Labels, of the kind of X.
        """
        return self.fit(X, y, sample_weight).predict(X)


class PredictMethods:
    """Mixin with the methods that predict for rows; results have the kind of the input."""

    n_features_in_: int
    feature_names_in_: Any
    _predictor: Predictor

    @overload
    def predict(self, X: NDArray[Any]) -> NDArray[np.int64]: ...
    @overload
    def predict(self, X: "da.Array | Dataset") -> "da.Array": ...
    @overload
    def predict(self, X: Any) -> Any: ...  # type: ignore[overload-cannot-match]  # dask is Any here
    def predict(self, X: Any) -> Any:
        """Most probable component of each row, of shape (n,)."""
        return predict_rows(self, X, Predictor.labels)

    @overload
    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.floating]: ...
    @overload
    def predict_proba(self, X: "da.Array | Dataset") -> "da.Array": ...
    @overload
    def predict_proba(self, X: Any) -> Any: ...  # type: ignore[overload-cannot-match]  # dask is Any here
    def predict_proba(self, X: Any) -> Any:
        """Probability of each component given each row, of shape (n, K)."""
        return predict_rows(self, X, Predictor.responsibilities)

    @overload
    def score_samples(self, X: NDArray[Any]) -> NDArray[np.floating]: ...
    @overload
    def score_samples(self, X: "da.Array | Dataset") -> "da.Array": ...
    @overload
    def score_samples(self, X: Any) -> Any: ...  # type: ignore[overload-cannot-match]  # dask is Any here
    def score_samples(self, X: Any) -> Any:
        """Log-density at each row (nats), of shape (n,)."""
        return predict_rows(self, X, Predictor.log_densities)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-density a row (nats), in one pass and never lazy."""
        del y
        return self._score(X).log_likelihood_a_row

    def aic(self, X: Any) -> float:
        """Akaike's information criterion on X; the lower the better."""
        return self._score(X).aic

    def bic(self, X: Any) -> float:
        """Bayesian information criterion on X (Schwarz, 1978); the lower the better."""
        return self._score(X).bic

    def icl(self, X: Any) -> float:
        """Integrated completed likelihood criterion on X; the lower the better.

        The BIC plus twice the negative log-probability of the rows' labels (Biernacki, Celeux
        and Govaert, 2000).
        """
        return self._score(X).icl

    def anomaly_threshold(self, X: Any, quantile: float) -> float:
        """Log-density (nats) below which a share of X's rows lies; never lazy.

        It is exactly ``numpy.quantile(score_samples(X), quantile)``; rows with a log-density
        below it count as anomalies. For rows that are not in memory it takes one pass, or two if
        there are many. Sample weights are ignored.

        Parameters
        ----------
        X : array, frame, dask collection or dataset of shape (n, D)
        quantile : float
            Share from 0 to 1, such as 0.01 for the least likely hundredth of the rows.

        Raises
        ------
        ConfigurationError
            `quantile` is out of range.
        DataError
            There are no rows, or a value is not finite.
        """
        return anomaly_threshold(self, X, quantile)

    def _score(self, X: Any) -> criteria.Score:
        require_fitted(self)
        found = criteria.score(self._predictor, as_source(self, X, reset=False))
        require_unchanged(X)
        return found

    def _n_parameters(self) -> int:
        return self._predictor.mixture.n_parameters
