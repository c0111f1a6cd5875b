"""Candidates of a selection: their common fit, their results, and warnings of poor starts."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskgmm.data.source import Source
from daskgmm.estimators.gaussian_mixture import GaussianMixture
from daskgmm.estimators.parameters import random_numbers
from daskgmm.fitting.criteria import Score, scores
from daskgmm.fitting.fit import Fit
from daskgmm.fitting.settings import Candidate, Settings
from daskgmm.fitting.stored.checkpoint import Checkpoint
from daskgmm.model.kernels.compiled import compile_densities_ahead
from daskgmm.model.scoring import Scoring
from daskgmm.passes.cache.choose import kept
from daskgmm.training.states import ROUNDING, FitState, StopReason, Trace


@dataclass(frozen=True, eq=False)
class CandidateResult:
    """Result of one start of a candidate.

    Parameters
    ----------
    estimator : GaussianMixture
        Fitted, unless the start collapsed.
    start : int
        Number among the candidate's starts, from 0.
    trace : Trace or None
        ``None`` if all starts of the candidate collapsed before the first pass.
    score : Score or None
        Score on the rows of the fit; ``None`` if the start collapsed.
    """

    estimator: GaussianMixture
    start: int
    trace: Trace | None
    score: Score | None = None

    @property
    def stopped(self) -> StopReason | None:
        """Reason why the start stopped."""
        return StopReason.COLLAPSED if self.trace is None else self.trace.stopped

    def criterion(self, name: str) -> float:
        """Value of a criterion; NaN if the start collapsed."""
        return float("nan") if self.score is None else float(getattr(self.score, name))

    def row(self) -> dict[str, Any]:
        """Row of ``results_``."""
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
    checkpoint: Checkpoint,
) -> Iterator[Fit]:
    """Make the first pass for all candidates, or continue from the progress in the checkpoint.

    Candidates differ only in number of components and covariance type. Rows are cached while the
    block runs.
    """
    first = estimators[0]
    settings = Settings.of(first, candidates, dtype, in_stretches=checkpoint.keeps)
    with kept(source, first.cache, settings.task(source)) as rows, checkpoint:
        yield Fit(rows, settings, random_numbers(first.random_state), checkpoint, advanced)


def outcomes_of(fit: Fit, estimators: Sequence[GaussianMixture]) -> list[CandidateResult]:
    """Results of a fit with one candidate for each estimator, scored in one more pass.

    The pass is added to ``fit.passes``.
    """
    progress = fit.progress
    outcomes = []
    traces = zip(progress.state.traces, progress.histories, strict=True)
    candidates = zip(estimators, progress.counts, progress.refinements, strict=True)
    for template, starts, refinement in candidates:
        if not starts:
            outcomes.append(CandidateResult(template, 0, None))
        for number in range(starts):
            trace, history = next(traces)
            estimator = GaussianMixture(**template.get_params(deep=False))
            if trace.stopped is not StopReason.COLLAPSED:
                estimator._adopt(fit, trace, history, refinement)  # noqa: SLF001  of one family
            outcomes.append(CandidateResult(estimator, number, trace))
    return _scored(fit, outcomes)


def advanced(state: FitState) -> list[Trace | None]:
    """Traces that the last pass advanced; ``None`` for those that had stopped before."""
    done = state.iteration
    return [trace if len(trace.lower_bounds) == done else None for trace in state.traces]


def _scored(fit: Fit, outcomes: Sequence[CandidateResult]) -> list[CandidateResult]:
    standing = [one for one in outcomes if one.stopped is not StopReason.COLLAPSED]
    mixtures = tuple(one.trace.mixture for one in standing if one.trace is not None)
    if fit.compiled:  # in this process, so that workers of this machine need not compile
        compile_densities_ahead(fit.source.dtype, fit.settings.dtype)
    own = fit.settings
    question = Scoring(mixtures, fit.standardised.frame, own.dtype, fit.compiled, own.missing)
    found = iter(scores(fit.source, question))
    fit.passes += 1
    return [replace(one, score=next(found)) if one in standing else one for one in outcomes]


def index_of_best(outcomes: Sequence[CandidateResult], criterion: str) -> int:
    """Position of the outcome with the lowest criterion; the first of equal ones.

    Values that differ only by rounding count as equal.
    """
    values = np.array([outcome.criterion(criterion) for outcome in outcomes])
    least = float(np.nanmin(values))
    return int(np.argmax(values <= least + ROUNDING * max(1.0, abs(least))))


@dataclass(frozen=True)
class Shortfall:
    """Candidate that ended at a lower likelihood than one with fewer components.

    Any mixture can be written with more components, so a better fit exists.

    Parameters
    ----------
    n_components : int
    covariance_type : str
    fewer : int
        Number of components of the smaller candidate.
    """

    n_components: int
    covariance_type: str
    fewer: int

    def __str__(self) -> str:
        return f"K = {self.n_components} ({self.covariance_type}) ended below K = {self.fewer}"


def shortfalls(results: Sequence[Mapping[str, Any]], best: int, tol: float) -> list[Shortfall]:
    """Find candidates that converged more than `tol` below a smaller one of the same type.

    Candidates with more components than the next larger number after the best one's are left out,
    as better fits of them would hardly be chosen.

    Parameters
    ----------
    results : sequence of mapping
        Rows of ``results_``; the best of several starts counts.
    best : int
        Position of the chosen row.
    tol : float
        Mean log-likelihood a row (nats) by which a converged fit may be below its maximum.
    """
    chosen = results[best]["n_components"]
    numbers = {row["n_components"] for row in results}
    most = min((number for number in numbers if number > chosen), default=chosen)
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in results:
        bound, number = row["lower_bound"], row["n_components"]
        ended = found.setdefault(row["covariance_type"], {})
        if (
            number <= most and bound is not None and not math.isnan(bound)
        ):  # None or NaN if it collapsed
            ended[number] = max(row, ended.get(number, row), key=_bound)
    return [one for kind, ended in found.items() for one in _of_one_type(kind, ended, tol)]


def shortfall_warning(found: Sequence[Shortfall], remedy: str) -> str:
    """Text of the warning about one or more shortfalls."""
    whose = "its start was" if len(found) == 1 else "their starts were"
    return f"{'; '.join(map(str, found))}: {whose} poor. {remedy}"


def _of_one_type(
    kind: str, ended: Mapping[int, Mapping[str, Any]], tol: float
) -> Iterable[Shortfall]:
    highest: int | None = None
    for number in sorted(ended):
        if highest is None or _bound(ended[number]) >= _bound(ended[highest]):
            highest = number
        elif ended[number]["converged"] and _bound(ended[number]) < _bound(ended[highest]) - tol:
            yield Shortfall(number, kind, highest)


def _bound(row: Mapping[str, Any]) -> float:
    return float(row["lower_bound"])
