"""How many digits a way of computing leaves, so that the exact one is taken where it matters.

The feature form writes ``(z - mu).T @ P @ (z - mu)`` as a sum of products that are each as
large as ``abs(z).T @ abs(P) @ abs(z)``, and rounding is relative to those; a covariance taken
as a second moment less the product of means loses digits in the same measure. Both are bounded
by the form ``v.T @ abs(P) @ v`` at a typical row of the component, times machine epsilon.
"""

import numpy as np

from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles

TOLERANCE = {np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-10}
"""Error of a log-density (nats), and relative error of a covariance, that is put up with."""

LONGEST_FEATURES = 2**14
"""Beyond this F (D = 180 with full covariances) feature vectors outgrow every cache."""


def log_density_error(mixture: Mixture, dtype: np.dtype[np.floating]) -> float:
    """Bound on the feature form's error in a log-density near any component (nats)."""
    typical = np.abs(mixture.means) + mixture.deviations
    form = mixture.covariance.absolute_form(mixture.factors, typical)
    return float(np.finfo(dtype).eps * form.max())


def covariance_error(mixture: Mixture, origins: Doubles, dtype: np.dtype[np.floating]) -> float:
    """Bound on the relative error of covariances that come from moments about `origins`."""
    form = mixture.covariance.absolute_form(mixture.factors, np.abs(mixture.means - origins))
    return float(np.finfo(dtype).eps * form.max())


def features_suffice(mixture: Mixture, dtype: np.dtype[np.floating]) -> bool:
    """Whether the feature form serves: exact enough, and not too long."""
    length = mixture.covariance.quadratic_length(mixture.n_features)
    return length <= LONGEST_FEATURES and log_density_error(mixture, dtype) <= TOLERANCE[dtype]


def moments_suffice(mixture: Mixture, origins: Doubles, dtype: np.dtype[np.floating]) -> bool:
    """Whether a mixture that was made from moments about `origins` has kept its digits."""
    return covariance_error(mixture, origins, dtype) <= TOLERANCE[dtype]
