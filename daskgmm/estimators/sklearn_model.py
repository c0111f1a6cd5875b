"""Conversion to and from scikit-learn's estimator."""

from typing import Any, TypeVar

import numpy as np

from daskgmm.errors import ConfigurationError, DataError, InputTypeError
from daskgmm.estimators.validation import require_fitted
from daskgmm.fitting.fitted import Fitted
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.model.covariance import COVARIANCES, covariance_named
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import Predictor

T = TypeVar("T")

_PARAMETERS = (
    "n_components", "covariance_type", "tol", "reg_covar", "max_iter", "n_init", "init_params",
    "weights_init", "means_init", "precisions_init", "random_state", "warm_start", "verbose",
    "verbose_interval",
)  # fmt: skip
FITTED = ("converged_", "n_iter_", "lower_bound_", "lower_bounds_", "n_features_in_")
DERIVED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


def to_sklearn(estimator: FittedMixture) -> Any:
    """Fitted ``sklearn.mixture.GaussianMixture`` with the same parameters."""
    from sklearn.mixture import GaussianMixture

    Fitted.of(estimator).require_no_noise("scikit-learn's GaussianMixture")
    covariance = covariance_named(estimator.covariance_type)
    if not covariance.in_scikit_learn:
        known = ", ".join(name for name, one in COVARIANCES.items() if one.in_scikit_learn)
        raise ConfigurationError(
            f"scikit-learn's GaussianMixture has no covariance_type={covariance.name!r}.",
            f"Fit one that it has: {known}.",
        )
    parameters = {name: getattr(estimator, name) for name in _PARAMETERS}
    if parameters["init_params"] in (
        "hierarchical",
        "k-means||",
    ):  # unknown to scikit-learn, and no longer needed
        parameters["init_params"] = "kmeans"
    other = GaussianMixture(**parameters)
    for name in (*FITTED, *DERIVED):
        if hasattr(estimator, name):  # a mixture derived from another has no course of a fit
            setattr(other, name, getattr(estimator, name))
    copy_names(estimator, other)
    return other


def from_sklearn(cls: type[T], given: Any) -> T:
    """Estimator of `cls` with the parameters of a fitted ``sklearn.mixture.GaussianMixture``."""
    from sklearn.mixture import GaussianMixture

    if not isinstance(given, GaussianMixture | cls):
        raise InputTypeError(
            f"from_sklearn() got a {type(given).__name__}, but takes a GaussianMixture.",
            "Pass a fitted sklearn.mixture.GaussianMixture.",
        )
    other: Any = given
    require_fitted(other)
    estimator: Any = cls(**{name: getattr(other, name) for name in _PARAMETERS})
    return adopted(estimator, other, mixture_in(other))  # type: ignore[no-any-return]


def mixture_in(other: Any) -> Mixture:
    """The mixture of a fitted estimator of scikit-learn, in data units."""
    return Mixture(
        covariance_named(other.covariance_type),
        np.asarray(other.weights_, np.float64),
        np.asarray(other.means_, np.float64),
        np.asarray(other.covariances_, np.float64),
        np.asarray(other.precisions_cholesky_, np.float64),
    )


def adopted(estimator: Any, other: Any, mixture: Mixture) -> Any:
    """Give an estimator a mixture in data units, and the facts of scikit-learn's fit.

    Raises
    ------
    DataError
        The mixture is not valid.
    """
    # The heaviest component's mean, as one far component would draw the mean of all away from
    # most rows, which would then lose digits.
    origin = mixture.means[mixture.weights.argmax()]
    frame = Frame(origin, np.ones_like(origin))
    inside = Frame.identity(len(origin)).seen_from(frame)
    mixture = mixture.outside(inside)
    try:
        mixture.require_sound()
    except ValueError as error:
        raise DataError(
            f"The given estimator does not hold a valid mixture: {error}.",
            "Fit it, or set weights that sum to 1, finite means and positive-definite covariances.",
        ) from error
    estimator._predictor = Predictor(mixture, frame)  # noqa: SLF001
    estimator._dtype = np.asarray(other.means_).dtype  # noqa: SLF001
    estimator._moments = None  # noqa: SLF001
    for name in FITTED:
        if hasattr(other, name):
            setattr(estimator, name, getattr(other, name))
    estimator.n_features_in_ = mixture.n_features
    copy_names(other, estimator)
    return estimator


def copy_names(source: Any, target: Any) -> None:
    """Copy the names of the features from one estimator to another, if it has any."""
    if hasattr(source, "feature_names_in_"):
        target.feature_names_in_ = source.feature_names_in_
