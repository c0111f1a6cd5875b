"""New rows for a fitted model, in one pass."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskgmm.data.decode import require_finite_sum
from daskgmm.data.source import Source
from daskgmm.errors import ConfigurationError, DataError
from daskgmm.estimators.inputs import as_source, require_unchanged
from daskgmm.estimators.parameters import check_parameters, compute_dtype
from daskgmm.estimators.validation import is_share
from daskgmm.fitting.fit import SECONDS_WORTH_COMPILING
from daskgmm.model.expectation import Expectation
from daskgmm.model.kernels.compiled import compile_ahead
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.prediction import Predictor
from daskgmm.model.typing import Doubles
from daskgmm.passes.checked import expect_checked
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.persist import held
from daskgmm.passes.groups import seconds_a_row
from daskgmm.training.em import Origins, Recipe
from daskgmm.training.incremental import Increment, absorb
from daskgmm.training.states import FitState, Trace
from daskgmm.training.stopping import Step, stopping_named


def check_forgetting(forgetting: Any) -> None:
    """Refuse what is no number from 0 to 1."""
    if not is_share(forgetting):
        raise ConfigurationError(
            f"The 'forgetting' parameter is {forgetting!r}.",
            "It must be a number from 0, which keeps the new rows only, to 1, which keeps all.",
        )


def update(estimator: Any, X: Any, sample_weight: Any, forgetting: float) -> Increment:
    """Take new rows into a fitted estimator; see `GaussianMixture.partial_fit`.

    If anything goes wrong the estimator stays as it is.
    """
    check_parameters(estimator)
    began = time.perf_counter()
    history = _history(estimator, forgetting)
    source = as_source(estimator, X, sample_weight, reset=False)
    before: Predictor = estimator._predictor  # noqa: SLF001  the estimator's own helper
    recipe = _recipe(estimator, before, compute_dtype(estimator, source.dtype))
    rows = NewRows(held(source), before, recipe.dtype)
    with one_thread():
        found = absorb(before.mixture, history, rows.expect, recipe)
    require_unchanged(X)
    _adopt(estimator, found, recipe, rows, time.perf_counter() - began)
    return found


def _history(estimator: Any, forgetting: float) -> Moments | None:
    if forgetting == 0:
        return None
    moments: Moments | None = estimator._moments  # noqa: SLF001
    if moments is None:
        raise ConfigurationError(
            "The model holds no moments of the rows that it was fitted on: it comes from "
            "scikit-learn, or from a fit of no passes.",
            "Fit it again here, or go on with forgetting=0, from the new rows alone.",
        )
    return moments.faded(forgetting)


def _recipe(estimator: Any, before: Predictor, dtype: np.dtype[Any]) -> Recipe:
    return Recipe(
        estimator.tol,
        estimator.max_iter,
        stopping_named(estimator.stopping),
        estimator.reg_covar / before.frame.scale**2,
        _deviations(before.mixture),
        dtype,
        zero=before.frame.enter(np.zeros_like(before.frame.origin)),
    )


def _deviations(mixture: Mixture) -> Doubles:
    """Standard deviations (D,) of the features, as a mixture has them."""
    spread = mixture.means - mixture.weights @ mixture.means
    return np.sqrt(mixture.weights @ (mixture.deviations**2 + spread**2))


@dataclass(eq=False)
class NewRows:
    """Rows to be read once, seldom twice.

    Parameters
    ----------
    source : Source
    before : Predictor
        The mixture before, and its frame.
    dtype : dtype
        What rows are computed in.
    """

    source: Source
    before: Predictor
    dtype: np.dtype[Any]
    passes: int = 0

    def expect(self, mixtures: Sequence[Mixture], origins: Origins = None) -> list[Moments]:
        """One pass; see `daskgmm.training.em.Expect`."""
        cost = self._cost_a_row(mixtures[0])
        compiled = cost * sum(self.source.lengths or ()) > SECONDS_WORTH_COMPILING
        if compiled:
            compile_ahead(self.source.dtype, self.dtype)
        asked = Expectation(
            tuple(mixtures), self.before.frame, self.dtype, origins=origins, compiled=compiled
        )
        self.passes += 1
        (found,) = expect_checked(self.source, asked, cost)
        require_finite_sum(found.weight)
        if found.weight == 0:
            raise DataError(
                "There are no rows to update the model with, or none that counts.",
                "Check that the input holds the rows that it should, and their weights.",
            )
        return [found]

    def _cost_a_row(self, mixture: Mixture) -> float:
        n_features = mixture.n_features
        length = mixture.covariance.quadratic_length(n_features) + n_features + 1
        return seconds_a_row(n_features, length, mixture.n_components)


def _adopt(estimator: Any, found: Increment, recipe: Recipe, rows: NewRows, seconds: float) -> None:
    before, bound = rows.before, found.fresh.lower_bound
    last = getattr(estimator, "lower_bound_", float("-inf"))
    step = Step(before.mixture, found.mixture, last, bound, recipe.deviations)
    bounds = (*getattr(estimator, "lower_bounds_", ()), bound)
    trace = Trace(found.mixture, found.moments, bounds, last, recipe.stopping.change(step))
    state = FitState(1, (trace,), found.fresh.rows, seconds)
    for callback in estimator.callbacks:
        callback(state)
    estimator._predictor = replace(before, mixture=found.mixture)  # noqa: SLF001
    estimator._moments = found.moments  # noqa: SLF001
    estimator.n_iter_ += 1
    estimator.lower_bounds_ = list(bounds)
    estimator.lower_bound_ = bound
    estimator.n_rows_ = getattr(estimator, "n_rows_", 0) + state.rows
    estimator.n_passes_ = getattr(estimator, "n_passes_", 0) + rows.passes
    estimator.history_ = [
        *getattr(estimator, "history_", ()),
        _entry(estimator.n_iter_, state, rows),
    ]


def _entry(iteration: int, state: FitState, rows: NewRows) -> dict[str, Any]:
    """What ``history_`` tells of the step, as of each pass of a fit."""
    return {
        "iteration": iteration,
        "lower_bound": state.best.lower_bound,
        "change": state.best.change,
        "seconds": state.seconds,
        "rows": state.rows,
        "bytes_read": state.rows * rows.source.n_features * rows.dtype.itemsize,
    }
