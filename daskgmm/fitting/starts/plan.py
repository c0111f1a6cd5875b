"""A mixture's parameters for its starts, checked, and how many rows to find the starts on."""

from numbers import Integral, Real
from typing import Any

import numpy as np

from daskgmm.data.containers.arrays import real_values
from daskgmm.errors import ConfigurationError
from daskgmm.fitting.protocols import MixtureParameters
from daskgmm.model.covariance import covariance_named
from daskgmm.model.covariance.base import Covariance, NotPositiveDefiniteError
from daskgmm.model.typing import Doubles
from daskgmm.training.initialisation import initialiser_named
from daskgmm.training.start_values import StartValues, known_in
from daskgmm.training.starts import StartPlan

SUBSAMPLE_FLOOR = 20_000
"""Least number of rows that subsample='auto' draws."""

ROWS_A_FEATURE = 10
"""Rows that subsample='auto' draws for each component and feature, if they are more than those."""

SUBSAMPLE_BYTES = 2**27
"""Most bytes of rows that subsample='auto' draws, if `SUBSAMPLE_FLOOR` rows take fewer."""


def start_plan(estimator: MixtureParameters, n_features: int) -> StartPlan:
    """Check the parameters that starts depend on, and take the plan of the starts from them."""
    covariance = covariance_named(estimator.covariance_type)
    given = _given(estimator, covariance, n_features)
    values = (given.weights, given.means, given.precisions)
    if estimator.start_from is not None and any(one is not None for one in values):
        raise ConfigurationError(
            "Start values were given twice, by start_from and by weights_init, means_init or "
            "precisions_init.",
            "Give one of them: a model in start_from has all start values.",
        )
    return StartPlan(
        covariance,
        int(estimator.n_components),
        1 if given.complete else int(estimator.n_init),
        initialiser_named(estimator.init_params),
        given,
    )


REFINEMENTS = ("auto", "split-merge", "none")

LEAST_PASSES_OF_REFINED = 10
"""Least max_iter with which refine='auto' refines: with fewer, passes are counted one by one."""


def is_refined(estimator: MixtureParameters) -> bool:
    """Whether starts are refined: by default, unless they are given or passes are few."""
    if not isinstance(estimator.refine, str) or estimator.refine not in REFINEMENTS:
        raise ConfigurationError(
            f"refine={estimator.refine!r} is not known.", f"Use one of: {', '.join(REFINEMENTS)}."
        )
    if estimator.fixed is not None and estimator.refine == "split-merge":
        raise ConfigurationError(
            "refine='split-merge' moves components, and parts of some are fixed.",
            "Use refine='none' with fixed.",
        )
    if estimator.refine != "auto":
        return estimator.refine == "split-merge"
    if not estimator._refines:  # noqa: SLF001  a protocol's
        return False
    given = (estimator.weights_init, estimator.means_init, estimator.precisions_init)
    starts_given = any(values is not None for values in given)
    few = estimator.max_iter < LEAST_PASSES_OF_REFINED
    return not (starts_given or estimator.warm_start or few)


FIRST_SHARE = 0.05
"""Share of the rows that noise has at first, unless another is given."""


def first_share(noise: Any) -> float | None:
    """First share of noise that the ``noise`` parameter stands for; ``None`` for no noise."""
    if isinstance(noise, bool | np.bool_):
        return FIRST_SHARE if noise else None
    if isinstance(noise, Real) and 0 < float(noise) < 1:
        return float(noise)
    raise ConfigurationError(
        f"The 'noise' parameter is {noise!r}.",
        "It must be True, False, or the share of noise to begin with, between 0 and 1.",
    )


