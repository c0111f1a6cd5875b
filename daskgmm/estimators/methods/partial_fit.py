"""`partial_fit`: one EM step of a fitted estimator, in one pass over new rows."""

import time
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from daskgmm.errors import ConfigurationError
from daskgmm.estimators.inputs import as_source, require_unchanged
from daskgmm.estimators.parameters import check_parameters
from daskgmm.estimators.validation import is_share
from daskgmm.fitting.objective import checked_prior
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.fitting.settings import compute_dtype, missing_named
from daskgmm.fitting.starts.plan import start_plan
from daskgmm.fitting.update import NewRows, remembered
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.prediction import Predictor
from daskgmm.model.typing import Doubles
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.persist import held
from daskgmm.training.em import EMSettings
from daskgmm.training.fixed_parameters import BesideFixed
from daskgmm.training.incremental import Increment, absorb
from daskgmm.training.m_step import MStep, maximum_likelihood
from daskgmm.training.states import FitState, Trace
from daskgmm.training.stopping import EMStep, stopping_named

Fitted = TypeVar("Fitted", bound=FittedMixture)


def check_forgetting(forgetting: Any) -> None:
    """Check that the factor is a number from 0 to 1."""
    if not is_share(forgetting):
        raise ConfigurationError(
            f"The 'forgetting' parameter is {forgetting!r}.",
            "It must be a number from 0 (keep only the new rows) to 1 (keep all rows).",
        )


def update(estimator: FittedMixture, X: Any, sample_weight: Any, forgetting: float) -> Increment:
    """Update a fitted estimator with new rows; see `GaussianMixture.partial_fit`.

    After an error the estimator is unchanged.
    """
    check_parameters(estimator)
    began = time.perf_counter()
    history = _history(estimator, forgetting)
    source = as_source(estimator, X, sample_weight, reset=False)
    before = estimator._predictor  # noqa: SLF001  the estimator's own helper
    em_settings = _em_settings(estimator, before, compute_dtype(estimator, source.dtype))
    missing, most = missing_named(estimator.missing), estimator._max_missing  # noqa: SLF001
    rows = NewRows(held(source), before, em_settings.dtype, missing, most)
    with one_thread():
        found = absorb(before.mixture, history, rows.expect, em_settings)
    require_unchanged(X)
    _adopt(estimator, found, em_settings, rows, time.perf_counter() - began)
    return found


def _history(estimator: FittedMixture, forgetting: float) -> Moments | None:
    if forgetting == 0:
        return None
    moments = estimator._moments  # noqa: SLF001
    if moments is None:
        raise ConfigurationError(
            "The model holds no moments of the rows that it was fitted on: it comes from "
            "scikit-learn, or from a fit without passes.",
            "Fit it again with daskgmm, or use forgetting=0, which keeps the new rows only.",
        )
    return moments.faded(forgetting)


def _em_settings(estimator: FittedMixture, before: Predictor, dtype: np.dtype[Any]) -> EMSettings:
    return EMSettings(
        estimator.tol,
        estimator.max_iter,
        stopping_named(estimator.stopping),
        estimator.reg_covar / before.frame.scale**2,
        _deviations(before.mixture),
        dtype,
        zero=before.frame.enter(np.zeros_like(before.frame.origin)),
        m_step=_m_step(estimator, before),
    )


def _m_step(estimator: FittedMixture, before: Predictor) -> MStep:
    """The M-step of the model's fit: with its prior and beside its fixed parts."""
    if estimator.prior is None and estimator.fixed is None:
        return maximum_likelihood
    mixture, frame, moments = before.mixture, before.frame, estimator._moments  # noqa: SLF001
    plan = start_plan(estimator, mixture.n_features)
    prior = checked_prior(estimator.prior)
    if moments is None and prior is not None and (prior.mean is None or prior.scale is None):
        raise ConfigurationError(
            "The prior takes its mean or scale from the rows that were fitted, and the model holds "
            "no moments of them.",
            "Give both in a daskgmm.Prior, or fit the model again with daskgmm.",
        )
    statistics = remembered(moments, mixture, frame)
    found = estimator._estimation(plan, mixture.n_features).m_step(frame, statistics)  # noqa: SLF001
    if isinstance(found, BesideFixed) and not found.stand_in(mixture):
        raise ConfigurationError(
            "The parts that are fixed are not those of the model.",
            "Its components are in another order than the start values, or one of both was "
            "changed: give fixed, weights_init, means_init and precisions_init anew.",
        )
    return found


