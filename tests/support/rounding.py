"""The rounding errors that ways of computing are chosen by, as numbers to hold results against."""

import numpy as np

from daskgmm.model import precision


def log_density_errors(mixture, dtype):
    """Bounds (K,) on the feature form's error in a log-density near each component (nats)."""
    return np.finfo(dtype).eps * _form(mixture, np.abs(mixture.means) + mixture.deviations)


def logit_errors(mixture, dtype):
    """Errors (K,) in nats of logits about the means, near each component, hardly ever exceeded."""
    root = np.sqrt(_form(mixture, np.abs(mixture.means) + mixture.deviations))
    rounding = precision._COORDINATE_ERROR * root + mixture.n_features**1.5
    return np.finfo(dtype).eps * rounding


def covariance_errors(mixture, origins, dtype):
    """Bounds (K,) on the relative error of covariances from moments about `origins`."""
    return np.finfo(dtype).eps * _form(mixture, np.abs(mixture.means - origins))


def _form(mixture, vectors):
    return mixture.covariance.absolute_form(mixture.factors, vectors)
