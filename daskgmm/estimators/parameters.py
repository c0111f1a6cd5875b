"""Checks of constructor parameters, at fit time as scikit-learn does."""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from daskgmm.data.containers.arrays import real_values
from daskgmm.errors import ConfigurationError
from daskgmm.model.covariance import covariance_named
from daskgmm.model.covariance.base import Covariance, NotPositiveDefiniteError
from daskgmm.model.typing import Doubles
from daskgmm.monitoring.observer import Observer
from daskgmm.passes.cache.choose import check_cache
from daskgmm.training.acceleration import acceleration_named
from daskgmm.training.initialisation import initialiser_named
from daskgmm.training.starts import Given, StartPlan
from daskgmm.training.stopping import stopping_named

SUBSAMPLE_FLOOR = 20_000
SUBSAMPLE_BYTES = 2**27

_AT_LEAST: dict[str, tuple[Any, float]] = {
    "n_components": (Integral, 1),
    "tol": (Real, 0),
    "reg_covar": (Real, 0),
    "max_iter": (Integral, 0),
    "n_init": (Integral, 1),
    "verbose": (Integral, 0),
    "verbose_interval": (Integral, 1),
}


def check_parameters(estimator: Any) -> None:
    """Refuse numbers of the wrong type or out of range, and what is no switch or callback."""
    for name, (kind, least) in _AT_LEAST.items():
        value: Any = getattr(estimator, name)
        if not isinstance(value, kind) or not least <= value < np.inf:  # NaN is not either
            what = "an integer" if kind is Integral else "a finite number"
            raise ConfigurationError(
                f"The '{name}' parameter of {type(estimator).__name__} is {value!r}.",
                f"It must be {what} of at least {least}.",
            )
    if not isinstance(estimator.warm_start, bool | np.bool_):
        raise ConfigurationError(
            f"The 'warm_start' parameter is {estimator.warm_start!r}.", "It must be True or False."
        )
    callbacks = estimator.callbacks
    if not isinstance(callbacks, Iterable) or not all(map(_hears, callbacks)):
        raise ConfigurationError(
            f"The 'callbacks' parameter is {callbacks!r}.",
            "Give a list or tuple of callables, or of observers with start, tell and end.",
        )


def check_settings(estimator: Any) -> None:
    """Refuse parameters that any fit would refuse, whatever its rows."""
    check_parameters(estimator)
    covariance_named(estimator.covariance_type)
    initialiser_named(estimator.init_params)
    compute_dtype(estimator, np.dtype(np.float64))
    random_numbers(estimator.random_state)
    stopping_named(estimator.stopping)
    acceleration_named(estimator.acceleration)
    check_cache(estimator.cache)


def _hears(callback: Any) -> bool:
    return callable(callback) or isinstance(callback, Observer)


def random_numbers(random_state: Any) -> np.random.RandomState:
    """The random numbers that ``random_state`` stands for."""
    try:
        found: np.random.RandomState = check_random_state(random_state)
    except ValueError as error:
        raise ConfigurationError(
            f"The 'random_state' parameter is {random_state!r}.",
            "Use None, an integer or a numpy.random.RandomState.",
        ) from error
    return found


def start_plan(estimator: Any, n_features: int) -> StartPlan:
    """How the estimator's parameters say to start."""
    covariance = covariance_named(estimator.covariance_type)
    given = _given(estimator, covariance, n_features)
    return StartPlan(
        covariance,
        int(estimator.n_components),
        1 if given.complete else int(estimator.n_init),
        initialiser_named(estimator.init_params),
        given,
    )


def sample_rows(estimator: Any, n_features: int, rows_in_memory: int | None) -> int:
    """Rows to find starts on: enough for every component's parameters, never too many to hold.

    Parameters
    ----------
    estimator : GaussianMixture
    n_features : int
    rows_in_memory : int or None
        n, where X is in memory: with ``subsample=None`` all of them serve.
    """
    wanted = estimator.subsample
    if wanted is None and rows_in_memory is not None:
        return rows_in_memory
    if wanted is None or (isinstance(wanted, str) and wanted == "auto"):
        most = max(SUBSAMPLE_BYTES // (8 * n_features), SUBSAMPLE_FLOOR)
        return min(max(SUBSAMPLE_FLOOR, 100 * int(estimator.n_components) * n_features), most)
    if not isinstance(wanted, Integral) or wanted < max(2, estimator.n_components):
        raise ConfigurationError(
            f"The 'subsample' parameter is {wanted!r}.",
            "It must be 'auto', None, or a number of rows of at least n_components.",
        )
    return int(wanted)


def compute_dtype(estimator: Any, found: np.dtype[Any]) -> np.dtype[Any]:
    """What to compute in: the data's float type unless the user forces one."""
    if estimator.dtype is None:
        return found
    try:
        dtype: np.dtype[Any] = np.dtype(estimator.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype not in (np.float32, np.float64):
        raise ConfigurationError(
            f"The 'dtype' parameter is {estimator.dtype!r}.",
            "Use None, 'float32' or 'float64'.",
        )
    return dtype


def _given(estimator: Any, covariance: Covariance, n_features: int) -> Given:
    n_components = estimator.n_components
    shape = covariance.shape(n_components, n_features)
    weights = _array(estimator.weights_init, "weights", (n_components,))
    if weights is not None:
        _check_weights(weights)
    means = _array(estimator.means_init, "means", (n_components, n_features))
    precisions = _array(estimator.precisions_init, f"{covariance.name} precision", shape)
    if precisions is not None:
        _check_precisions(precisions, covariance)
    return Given(weights, means, precisions)


def _array(values: Any, name: str, shape: tuple[int, ...]) -> Doubles | None:
    if values is None:
        return None
    try:
        real_values(values, name)
        # In C's order whatever the user's: sums over axes round as memory has them.
        array = np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The parameter '{name}' is no array of numbers: {error}.",
            f"Give numbers of the shape {shape}.",
        ) from error
    if array.shape != shape:
        raise ConfigurationError(
            f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}.",
            "It follows from n_components, covariance_type and the columns of X.",
        )
    if not np.isfinite(array).all():
        raise ConfigurationError(
            f"The parameter '{name}' holds NaN or infinity.", "Give finite numbers, or None."
        )
    return array


def _check_weights(weights: Doubles) -> None:
    if (weights < 0).any() or (weights > 1).any():
        raise ConfigurationError(
            "The parameter 'weights' should be in the range [0, 1], but got "
            f"max value {weights.min():.5f}, min value {weights.max():.5f}",  # theirs, as it is
            "Divide weights_init by its sum, once no weight is negative.",
        )
    # Weights that were computed in single precision sum to 1 within its rounding.
    if not np.isclose(weights.sum(), 1, rtol=1e-6, atol=1e-6):
        raise ConfigurationError(
            "The parameter 'weights' should be normalized, "
            f"but got sum(weights) = {weights.sum():.5f}",
            "Divide weights_init by its sum.",
        )


def _check_precisions(precisions: Doubles, covariance: Covariance) -> None:
    try:
        covariance.factorise_precisions(precisions)
    except NotPositiveDefiniteError as error:
        kind = "symmetric, positive-definite" if covariance.has_matrices else "positive"
        raise ConfigurationError(
            f"'{covariance.name} precision' should be {kind}",
            "Give precisions_init the inverses of covariances, or None.",
        ) from error
