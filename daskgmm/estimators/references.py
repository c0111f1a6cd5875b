"""Other fitted mixtures: to start from, and in whose order components are brought."""

import copy
import os
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import ConfigurationError, InputTypeError
from daskgmm.fitting.fitted import Fitted
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.fitting.stored.model_file import Stored

E = TypeVar("E", bound=FittedMixture)

_TAKEN = "a fitted mixture, or the path or URL of a model file or run directory"


def start_of(start_from: Any) -> Fitted | None:
    """The mixture that the ``start_from`` parameter names."""
    return None if start_from is None else fitted_mixture(start_from, "start_from")


def fitted_mixture(given: Any, name: str) -> Fitted:
    """A fitted mixture from an estimator, model file or run directory.

    Parameters
    ----------
    given : estimator, path, fsspec URL or Fitted
        Estimators are ours or scikit-learn's; a selector stands for its best, and a merged mixture
        for its components.
    name : str
        Name of the argument in errors.

    Raises
    ------
    ConfigurationError
        The estimator is not fitted.
    InputTypeError
        It is neither an estimator nor a path.
    MissingInputError, DataError, ClusterError
        As `daskgmm.load`.
    """
    if isinstance(given, Fitted):
        return given
    if isinstance(given, str | os.PathLike):
        return Stored.at(given, None).fitted
    found: Any = getattr(given, "best_estimator_", given)
    found = getattr(found, "mixture_", found)
    if hasattr(found, "weights_") and not hasattr(found, "_predictor"):
        found = _from_sklearn(found)
    if hasattr(found, "_predictor"):
        return Fitted.of(found)
    if hasattr(found, "fit"):
        raise ConfigurationError(
            f"{name} is a {type(given).__name__} that is not fitted.",
            f"Fit it first, or give {_TAKEN}.",
        )
    raise InputTypeError(f"{name} is {given!r}.", f"Give {_TAKEN}.")


def _from_sklearn(found: Any) -> Any:
    """Our estimator for scikit-learn's; anything else as it is."""
    # Imported here, because scikit-learn's mixtures import half of scikit-learn.
    from sklearn import mixture

    from daskgmm.estimators.bayesian import BayesianGaussianMixture
    from daskgmm.estimators.gaussian_mixture import GaussianMixture

    for theirs, ours in (
        (mixture.GaussianMixture, GaussianMixture),
        (mixture.BayesianGaussianMixture, BayesianGaussianMixture),
    ):
        if isinstance(found, theirs):
            return ours.from_sklearn(found)
    return found


class StartsFrom:
    """Mixin of estimators with the parameter ``start_from``."""

    start_from: Any

    def __sklearn_clone__(self) -> Any:
        """Clone as scikit-learn does, but not the model to start from: that would empty it."""
        found: Any = super().__sklearn_clone__()  # type: ignore[misc]
        found.start_from = self.start_from
        return found


def reordered(estimator: E, order: NDArray[np.int64]) -> E:
    """The same fitted estimator with its components in another order, a permutation (K,)."""
    found = copy.copy(estimator)
    predictor, moments = estimator._predictor, estimator._moments  # noqa: SLF001  a protocol's
    mixture = predictor.mixture.of_components(order)
    found._predictor = replace(predictor, mixture=mixture)  # noqa: SLF001
    found._moments = None if moments is None else moments.of_components(order)  # noqa: SLF001
    return found


def restarted(estimator: E, start: Fitted) -> E:
    """The same fitted estimator with the parameters of another model, in its order.

    The moments of the rows that were seen stay those of the corresponding components.
    """
    own = Fitted.of(estimator)
    found = reordered(estimator, own.permutation(start, "start_from"))
    frame, covariance = own.predictor.frame, own.predictor.mixture.covariance
    mixture, other = start.over(own.columns, own.n_features, "start_from").of_type(covariance)
    moved = mixture.outside(other.seen_from(frame))
    found._predictor = replace(own.predictor, mixture=moved)  # noqa: SLF001  a protocol's
    return found
