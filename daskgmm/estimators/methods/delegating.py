"""Methods of a selector that call those of the estimator that it chose."""

from typing import Any

from daskgmm.estimators.gaussian_mixture import GaussianMixture
from daskgmm.estimators.validation import require_fitted


class Delegating:
    """Mixin with methods that call those of ``best_estimator_``; see `GaussianMixture`."""

    best_estimator_: GaussianMixture

    def _best(self) -> GaussianMixture:
        require_fitted(self)
        return self.best_estimator_

    @property
    def components_(self) -> Any:
        """DataFrame with a report on each component of the best mixture."""
        return self._best().components_

    def predict(self, X: Any) -> Any:
        """Most probable component of each row, of shape (n,)."""
        return self._best().predict(X)

    def predict_proba(self, X: Any) -> Any:
        """Probability of each component given each row, of shape (n, K)."""
        return self._best().predict_proba(X)

    def score_samples(self, X: Any) -> Any:
        """Log-density at each row (nats), of shape (n,)."""
        return self._best().score_samples(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-density a row (nats)."""
        return self._best().score(X, y)

    def aic(self, X: Any) -> float:
        """Akaike's information criterion on X; the lower the better."""
        return self._best().aic(X)

    def bic(self, X: Any) -> float:
        """Bayesian information criterion on X; the lower the better."""
        return self._best().bic(X)

    def icl(self, X: Any) -> float:
        """Integrated completed likelihood criterion on X; the lower the better."""
        return self._best().icl(X)

    def anomaly_threshold(self, X: Any, quantile: float) -> float:
        """Log-density (nats) below which a share of X's rows lies.

        Parameters
        ----------
        X : array, frame, dask collection or dataset of shape (n, D)
        quantile : float
            The share, between 0 and 1.
        """
        return self._best().anomaly_threshold(X, quantile)

    def sample(self, n_samples: int = 1) -> tuple[Any, Any]:
        """Draw rows from the chosen mixture; also returns their components.

        Parameters
        ----------
        n_samples : int, default 1
            Number n of rows.
        """
        return self._best().sample(n_samples)

    def save(self, path: Any, *, storage_options: dict[str, Any] | None = None) -> None:
        """Write the chosen model to a safetensors file, which `daskgmm.load` reads.

        Parameters
        ----------
        path : path or fsspec URL
        storage_options : dict, optional
            Options for fsspec.
        """
        self._best().save(path, storage_options=storage_options)
