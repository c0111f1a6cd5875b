"""The objective of a fit: the parameters ``prior`` and ``fixed``, checked."""

from collections.abc import Mapping
from dataclasses import asdict
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import ConfigurationError
from daskgmm.fitting.options import check_number
from daskgmm.fitting.protocols import MixtureParameters
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.prior import Prior
from daskgmm.model.typing import Doubles
from daskgmm.training.fixed_parameters import Fixed, FixedParameters
from daskgmm.training.m_step import Estimation, maximum_likelihood
from daskgmm.training.maximum_a_posteriori import MaximumAPosteriori
from daskgmm.training.start_values import StartValues, known_in
from daskgmm.training.starts import StartPlan

PARTS = {"weights": "weights_init", "means": "means_init", "covariances": "precisions_init"}
"""Parts that may stay, with the parameters that say what they are."""


def estimation_of(estimator: MixtureParameters, plan: StartPlan, n_features: int) -> Estimation:
    """Objective of a fit of one candidate, or of several without fixed parts."""
    prior = checked_prior(estimator.prior)
    other: Any = maximum_likelihood
    if prior is not None:
        _require_shapes(prior, n_features)
        other = MaximumAPosteriori(prior)
    parts = fixed_parameters(estimator, plan.given, plan.covariance)
    return other if parts is None else Fixed(other, parts, plan.given, plan.covariance)


def checked_prior(prior: Any) -> Prior | None:
    """The prior that the ``prior`` parameter names, checked as far as it goes without rows."""
    if prior is None:
        return None
    if isinstance(prior, str) and prior == "default":
        return Prior()
    if not isinstance(prior, Prior):
        raise ConfigurationError(
            f"The 'prior' parameter is {prior!r}.", "Use None, 'default' or a daskgmm.Prior."
        )
    check_number("mean_precision of the prior", prior.mean_precision, Real, 0)
    if prior.degrees_of_freedom is not None:
        check_number("degrees_of_freedom of the prior", prior.degrees_of_freedom, Real, 0)
    for name in ("mean", "scale"):
        value = getattr(prior, name)
        if value is not None:
            _numbers(name, value)
    return prior


def plain_prior(prior: Any) -> Any:
    """The ``prior`` parameter as JSON values."""
    if not isinstance(prior, Prior):
        return prior
    return {
        name: np.asarray(value).tolist() if value is not None else None
        for name, value in asdict(prior).items()
    }


def plain_fixed(fixed: Any) -> Any:
    """The ``fixed`` parameter as JSON values."""
    if not isinstance(fixed, Mapping):
        return fixed
    return {str(name): np.asarray(mask).tolist() for name, mask in fixed.items()}


def _numbers(name: str, value: Any) -> NDArray[np.float64]:
    try:
        found = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        found = np.full(1, np.nan)
    if not np.isfinite(found).all():
        raise ConfigurationError(
            f"The {name} of the prior is {value!r}.", "It must hold finite numbers."
        )
    return found


def _require_shapes(prior: Prior, n_features: int) -> None:
    degrees = prior.degrees_of_freedom
    if degrees is not None and degrees <= n_features - 1:
        raise ConfigurationError(
            f"degrees_of_freedom of the prior is {degrees:g} for {n_features} columns.",
            f"It must be above {n_features - 1}; by default it is {n_features + 2}.",
        )
    row, matrix = (n_features,), (n_features, n_features)
    for name, shapes in (("mean", (row,)), ("scale", ((), row, matrix))):
        value = getattr(prior, name)
        if value is not None and np.shape(value) not in shapes:
            wanted = " or ".join(map(str, shapes))
            raise ConfigurationError(
                f"The {name} of the prior has the shape {np.shape(value)}.",
                f"For {n_features} columns it must be {wanted}.",
            )
    if prior.scale is None:
        return
    scale = _numbers("scale", prior.scale)
    full = scale if scale.ndim == 2 else np.diag(np.broadcast_to(scale, row))
    if not np.array_equal(full, full.T) or np.linalg.eigvalsh(full)[0] <= 0:
        raise ConfigurationError(
            "The scale of the prior is not a covariance.",
            "Give a symmetric positive-definite matrix, or positive variances.",
        )


def fixed_parameters(
    estimator: MixtureParameters, given: StartValues, covariance: Covariance
) -> FixedParameters | None:
    """Parts that stay by the ``fixed`` parameter; ``None`` if it is not given."""
    fixed = estimator.fixed
    if fixed is None:
        return None
    _check_names(fixed)
    values = {"weights": given.weights, "means": given.means, "covariances": given.precisions}
    found = {}
    for name, value in values.items():
        shared = name == "covariances" and covariance.needs_scatter
        mask = _mask(name, fixed.get(name), int(estimator.n_components))
        if mask.any():
            _require_given(name, mask, value, shared=shared)
        found[name] = mask
    return FixedParameters(**found)


def _check_names(fixed: Any) -> None:
    if not isinstance(fixed, Mapping) or not set(fixed) <= set(PARTS):
        shown = sorted(map(str, fixed)) if isinstance(fixed, Mapping) else fixed
        raise ConfigurationError(
            f"The 'fixed' parameter is {shown!r}.",
            f"Give a mapping from any of {', '.join(map(repr, PARTS))} to a mask of shape (K,).",
        )


def _mask(name: str, mask: Any, n_components: int) -> NDArray[np.bool_]:
    found = np.zeros((), np.bool_) if mask is None else np.asarray(mask)
    if found.dtype != np.bool_ or found.shape not in ((), (n_components,)):
        raise ConfigurationError(
            f"fixed[{name!r}] is {mask!r}.",
            f"Give a mask of {n_components} True or False, one for each component.",
        )
    return np.broadcast_to(found, n_components).copy()


def _require_given(
    name: str, mask: NDArray[np.bool_], value: Doubles | None, *, shared: bool
) -> None:
    if shared and not mask.all():
        raise ConfigurationError(
            "fixed names the covariances of some components, but all share one.",
            "Fix the covariances of all components or of none.",
        )
    init = PARTS[name]
    if value is None:
        raise ConfigurationError(
            f"fixed names {name}, but {init} is not given.", f"Give their values in {init}."
        )
    unknown = mask & ~known_in(value, shared=shared).ravel()
    if unknown.any():
        raise ConfigurationError(
            f"{init} is NaN for component {int(np.argmax(unknown))}, whose {name} are fixed.",
            "Give their values, or leave the component out of the mask.",
        )