def sample_rows(estimator: MixtureParameters, n_features: int, rows_in_memory: int | None) -> int:
    """Number of rows to find starts on: enough for all parameters, and few enough for memory.

    Parameters
    ----------
    estimator : MixtureParameters
    n_features : int
    rows_in_memory : int or None
        Number n of rows if X is in memory: with ``subsample=None`` starts are found on all.
    """
    wanted: Any = estimator.subsample
    if wanted is None and rows_in_memory is not None:
        return rows_in_memory
    if wanted is None or (isinstance(wanted, str) and wanted == "auto"):
        most = max(SUBSAMPLE_BYTES // (8 * n_features), SUBSAMPLE_FLOOR)
        return min(
            max(SUBSAMPLE_FLOOR, ROWS_A_FEATURE * int(estimator.n_components) * n_features), most
        )
    if not isinstance(wanted, Integral) or wanted < max(2, estimator.n_components):
        raise ConfigurationError(
            f"The 'subsample' parameter is {wanted!r}.",
            "It must be 'auto', None, or a number of rows: at least n_components, and at least 2.",
        )
    return int(wanted)


def _given(estimator: MixtureParameters, covariance: Covariance, n_features: int) -> StartValues:
    n_components = estimator.n_components
    shape = covariance.shape(n_components, n_features)
    some = estimator.fixed is not None
    weights = array_of(estimator.weights_init, "weights", (n_components,), some=some)
    if weights is not None:
        _check_weights(weights, first_share(estimator.noise))
    means = array_of(estimator.means_init, "means", (n_components, n_features), some=some)
    precisions = array_of(
        estimator.precisions_init, f"{covariance.name} precision", shape, some=some
    )
    if precisions is not None:
        _check_precisions(precisions, covariance)
    return StartValues(weights, means, precisions)


def array_of(
    values: Any, name: str, shape: tuple[int, ...], *, some: bool = False
) -> Doubles | None:
    """A parameter as an array; with `some`, NaN stands for values to be found."""
    if values is None:
        return None
    try:
        real_values(values, name)
        # Always in C order: the rounding of sums over an axis depends on the order in memory.
        array = np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The parameter '{name}' is not an array of numbers: {error}.",
            f"Give an array of numbers of shape {shape}.",
        ) from error
    if array.shape != shape:
        raise ConfigurationError(
            f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}.",
            "It follows from n_components, covariance_type and the columns of X.",
        )
    if not (np.isfinite(array) | (np.isnan(array) & some)).all():
        raise ConfigurationError(
            f"The parameter '{name}' holds NaN or infinity.",
            "Give finite numbers, or None; NaN is for what is to be found beside `fixed` parts.",
        )
    return array


def _check_weights(weights: Doubles, noise: float | None) -> None:
    if np.isnan(weights).any():
        if np.nansum(weights) > 1 or (weights < 0).any():
            raise ConfigurationError(
                f"The weights that are given sum to {np.nansum(weights):.5f}.",
                "They must not be negative, and sum to 1 at most.",
            )
        return
    if (weights < 0).any() or (weights > 1).any():
        raise ConfigurationError(
            "The parameter 'weights' should be in the range [0, 1], but got "
            f"max value {weights.min():.5f}, min value {weights.max():.5f}",  # as scikit-learn's
            "Make all weights_init non-negative, then divide them by their sum.",
        )
    # Weights computed in single precision sum to 1 only within its rounding; those of a mixture
    # with noise are given with its share left out.
    sums = (1,) if noise is None else (1, 1 - noise)
    if not np.isclose(weights.sum(), sums, rtol=1e-6, atol=1e-6).any():
        raise ConfigurationError(
            "The parameter 'weights' should be normalized, "
            f"but got sum(weights) = {weights.sum():.5f}",
            "Divide weights_init by its sum.",
        )


def _check_precisions(precisions: Doubles, covariance: Covariance) -> None:
    known = known_in(precisions, shared=covariance.needs_scatter)
    unit = np.eye(precisions.shape[-1]) if covariance.has_matrices else 1.0
    try:
        covariance.factorise_precisions(np.where(known, precisions, unit))
    except NotPositiveDefiniteError as error:
        kind = "symmetric, positive-definite" if covariance.has_matrices else "positive"
        raise ConfigurationError(
            f"'{covariance.name} precision' should be {kind}",
            "Set precisions_init to the inverses of covariances, or to None.",
        ) from error