def _deviations(mixture: Mixture) -> Doubles:
    """Standard deviations (D,) of the features under a mixture, without its noise."""
    mixture = mixture.beside(None)
    spread = mixture.means - mixture.weights @ mixture.means
    return np.sqrt(mixture.weights @ (mixture.deviations**2 + spread**2))


def _adopt(
    estimator: FittedMixture,
    found: Increment,
    em_settings: EMSettings,
    rows: NewRows,
    seconds: float,
) -> None:
    before = rows.before
    bound = em_settings.m_step.bound(before.mixture, found.moments, found.mixture)
    bound += found.fresh.lower_bound - found.moments.lower_bound  # that of the new rows
    last = getattr(estimator, "lower_bound_", float("-inf"))
    step = EMStep(before.mixture, found.mixture, last, bound, em_settings.deviations)
    bounds = (*getattr(estimator, "lower_bounds_", ()), bound)
    trace = Trace(found.mixture, found.moments, bounds, last, em_settings.stopping.change(step))
    state = FitState(1, (trace,), found.fresh.rows, seconds)
    for callback in estimator.callbacks:
        callback(state)
    estimator._predictor = replace(  # noqa: SLF001
        before, mixture=found.mixture, missing=rows.missing
    )
    estimator._moments = found.moments  # noqa: SLF001
    estimator.n_iter_ += 1
    estimator.lower_bounds_ = list(bounds)
    estimator.lower_bound_ = bound
    estimator.n_rows_ = getattr(estimator, "n_rows_", 0) + state.rows
    estimator.n_rows_dropped_ = getattr(estimator, "n_rows_dropped_", 0) + rows.dropped
    estimator.n_passes_ = getattr(estimator, "n_passes_", 0) + rows.passes
    estimator.history_ = [
        *getattr(estimator, "history_", ()),
        _entry(estimator.n_iter_, state, rows),
    ]


def _entry(iteration: int, state: FitState, rows: NewRows) -> dict[str, Any]:
    """Entry of the step in ``history_``."""
    return {
        "iteration": iteration,
        "lower_bound": state.best.lower_bound,
        "change": state.best.change,
        "seconds": state.seconds,
        "rows": state.rows,
        "bytes_read": state.rows * rows.source.n_features * rows.dtype.itemsize,
    }


class PartialFit:
    """Mixin with `partial_fit`."""

    def partial_fit(  # noqa: PYI019  the mixin needs what only the whole estimator has
        self: Fitted, X: Any, y: Any = None, sample_weight: Any = None, forgetting: float = 1.0
    ) -> Fitted:
        """Refresh the mixture with new rows: one step of EM, in one pass over them.

        The E-step computes the moments of the new rows under the current mixture. They are added
        to the moments of all earlier rows, which the model and its file hold, times `forgetting`;
        the M-step computes the new mixture from the sums. With ``forgetting=1`` earlier rows keep
        their responsibilities: this is incremental EM in which each batch is seen once (Neal and
        Hinton, 1998), or online EM with the new rows' share of all weight as its step, the
        running mean of statistics (Cappé and Moulines, 2009). A prior counts as in a fit, with
        numbers that it leaves to the rows from those that the model remembers; fixed parts stay.
        Below 1, earlier moments fade by
        that factor at each call: the decaying statistics that Neal and Hinton describe after
        Nowlan (1991). With 0 the step is one of plain EM on the new rows alone.

        An estimator that is not fitted yet is fitted to these rows by `fit`.

        Parameters
        ----------
        X : array, frame, dask collection or dataset of shape (n, D)
            New rows, one or more, with finite values; see `missing` for others.
        y : array-like or dask array of shape (n,), optional
            Sample weights given by position, as in ``partial_fit(rows, weights)``; scikit-learn
            requires this name for the second parameter.
        sample_weight : array-like or dask array of shape (n,), optional
            Sample weights; if given, `y` is ignored.
        forgetting : float in [0, 1], default 1.0
            Factor on the moments of all earlier rows.

        Returns
        -------
        self
            `n_rows_` grows by the number of new rows, `n_iter_`, `lower_bounds_` and `history_`
            by one step. `lower_bound_` is that of the new rows before the step. `converged_`
            does not change.

        Raises
        ------
        ConfigurationError
            `forgetting` is out of range, or it is not 0 and the model holds no moments.
        DataError
            The columns differ from those fitted, there are no rows, or `fit` would refuse them.
        """
        weights = y if sample_weight is None else sample_weight
        check_forgetting(forgetting)
        if not self.__sklearn_is_fitted__():
            return self.fit(X, sample_weight=weights)
        update(self, X, weights, forgetting)
        return self
