"""A fit and those who watch it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias
from uuid import uuid4

from daskgmm.data.source import Source
from daskgmm.estimators.display import Narrator
from daskgmm.fitting.fit import Fit
from daskgmm.fitting.settings import Candidate
from daskgmm.monitoring.observer import About, Ending, Observer, Pass, Reason
from daskgmm.monitoring.observers import Guarded, usual
from daskgmm.passes.engine.client import settled
from daskgmm.passes.engine.keys import apart, made_for
from daskgmm.training.states import FitState, StopReason

Callback: TypeAlias = Callable[[FitState], object] | Observer
"""What the parameter ``callbacks`` takes."""


class Watch:
    """Those who hear of a fit: observers, which can't fail it, and plain callbacks, which can.

    Parameters
    ----------
    estimator : GaussianMixture or GaussianMixtureSelector
        Its parameters tell who.
    outside : callable
        Gives a context manager, in whose block passes run as they would without the fit.
    """

    def __init__(self, estimator: Any, outside: Callable[[], AbstractContextManager[None]]) -> None:
        callbacks = tuple(estimator.callbacks)
        own = [one for one in callbacks if isinstance(one, Observer)]
        self.observers = Guarded([*usual(), *own])
        self._callbacks = [one for one in callbacks if not isinstance(one, Observer)]
        self._verbose = (estimator.verbose, estimator.verbose_interval)
        self._outside = outside
        self._last: FitState | None = None

    def follow(self, fit: Fit) -> None:
        """Run the fit to its end; all hear of each pass."""
        narrator = Narrator(*self._verbose, fit.traces)
        for state in fit.states():
            self._last = state
            narrator.tell(state)
            self.observers.tell(
                Pass(state, fit.standardised.frame, fit.passes, fit.bytes_of(state))
            )
            with apart(), self._outside():
                for callback in self._callbacks:
                    callback(state)

    @property
    def reason(self) -> Reason:
        """How the fit ended."""
        best = None if self._last is None else self._last.best
        stopped_early = best is not None and best.stopped is not StopReason.CONVERGED
        return Reason.MAX_ITER if stopped_early else Reason.CONVERGED


@contextmanager
def watched(estimator: Any, candidates: Sequence[Candidate], source: Source) -> Iterator[Watch]:
    """Tell those who watch of the fit in the block, from its beginning to its end."""
    with settled() as outside, made_for(uuid4().hex) as run_id:
        watch, began = Watch(estimator, outside), time.perf_counter()

        def end(reason: Reason, **more: Any) -> None:
            watch.observers.end(Ending(reason, time.perf_counter() - began, **more))

        watch.observers.start(_about(run_id, estimator, candidates, source))
        try:
            yield watch
        except BaseException as error:
            failed = isinstance(error, Exception)
            reason = Reason.FAILED if failed else Reason.INTERRUPTED
            end(reason, message=str(error), error=type(error))
            raise
        end(watch.reason, estimator=estimator)


def _about(run_id: str, estimator: Any, candidates: Sequence[Candidate], source: Source) -> About:
    plans = [candidate.plan for candidate in candidates]
    return About(
        run_id,
        type(estimator).__name__,
        estimator.get_params(deep=False),
        tuple((plan.n_components, plan.covariance.name) for plan in plans),
        None if source.lengths is None else sum(source.lengths),
        source.n_features,
        source.columns,
        len(source.parts),
    )
