"""What ``verbose`` prints, in scikit-learn's words."""

import time
from collections.abc import Sequence

from daskgmm.training.states import FitState, StopReason, Trace


class Narrator:
    """Prints the course of a fit.

    Parameters
    ----------
    verbose : int
        0 nothing, 1 passes, 2 also times and changes.
    interval : int
        Print every so many passes.
    starts : sequence of Trace
        They advance together; those that have stopped are told of no more.
    """

    def __init__(self, verbose: int, interval: int, starts: Sequence[Trace]) -> None:
        self.verbose = verbose
        self.interval = interval
        self.began = time.perf_counter()
        self.ended = {index for index, one in enumerate(starts) if one.stopped is not None}
        for index in range(len(starts)):
            if index not in self.ended:
                self._say(f"Initialization {index}")

    def tell(self, state: FitState) -> None:
        """Print what there is to say of a pass."""
        if state.iteration % self.interval == 0:
            detail = ""
            if self.verbose > 1:
                change = state.best.change
                detail = f"\t time lapse {state.seconds:.5f}s\t ll change {change:.5f}"
            self._say(f"  Iteration {state.iteration}{detail}")
        for index, trace in enumerate(state.traces):
            if trace.stopped is not None and index not in self.ended:
                self.ended.add(index)
                converged = trace.stopped is StopReason.CONVERGED
                outcome = "converged" if converged else "did not converge"
                detail = ""
                if self.verbose > 1:
                    lapse = time.perf_counter() - self.began
                    detail = f" time lapse {lapse:.5f}s\t lower bound {trace.lower_bound:.5f}."
                self._say(f"Initialization {outcome}.{detail}")

    def _say(self, text: str) -> None:
        if self.verbose > 0:
            print(text)  # noqa: T201  this is what verbose is for
