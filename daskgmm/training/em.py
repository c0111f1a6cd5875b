"""The EM loop, as a generator of fit states. It never sees where the rows are."""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np

from daskgmm.errors import CollapsedComponentError, DataError
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.noise import Noise
from daskgmm.model.precision import step_suffices
from daskgmm.model.typing import Doubles
from daskgmm.training.acceleration import Acceleration, plain
from daskgmm.training.m_step import MStep, Regularisation, maximum_likelihood
from daskgmm.training.states import FitState, StopReason, Trace
from daskgmm.training.stopping import EMStep, Rule

logger = logging.getLogger(__name__)

Origins: TypeAlias = "tuple[Doubles, ...] | None"


class Expect(Protocol):
    """Protocol of one pass over all rows."""

    def __call__(self, mixtures: Sequence[Mixture], origins: Origins = None) -> list[Moments]:
        """Moments of each mixture; about `origins` where they are given."""


@dataclass(frozen=True, eq=False)
class EMSettings:
    """Settings of EM: how to take steps and when to stop.

    Parameters
    ----------
    tol : float
        A start has converged when its change is smaller.
    max_iter : int
        Most passes.
    stopping : Rule
        What is held against `tol`.
    ridge : ndarray of shape (D,)
        Added to the covariances' diagonals, in the frame's units.
    deviations : ndarray of shape (D,)
        The features' standard deviations, in the frame's units.
    dtype : dtype
        What rows are computed in.
    accelerate : callable
        See `daskgmm.training.acceleration`.
    zero : ndarray of shape (D,) or None
        Where the data's own zero lies in the frame; ``None`` for its origin.
    m_step : MStep
        What is maximised.
    noise : Noise or None
        Noise that starts have beside their components.
    """

    tol: float
    max_iter: int
    stopping: Rule
    ridge: Doubles
    deviations: Doubles
    dtype: np.dtype[np.floating]
    accelerate: Acceleration = plain
    zero: Doubles | None = None
    m_step: MStep = maximum_likelihood
    noise: Noise | None = None

    def maximise(self, mixture: Mixture, moments: Moments) -> Mixture:
        """M-step from moments under `mixture`."""
        with self._advice_on_precision():
            return self.m_step.maximise(mixture, moments, self._regularisation)

    def first_mixture(self, covariance: Covariance, moments: Moments) -> Mixture:
        """First mixture of a start, from moments under its responsibilities."""
        with self._advice_on_precision():
            return self.m_step.first_mixture(covariance, moments, self._regularisation)

    @property
    def _regularisation(self) -> Regularisation:
        return Regularisation(self.ridge, float(np.finfo(self.dtype).eps), self.zero)

    @contextmanager
    def _advice_on_precision(self) -> Iterator[None]:
        try:
            yield
        except CollapsedComponentError as error:
            if self.dtype == np.float64:
                raise
            raise CollapsedComponentError(
                error.cause,
                f"{error.remedy} The fit computes in float32: "
                'dtype="float64" cures a collapse that is only rounding.',
            ) from error


def em(traces: Sequence[Trace], expect: Expect, settings: EMSettings) -> Iterator[FitState]:
    """Advance all starts together until each has converged, collapsed or used up its passes.

    Parameters
    ----------
    traces : sequence of Trace
        Where each start stands; a fresh one holds a mixture only.
    expect : callable
        One pass over all rows for any number of mixtures.
    settings : EMSettings

    Yields
    ------
    FitState
        One after each pass; starts that have stopped stay in it as they are.

    Raises
    ------
    CollapsedComponentError
        Every start has collapsed.
    DataError
        The likelihood is not a number.
    """
    if all(trace.stopped for trace in traces):
        return
    made = max(len(trace.lower_bounds) for trace in traces)
    for iteration in range(made + 1, settings.max_iter + 1):
        began = time.perf_counter()
        running = [index for index, trace in enumerate(traces) if trace.stopped is None]
        moments, outcomes = advance([traces[i].next_mixture for i in running], expect, settings)
        updated = list(traces)
        for index, found, outcome in zip(running, moments, outcomes, strict=True):
            updated[index] = _judge(traces[index], found, outcome, settings, iteration)
        traces = tuple(updated)
        _refuse_if_all_collapsed(traces, outcomes)
        seconds = time.perf_counter() - began
        state = FitState(iteration, traces, moments[0].rows, seconds)
        yield state
        if state.finished:
            return


