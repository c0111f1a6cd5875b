"""Priors and posterior of a variational mixture, as a model file holds them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.storage.json import require_form
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.model.bayesian.concentration import concentration_named
from daskgmm.model.bayesian.posterior import HOLDS, Posterior
from daskgmm.model.bayesian.priors import Priors
from daskgmm.model.frame import require_numbers
from daskgmm.model.mixture import Mixture

_NUMBERS = ("concentration", "mean_precision", "degrees_of_freedom")
_FORM = {"concentration_type": str, **dict.fromkeys(_NUMBERS, int | float)}
"""Form of the priors in a model file's metadata."""

Tensors = Mapping[str, NDArray[Any]]


def components_with_rows(estimator: Any) -> int | None:
    """Number of a fitted variational mixture's components that hold rows.

    ``None`` for an ordinary mixture, which holds all components for needed.
    """
    if not hasattr(estimator, "mean_precision_"):
        return None
    counts = estimator.mean_precision_ - estimator.mean_precision_prior_
    return int((counts >= HOLDS).sum())


def tensors_of(estimator: FittedMixture) -> dict[str, NDArray[Any]]:
    """Arrays that a fitted variational mixture holds beside an ordinary one's."""
    mixture = estimator._predictor.mixture  # noqa: SLF001  a protocol's
    priors: Priors | None = getattr(estimator, "_priors", None)
    found: dict[str, NDArray[Any]] = {}
    if mixture.log_weights is not None:
        found["log_weights"] = mixture.log_weights
    if mixture.posterior is not None:
        own = mixture.posterior
        found |= {f"posterior.{one.name}": getattr(own, one.name) for one in fields(own)}
    if priors is not None:
        found |= {"priors.mean": priors.mean, "priors.scale": priors.scale}
    return found


def facts_of(estimator: FittedMixture) -> dict[str, Any]:
    """The numbers of its priors, for the metadata; none for an ordinary mixture."""
    priors: Priors | None = getattr(estimator, "_priors", None)
    if priors is None:
        return {}
    values = (priors.concentration.value, priors.mean_precision, priors.degrees_of_freedom)
    numbers = dict(zip(_NUMBERS, values, strict=True))
    return {"priors": {"concentration_type": priors.concentration.name, **numbers}}


def with_posterior(mixture: Mixture, tensors: Tensors) -> Mixture:
    """A mixture with the log-weights and the posterior that a file holds, if any."""
    names = [f"posterior.{one.name}" for one in fields(Posterior)]
    known = names[0] in tensors
    posterior = Posterior(*(tensors[name] for name in names)) if known else None
    return replace(mixture, log_weights=tensors.get("log_weights"), posterior=posterior)


def priors_in(tensors: Tensors, facts: Any, n_features: int) -> Priors | None:
    """The priors in a file, in the data's units; ``None`` if its mixture is an ordinary one.

    Raises
    ------
    KeyError, ValueError
        They are damaged.
    """
    if facts is None:
        return None
    require_form(facts, _FORM, "priors")
    value, mean_precision, freedom = (float(facts[name]) for name in _NUMBERS)
    concentration = concentration_named(facts["concentration_type"])(value)
    mean, scale = tensors["priors.mean"], tensors["priors.scale"]
    for name, array, most in (("mean", mean, 1), ("scale", scale, 2)):
        require_numbers(f"the array of the priors' {name}", array)
        if not 1 <= array.ndim <= most or set(array.shape) != {n_features}:
            raise ValueError(f"the priors' {name} has the shape {array.shape}")
    if not (value > 0 and mean_precision > 0 and np.isfinite(freedom)):
        raise ValueError("a number of the priors is out of range")
    return Priors(concentration, mean_precision, mean, freedom, scale)
