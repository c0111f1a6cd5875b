"""Candidates that advance together, and what came of each."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskgmm.data.source import Source
from daskgmm.estimators.gaussian_mixture import GaussianMixture
from daskgmm.estimators.memory import Memory
from daskgmm.estimators.parameters import random_numbers
from daskgmm.fitting.criteria import Score, scores
from daskgmm.fitting.fit import Fit
from daskgmm.fitting.settings import Candidate, Settings
from daskgmm.model.kernels.compiled import compile_densities_ahead
from daskgmm.model.scoring import Scoring
from daskgmm.passes.cache.choose import kept
from daskgmm.training.states import ROUNDING, FitState, StopReason, Trace


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of one start of a candidate.

    Parameters
    ----------
    estimator : GaussianMixture
        Fitted, unless it collapsed.
    start : int
        Which of the candidate's starts, from 0.
    trace : Trace or None
        ``None`` where all of them collapsed before the first pass.
    score : Score or None
        On the rows of the fit; ``None`` where it collapsed.
    """

    estimator: GaussianMixture
    start: int
    trace: Trace | None
    score: Score | None = None

    @property
    def stopped(self) -> StopReason | None:
        """Why it stopped."""
        return StopReason.COLLAPSED if self.trace is None else self.trace.stopped

    def criterion(self, name: str) -> float:
        """A criterion's value; NaN where it collapsed."""
        return float("nan") if self.score is None else float(getattr(self.score, name))

    def row(self) -> dict[str, Any]:
        """Its row of the results."""
        bounds = () if self.trace is None else self.trace.lower_bounds
        collapsed = self.stopped is StopReason.COLLAPSED
        return {
            "n_components": self.estimator.n_components,
            "covariance_type": self.estimator.covariance_type,
            "start": self.start,
            "lower_bound": float("nan") if collapsed or not bounds else bounds[-1],
            "bic": self.criterion("bic"),
            "aic": self.criterion("aic"),
            "icl": self.criterion("icl"),
            "n_iter": len(bounds),
            "converged": self.stopped is StopReason.CONVERGED,
        }


@contextmanager
def begun(
    estimators: Sequence[GaussianMixture],
    candidates: tuple[Candidate, ...],
    source: Source,
    dtype: np.dtype[Any],
    memory: Memory,
) -> Iterator[Fit]:
    """Make the first pass for all candidates, or go on from what the memory brings.

    They share all parameters but those that make them different candidates. Rows are cached for
    the length of the block.
    """
    first = estimators[0]
    settings = Settings.of(first, candidates, dtype)
    with kept(source, first.cache, settings.task(source)) as rows, memory:
        yield Fit(rows, settings, random_numbers(first.random_state), memory, advanced)


def outcomes_of(fit: Fit, estimators: Sequence[GaussianMixture]) -> list[Outcome]:
    """What came of a fit of one candidate for each estimator, scored.

    One pass more scores all; `fit` counts it.
    """
    progress = fit.progress
    outcomes = []
    traces = zip(progress.state.traces, progress.histories, strict=True)
    for template, starts in zip(estimators, progress.counts, strict=True):
        if not starts:
            outcomes.append(Outcome(template, 0, None))
        for number in range(starts):
            trace, history = next(traces)
            estimator = GaussianMixture(**template.get_params(deep=False))
            if trace.stopped is not StopReason.COLLAPSED:
                estimator._adopt(fit, trace, history)  # noqa: SLF001  estimators of one family
            outcomes.append(Outcome(estimator, number, trace))
    return _scored(fit, outcomes)


def advanced(state: FitState) -> list[Trace | None]:
    """The traces that a pass has brought further; ``None`` for those that stopped before."""
    done = state.iteration
    return [trace if len(trace.lower_bounds) == done else None for trace in state.traces]


def _scored(fit: Fit, outcomes: Sequence[Outcome]) -> list[Outcome]:
    standing = [one for one in outcomes if one.stopped is not StopReason.COLLAPSED]
    mixtures = tuple(one.trace.mixture for one in standing if one.trace is not None)
    if fit.compiled:  # here, so that workers beside need not compile side by side
        compile_densities_ahead(fit.source.dtype, fit.settings.dtype)
    question = Scoring(mixtures, fit.foundation.frame, fit.settings.dtype, fit.compiled)
    found = iter(scores(fit.source, question))
    fit.passes += 1
    return [replace(one, score=next(found)) if one in standing else one for one in outcomes]


def best_of(outcomes: Sequence[Outcome], criterion: str) -> int:
    """Position of the outcome with the least criterion; the first of those that equal it.

    As with lower bounds, what differs in the last digits only must not decide.
    """
    values = np.array([outcome.criterion(criterion) for outcome in outcomes])
    least = float(np.nanmin(values))
    return int(np.argmax(values <= least + ROUNDING * max(1.0, abs(least))))