def advance(
    mixtures: Sequence[Mixture], expect: Expect, settings: EMSettings
) -> tuple[list[Moments], list[Mixture | CollapsedComponentError]]:
    """Take one EM step from each mixture; a collapse is returned as an outcome.

    Where the moments' origins were too far from the new means to leave the covariances their
    digits, or single precision has left them none, the pass is repeated about the new means, in
    double precision: no rounding of single precision decides on a collapse.
    """
    moments = expect(mixtures)
    outcomes = [_attempt(settings, *pair) for pair in zip(mixtures, moments, strict=True)]
    blurred = [
        index
        for index, (outcome, found) in enumerate(zip(outcomes, moments, strict=True))
        if isinstance(outcome, CollapsedComponentError)
        or not step_suffices(mixtures[index], outcome, found, settings.dtype)
    ]
    if blurred:
        again = expect(
            [mixtures[index] for index in blurred],
            tuple(moments[index].means for index in blurred),
        )
        for index, found in zip(blurred, again, strict=True):
            moments[index] = found
            outcomes[index] = _attempt(settings, mixtures[index], found)
    return moments, outcomes


def _attempt(
    settings: EMSettings, mixture: Mixture, moments: Moments
) -> Mixture | CollapsedComponentError:
    try:
        return settings.maximise(mixture, moments)
    except CollapsedComponentError as error:
        return error


def _judge(
    trace: Trace,
    moments: Moments,
    outcome: Mixture | CollapsedComponentError,
    settings: EMSettings,
    iteration: int,
) -> Trace:
    if trace.acceleration.trial is None:
        judged = _stepped(trace, moments, outcome, settings, iteration)
    else:
        judged = _tried(trace, moments, outcome, settings)
    if judged.stopped is None and iteration == settings.max_iter:
        return replace(judged, stopped=StopReason.MAX_ITER)
    return judged


def _stepped(
    trace: Trace,
    moments: Moments,
    outcome: Mixture | CollapsedComponentError,
    settings: EMSettings,
    iteration: int,
) -> Trace:
    """Trace after a plain EM step; only such a step can show that a start has converged."""
    if not math.isfinite(moments.lower_bound):
        raise DataError(
            f"The log-likelihood became {moments.lower_bound} in pass {iteration}.",
            "The rows' values are too large to be squared: scale the features.",
        )
    if isinstance(outcome, CollapsedComponentError):
        logger.warning("A start was given up in pass %d. %s", iteration, outcome)
        return replace(trace, stopped=StopReason.COLLAPSED)
    bound = settings.m_step.bound(trace.mixture, moments, outcome)
    unit = settings.m_step.unit
    earlier = trace.lower_bounds[-2] if len(trace.lower_bounds) > 1 else -math.inf
    bounds = [unit * one for one in (trace.lower_bound, bound, earlier)]
    step = EMStep(trace.mixture, outcome, bounds[0], bounds[1], settings.deviations, bounds[2])
    change = settings.stopping.change(step)
    converged = settings.stopping.is_met(change, settings.tol, tried=trace.acceleration.tried)
    return replace(
        _taken(trace, moments, outcome, bound, settings),
        change=change,
        stopped=StopReason.CONVERGED if converged else None,
    )


def _tried(
    trace: Trace, moments: Moments, outcome: Mixture | CollapsedComponentError, settings: EMSettings
) -> Trace:
    """Trace after a trial: go on from it, or from where EM stood if the trial is worse."""
    bound = math.nan
    if isinstance(outcome, Mixture):
        bound = settings.m_step.bound(trace.next_mixture, moments, outcome)
        # A bound that is no number has fallen too.
        risen = trace.lower_bound <= bound < math.inf
        if risen and trace.acceleration.leads_on(trace.mixture, outcome):
            return _taken(trace, moments, outcome, bound, settings)
    logger.debug("A trial was refused: %s against %s.", bound, trace.lower_bound)
    return replace(
        trace,
        lower_bounds=(*trace.lower_bounds, trace.lower_bound),
        acceleration=trace.acceleration.closer(),
    )


def _taken(
    trace: Trace, moments: Moments, outcome: Mixture, bound: float, settings: EMSettings
) -> Trace:
    gain = bound - trace.lower_bound
    return replace(
        trace,
        mixture=outcome,
        moments=moments,
        lower_bounds=(*trace.lower_bounds, bound),
        acceleration=settings.accelerate(trace.acceleration, trace.next_mixture, outcome, gain),
    )


def _refuse_if_all_collapsed(
    traces: Sequence[Trace], outcomes: Sequence[Mixture | CollapsedComponentError]
) -> None:
    if all(trace.stopped is StopReason.COLLAPSED for trace in traces):
        raise next(one for one in outcomes if isinstance(one, CollapsedComponentError))
