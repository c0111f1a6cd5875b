"""The parameters of a variational mixture's priors, checked."""

from numbers import Real
from typing import Any, Protocol

import numpy as np

from daskgmm.errors import ConfigurationError
from daskgmm.fitting.options import check_number
from daskgmm.fitting.protocols import MixtureParameters
from daskgmm.fitting.starts.plan import array_of
from daskgmm.model.bayesian.concentration import concentration_named
from daskgmm.model.covariance import covariance_named
from daskgmm.model.covariance.base import Covariance, NotPositiveDefiniteError
from daskgmm.model.typing import Doubles
from daskgmm.training.variational import Variational


class PriorParameters(MixtureParameters, Protocol):
    """Constructor parameters of `daskgmm.BayesianGaussianMixture`."""

    weight_concentration_prior_type: str
    weight_concentration_prior: float | None
    mean_precision_prior: float | None
    mean_prior: Any
    degrees_of_freedom_prior: float | None
    covariance_prior: Any


def variational(estimator: PriorParameters, n_features: int) -> Variational:
    """The priors that an estimator's parameters ask for, for rows of so many features.

    Raises
    ------
    ConfigurationError
        A parameter is invalid.
    """
    covariance = covariance_named(estimator.covariance_type)
    kind = concentration_named(estimator.weight_concentration_prior_type)
    value = _positive(estimator, "weight_concentration_prior", 1.0 / estimator.n_components)
    freedom = _positive(estimator, "degrees_of_freedom_prior", float(n_features))
    if freedom <= n_features - 1:
        raise ConfigurationError(
            "The parameter 'degrees_of_freedom_prior' should be greater than "
            f"{n_features - 1}, but got {freedom:.3f}.",  # as scikit-learn's
            "Give a number above the number of features less 1, or None for that of features.",
        )
    return Variational(
        covariance,
        kind(value),
        _positive(estimator, "mean_precision_prior", 1.0),
        array_of(estimator.mean_prior, "means", (n_features,)),
        freedom,
        _scale(estimator.covariance_prior, covariance, n_features),
    )


def _positive(estimator: PriorParameters, name: str, default: float) -> float:
    value = getattr(estimator, name)
    if value is None:
        return default
    what = f"The '{name}' parameter of {type(estimator).__name__}"
    check_number(what, value, Real, 0, above=True)
    return float(value)


def _scale(given: Any, covariance: Covariance, n_features: int) -> Doubles | None:
    """The prior of the covariances as a matrix (D, D) or its diagonal (D,)."""
    shape = covariance.shape(1, n_features)
    own = shape if covariance.needs_scatter else shape[1:]  # a shared one has no axis of components
    found = array_of(given, f"{covariance.name} covariance_prior", own)
    if found is None:
        return None
    try:
        covariance.factorise(found.reshape(shape))
    except NotPositiveDefiniteError as error:
        kind = "symmetric, positive-definite" if covariance.has_matrices else "positive"
        raise ConfigurationError(
            f"'{covariance.name} covariance_prior' should be {kind}",
            "Give a valid covariance, or None for that of the rows.",
        ) from error
    return np.broadcast_to(found, (n_features,)).copy() if found.ndim < 2 else found
