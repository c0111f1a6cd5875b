"""Checks of constructor parameters, made at fit time as in scikit-learn."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from daskgmm.errors import ConfigurationError
from daskgmm.fitting.objective import checked_prior
from daskgmm.fitting.options import MethodOptions, check_number, declared
from daskgmm.fitting.protocols import MixtureParameters
from daskgmm.fitting.settings import compute_dtype, missing_named
from daskgmm.fitting.starts.plan import first_share
from daskgmm.model.covariance import covariance_named
from daskgmm.monitoring.observer import Observer
from daskgmm.passes.cache.choose import check_cache
from daskgmm.training.acceleration import acceleration_named
from daskgmm.training.initialisation import initialiser_named
from daskgmm.training.stopping import stopping_named

_RANGES: dict[str, tuple[Any, float | None]] = {
    option.parameter: (option.number, option.option.least)
    for option in declared(MethodOptions).values()
} | {
    "n_components": (Integral, 1),
    "max_iter": (Integral, 0),  # scikit-learn allows 0: the start without any pass
    "verbose": (Integral, 0),
    "verbose_interval": (Integral, 1),
}
"""Kind of number and smallest value of each parameter."""


def check_parameters(estimator: MixtureParameters) -> None:
    """Check the type and range of numbers, ``warm_start`` and ``callbacks``."""
    for name, (kind, least) in _RANGES.items():
        what = f"The '{name}' parameter of {type(estimator).__name__}"
        check_number(what, getattr(estimator, name), kind, least)
    if not isinstance(estimator.warm_start, bool | np.bool_):
        raise ConfigurationError(
            f"The 'warm_start' parameter is {estimator.warm_start!r}.", "It must be True or False."
        )
    first_share(estimator.noise)
    checked_prior(estimator.prior)
    callbacks = estimator.callbacks
    if not isinstance(callbacks, Iterable) or not all(map(_hears, callbacks)):
        raise ConfigurationError(
            f"The 'callbacks' parameter is {callbacks!r}.",
            "Give a list or tuple of callables, or of observers with start, tell and end.",
        )


def check_settings(estimator: MixtureParameters) -> None:
    """Check all parameters that can be checked without rows."""
    check_parameters(estimator)
    covariance_named(estimator.covariance_type)
    initialiser_named(estimator.init_params)
    compute_dtype(estimator, np.dtype(np.float64))
    random_numbers(estimator.random_state)
    stopping_named(estimator.stopping)
    acceleration_named(estimator.acceleration)
    missing_named(estimator.missing)
    check_cache(estimator.cache)


def _hears(callback: Any) -> bool:
    return callable(callback) or isinstance(callback, Observer)


def random_numbers(random_state: Any) -> np.random.RandomState:
    """RandomState for the ``random_state`` parameter."""
    try:
        found: np.random.RandomState = check_random_state(random_state)
    except ValueError as error:
        raise ConfigurationError(
            f"The 'random_state' parameter is {random_state!r}.",
            "Use None, an integer or a numpy.random.RandomState.",
        ) from error
    return found
