"""How estimators look in a notebook.

What ``verbose`` prints, in scikit-learn's words.
"""

import math
import time
from collections.abc import Sequence
from typing import Any

from sklearn.base import BaseEstimator

from daskgmm.monitoring.phrases import ended
from daskgmm.training.states import FitState, StopReason, Trace

_WIDTH, _HEIGHT, _MARGIN = 320, 80, 6

_FIGURE = """\
<figure style="margin: 4px 0; display: inline-block; font: 12px sans-serif">
<figcaption>{caption}</figcaption>
<svg role="img" aria-label="Lower bound of each pass" width="{width}" height="{height}"
 viewBox="0 0 {width} {height}" fill="none" stroke="currentColor">
<line x1="0" y1="{floor}" x2="{width}" y2="{floor}" stroke-opacity="0.3"/>
<polyline points="{points}" stroke="#0072b2" stroke-width="2"/>
{dots}
</svg>
</figure>"""

_DOT = '<circle cx="{}" cy="{}" r="2.5" fill="#0072b2" stroke="none"/>'
_MOST_DOTS = 40


class Shown(BaseEstimator):
    """An estimator whose picture, once it is fitted, has the course of the fit beside it."""

    def _html_repr(self) -> str:
        """scikit-learn's own, which notebooks show, and the course."""
        shown: str = super()._html_repr()
        best = getattr(self, "best_estimator_", self)
        bounds = getattr(best, "lower_bounds_", ())
        return shown + course(best) if len(bounds) else shown


def course(model: Any) -> str:
    """Small figure (HTML) of the lower bound of each pass of a fitted mixture."""
    bounds = [float(bound) for bound in model.lower_bounds_]
    count = len(bounds)
    state = "converged" if model.converged_ else "max_iter"
    points = _points(bounds)
    dots = points if count <= _MOST_DOTS else points[-1:]
    return _FIGURE.format(
        caption=ended(state, count, bound=bounds[-1]),
        width=_WIDTH,
        height=_HEIGHT,
        floor=_HEIGHT - 1,
        points=" ".join(f"{x},{y}" for x, y in points),
        dots="".join(_DOT.format(x, y) for x, y in dots),
    )


def _points(values: Sequence[float]) -> list[tuple[float, float]]:
    """Where they are drawn; those that are not finite are left out."""
    finite = [(place, value) for place, value in enumerate(values) if math.isfinite(value)]
    least, most = min(v for _, v in finite), max(v for _, v in finite)
    across = (_WIDTH - 2 * _MARGIN) / max(len(values) - 1, 1)
    up = (_HEIGHT - 2 * _MARGIN) / (most - least) if most > least else 0.0
    return [
        (round(_MARGIN + across * place, 1), round(_HEIGHT - _MARGIN - up * (value - least), 1))
        for place, value in finite
    ]


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
