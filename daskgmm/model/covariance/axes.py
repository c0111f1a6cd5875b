"""Variances along the axes: functions that diag and spherical share."""

import numpy as np

from daskgmm.model.covariance.base import NotPositiveDefiniteError
from daskgmm.model.typing import Doubles


def _require_positive(values: Doubles) -> None:
    per_component = values.reshape(len(values), -1)
    good = ((per_component > 0) & np.isfinite(per_component)).all(axis=1)
    if not good.all():
        raise NotPositiveDefiniteError(int(np.argmin(good)))


def factorise(variances: Doubles) -> Doubles:
    """Square roots of the precisions of given variances; the first axis counts components."""
    _require_positive(variances)
    return np.asarray(1 / np.sqrt(variances))


def factorise_precisions(precisions: Doubles) -> Doubles:
    """Square roots of given precisions."""
    _require_positive(precisions)
    return np.sqrt(precisions)
