"""Observers and callbacks of a fit, and the output of ``verbose``."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias
from uuid import uuid4

from daskgmm.data.source import Source
from daskgmm.fitting.fit import Fit
from daskgmm.fitting.protocols import Estimator
from daskgmm.fitting.settings import Candidate
from daskgmm.monitoring.default_observers import ObserverGroup, default_observers
from daskgmm.monitoring.observer import FitEnd, FitPass, FitStart, Observer, Reason
from daskgmm.passes.engine.client import settled
from daskgmm.passes.engine.keys import apart, made_for
from daskgmm.training.states import FitState, StopReason, Trace

Callback: TypeAlias = Callable[[FitState], object] | Observer
"""Member of the parameter ``callbacks``."""


class Watch:
    """Notifies observers, whose errors don't end the fit, and callbacks, whose errors do.

    Parameters
    ----------
    estimator : GaussianMixture or GaussianMixtureSelector
        Estimator with the observers and callbacks.
    outside : callable
        Returns a context manager in which passes run on the client from before the fit.
    """

    def __init__(
        self, estimator: Estimator, outside: Callable[[], AbstractContextManager[None]]
    ) -> None:
        callbacks = tuple(estimator.callbacks)
        own = [one for one in callbacks if isinstance(one, Observer)]
        self.observers = ObserverGroup([*default_observers(), *own])
        self._callbacks = [one for one in callbacks if not isinstance(one, Observer)]
        self._verbose = (estimator.verbose, estimator.verbose_interval)
        self._outside = outside
        self._last: FitState | None = None

    def begin(self, fit: Fit) -> Callable[[FitState], None]:
        """Return a function that notifies observers and callbacks of each pass of the fit."""
        refinements = tuple(one for one in fit.progress.refinements if one is not None)
        printer = VerbosePrinter(*self._verbose, fit.traces)

        def notify(state: FitState) -> None:
            self._last = state
            printer.print_pass(state)
            self.observers.tell(
                FitPass(state, fit.standardised.frame, fit.passes, fit.bytes_of(state), refinements)
            )
            with apart(), self._outside():
                for callback in self._callbacks:
                    callback(state)

        return notify

    @property
    def reason(self) -> Reason:
        """Reason why the fit ended."""
        best = None if self._last is None else self._last.best
        stopped_early = best is not None and best.stopped is not StopReason.CONVERGED
        return Reason.MAX_ITER if stopped_early else Reason.CONVERGED


@contextmanager
def watched(
    estimator: Estimator, candidates: Sequence[Candidate], source: Source
) -> Iterator[Watch]:
    """Notify observers of the start and end of the fit in the block."""
    with settled() as outside, made_for(uuid4().hex) as run_id:
        watch, began = Watch(estimator, outside), time.perf_counter()

        def end(reason: Reason, **more: Any) -> None:
            watch.observers.end(FitEnd(reason, time.perf_counter() - began, **more))

        watch.observers.start(_about(run_id, estimator, candidates, source))
        try:
            yield watch
        except BaseException as error:
            failed = isinstance(error, Exception)
            reason = Reason.FAILED if failed else Reason.INTERRUPTED
            end(reason, message=str(error), error=type(error))
            raise
        end(watch.reason, estimator=estimator)


def _about(
    run_id: str, estimator: Estimator, candidates: Sequence[Candidate], source: Source
) -> FitStart:
    plans = [candidate.plan for candidate in candidates]
    return FitStart(
        run_id,
        type(estimator).__name__,
        estimator.get_params(deep=False),
        tuple((plan.n_components, plan.covariance.name) for plan in plans),
        None if source.lengths is None else sum(source.lengths),
        source.n_features,
        source.columns,
        len(source.parts),
    )


class VerbosePrinter:
    """Prints the course of a fit as scikit-learn's ``verbose`` does.

    Parameters
    ----------
    verbose : int
        0 prints nothing, 1 passes, 2 also times and changes.
    interval : int
        Number of passes from one line to the next.
    starts : sequence of Trace
        Starts, which advance together; one that has stopped already is not printed again.
    """

    def __init__(self, verbose: int, interval: int, starts: Sequence[Trace]) -> None:
        self.verbose = verbose
        self.interval = interval
        self.began = time.perf_counter()
        self.ended = {index for index, one in enumerate(starts) if one.stopped is not None}
        for index in range(len(starts)):
            if index not in self.ended:
                self._print(f"Initialization {index}")

    def print_pass(self, state: FitState) -> None:
        """Print a pass, and the starts that stopped in it."""
        if state.iteration % self.interval == 0:
            detail = ""
            if self.verbose > 1:
                change = state.best.change
                detail = f"\t time lapse {state.seconds:.5f}s\t ll change {change:.5f}"
            self._print(f"  Iteration {state.iteration}{detail}")
        for index, trace in enumerate(state.traces):
            if trace.stopped is not None and index not in self.ended:
                self.ended.add(index)
                converged = trace.stopped is StopReason.CONVERGED
                outcome = "converged" if converged else "did not converge"
                detail = ""
                if self.verbose > 1:
                    lapse = time.perf_counter() - self.began
                    detail = f" time lapse {lapse:.5f}s\t lower bound {trace.lower_bound:.5f}."
                self._print(f"Initialization {outcome}.{detail}")

    def _print(self, text: str) -> None:
        if self.verbose > 0:
            print(text)  # noqa: T201  the user asked for it with verbose
