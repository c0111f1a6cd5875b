"""What a fitted mixture says of rows."""

from typing import Any

from daskgmm.estimators import criteria
from daskgmm.estimators.predicting import predict_rows
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
        return criteria.score(self, X).log_likelihood_a_row

    def aic(self, X: Any) -> float:
        """Akaike's information criterion on X; the lower the better."""
        return criteria.score(self, X).aic

    def bic(self, X: Any) -> float:
        """Bayesian information criterion on X (Schwarz, 1978); the lower the better."""
        return criteria.score(self, X).bic

    def icl(self, X: Any) -> float:
        """Integrated completed likelihood criterion on X; the lower the better.

        The BIC plus twice the negative log-probability of the rows' labels (Biernacki, Celeux
        and Govaert, 2000).
        """
        return criteria.score(self, X).icl

    def _n_parameters(self) -> int:
        return self._predictor.mixture.n_parameters
