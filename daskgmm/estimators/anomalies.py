"""Which rows are anomalous: those of the least density."""

from typing import Any

import numpy as np

from daskgmm.errors import ConfigurationError
from daskgmm.estimators.inputs import as_source, kind_of, require_unchanged
from daskgmm.estimators.validation import is_share, require_fitted
from daskgmm.model.typing import Doubles
from daskgmm.passes.engine.persist import held
from daskgmm.passes.quantile import log_density_quantile


def anomaly_threshold(estimator: Any, X: Any, quantile: Any) -> float:
    """The log-density (nats) below which a share of X's rows lies."""
    require_fitted(estimator)
    if not is_share(quantile):
        raise ConfigurationError(
            f"quantile={quantile!r}.", "Pass a share of the rows between 0 and 1, such as 0.01."
        )
    if kind_of(X) == "memory":
        return _quantile(estimator.score_samples(X).astype(np.float64), float(quantile))
    source = as_source(estimator, X, reset=False)
    found = log_density_quantile(held(source), estimator._predictor, float(quantile))  # noqa: SLF001
    require_unchanged(X)
    return found


def _quantile(densities: Doubles, share: float) -> float:
    # Rows may be so far that they have no density, and numpy has no line from there.
    lower = float(np.quantile(densities, share, method="lower"))
    return lower if np.isinf(lower) else float(np.quantile(densities, share))
