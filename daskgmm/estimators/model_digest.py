"""Which model it is, by what it says of rows."""

from typing import Any

from daskgmm.estimators.identity import digest
from daskgmm.estimators.values import Arrays, to_plain
from daskgmm.model.prediction import Predictor


def model_digest(estimator: Any) -> str:
    """SHA-256 of a fitted mixture's parameters and columns, however it came by them."""
    predictor: Predictor = estimator._predictor  # noqa: SLF001  the estimator's own helper
    names = getattr(estimator, "feature_names_in_", None)
    arrays: Arrays = {}
    mixture = to_plain((predictor.mixture, predictor.frame), "", arrays)
    columns = None if names is None else [str(name) for name in names]
    return digest([mixture, str(predictor.dtype), columns], arrays)
