"""Conversion to and from scikit-learn's variational estimator."""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from daskgmm.errors import InputTypeError
from daskgmm.estimators.sklearn_model import DERIVED, FITTED, adopted, copy_names, mixture_in
from daskgmm.estimators.validation import require_fitted
from daskgmm.fitting.prior_parameters import variational
from daskgmm.model.bayesian.posterior import Posterior
from daskgmm.model.bayesian.priors import Priors

if TYPE_CHECKING:
    from daskgmm.estimators.bayesian import BayesianGaussianMixture

T = TypeVar("T")

_PARAMETERS = (
    "n_components", "covariance_type", "tol", "reg_covar", "max_iter", "n_init", "init_params",
    "weight_concentration_prior_type", "weight_concentration_prior", "mean_precision_prior",
    "mean_prior", "degrees_of_freedom_prior", "covariance_prior", "random_state", "warm_start",
    "verbose", "verbose_interval",
)  # fmt: skip
_PRIORS = (
    "weight_concentration_prior_", "mean_precision_prior_", "mean_prior_",
    "degrees_of_freedom_prior_", "covariance_prior_",
)  # fmt: skip
_POSTERIOR = ("weight_concentration_", "mean_precision_", "degrees_of_freedom_")


def to_sklearn(estimator: "BayesianGaussianMixture") -> Any:
    """Fitted ``sklearn.mixture.BayesianGaussianMixture`` with the same posterior."""
    from sklearn.mixture import BayesianGaussianMixture

    parameters = {name: getattr(estimator, name) for name in _PARAMETERS}
    if parameters["init_params"] in ("hierarchical", "k-means||"):  # unknown to scikit-learn
        parameters["init_params"] = "kmeans"
    other = BayesianGaussianMixture(**parameters)
    for name in (*FITTED, *DERIVED, *_PRIORS, *_POSTERIOR):
        setattr(other, name, getattr(estimator, name))
    copy_names(estimator, other)
    return other


def from_sklearn(cls: type[T], given: Any) -> T:
    """Estimator of `cls` with the posterior of scikit-learn's fitted one."""
    from sklearn.mixture import BayesianGaussianMixture

    if not isinstance(given, BayesianGaussianMixture | cls):
        raise InputTypeError(
            f"from_sklearn() got a {type(given).__name__}, but takes a BayesianGaussianMixture.",
            "Pass a fitted sklearn.mixture.BayesianGaussianMixture.",
        )
    other: Any = given
    require_fitted(other)
    estimator: Any = cls(**{name: getattr(other, name) for name in _PARAMETERS})
    mixture = mixture_in(other)
    asked = variational(estimator, mixture.n_features)
    mean = np.asarray(other.mean_prior_, np.float64)
    scale = np.asarray(other.covariance_prior_, np.float64)
    if scale.ndim == 0:
        scale = np.full(mixture.n_features, scale)
    freedom = float(other.degrees_of_freedom_prior_)
    priors = Priors(asked.concentration, float(other.mean_precision_prior_), mean, freedom, scale)
    concentration = other.weight_concentration_
    posterior = Posterior(
        np.column_stack(concentration) if isinstance(concentration, tuple) else concentration,
        np.asarray(other.mean_precision_, np.float64),
        np.broadcast_to(other.degrees_of_freedom_, mixture.weights.shape).astype(np.float64),
    )
    mixture = priors.expecting(mixture, posterior)
    estimator.history_ = []
    estimator._priors = priors  # noqa: SLF001
    return adopted(estimator, other, mixture)  # type: ignore[no-any-return]
