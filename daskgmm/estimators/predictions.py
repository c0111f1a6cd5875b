"""What a fitted mixture says of rows."""

from typing import Any

from daskgmm.estimators import anomalies
from daskgmm.estimators.inputs import as_source, require_unchanged
from daskgmm.estimators.predicting import predict_rows
from daskgmm.estimators.validation import require_fitted
from daskgmm.fitting import criteria
from daskgmm.model.prediction import Predictor


class Predictions:
    """The methods of a fitted mixture that take rows; results have the rows' kind."""

    _predictor: Predictor

    def predict(self, X: Any) -> Any:
        """Most probable component of each row, of shape (n,)."""
        return predict_rows(self, X, Predictor.labels)

    def predict_proba(self, X: Any) -> Any:
        """Probability of each component given each row, of shape (n, K)."""
        return predict_rows(self, X, Predictor.responsibilities)

    def score_samples(self, X: Any) -> Any:
        """Log-density at each row (nats), of shape (n,)."""
        return predict_rows(self, X, Predictor.log_densities)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-density a row (nats), in one pass at once for any kind of X."""
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
        """The log-density (nats) below which a share of X's rows lies, at once for any X.

        It is exactly ``numpy.quantile(score_samples(X), quantile)``; a row is taken for an
        anomaly where its log-density is below it. Over rows that are not in memory it takes a
        pass, or two over many, and sample weights don't count.

        Parameters
        ----------
        X : array, frame, dask collection or dataset of shape (n, D)
        quantile : float
            From 0 to 1, such as 0.01 for the hundredth of the rows that is least likely.

        Raises
        ------
        ConfigurationError
            `quantile` is no share.
        DataError
            There are no rows, or a value is not finite.
        """
        return anomalies.anomaly_threshold(self, X, quantile)

    def _score(self, X: Any) -> criteria.Score:
        require_fitted(self)
        found = criteria.score(self._predictor, as_source(self, X, reset=False))
        require_unchanged(X)
        return found

    def _n_parameters(self) -> int:
        return self._predictor.mixture.n_parameters
