"""From rows to fit states: survey, starts, EM."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Self

import numpy as np

from daskgmm.data.source import Source
from daskgmm.errors import CollapsedComponentError
from daskgmm.estimators.centres import with_centres
from daskgmm.estimators.soundness import require_sound
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.expectation import Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.compiled import compile_ahead
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles
from daskgmm.passes.blas import one_thread
from daskgmm.passes.bundles import bundled
from daskgmm.passes.expectation import expect
from daskgmm.passes.graph import Group
from daskgmm.passes.groups import group_measured, seconds_a_row
from daskgmm.passes.holding import held, held_groups
from daskgmm.passes.memory import Task, largest_block, largest_part
from daskgmm.passes.statistics import Statistics
from daskgmm.passes.survey import Request, Survey, survey
from daskgmm.training.acceleration import Acceleration
from daskgmm.training.em import Origins, Recipe, em
from daskgmm.training.starts import StartPlan
from daskgmm.training.states import FitState, Trace
from daskgmm.training.stopping import Step

SECONDS_WORTH_COMPILING = 0.05
"""Passes longer than this gain more from the compiled kernel than loading it takes."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A kind of mixture to fit, and where its starts come from.

    Parameters
    ----------
    plan : StartPlan
    sample_rows : int
        Rows to find starts on.
    resume_from : tuple of (Mixture, Frame, float) or None
        Fitted mixture, its frame and lower bound to go on from instead of starts.
    """

    plan: StartPlan
    sample_rows: int
    resume_from: tuple[Mixture, Frame, float] | None = None


@dataclass(frozen=True, eq=False)
class Settings:
    """What a fit is asked for, checked.

    Parameters
    ----------
    candidates : tuple of Candidate
        They share their passes.
    tol, reg_covar : float
    max_iter : int
    change : callable
        What `tol` is held against.
    accelerate : callable
        See `daskgmm.training.acceleration`.
    fit_on_sample : bool
        Whether EM runs on the sampled rows first, where they are not all there are.
    dtype : dtype
        What rows are computed in.
    """

    candidates: tuple[Candidate, ...]
    tol: float
    reg_covar: float
    max_iter: int
    change: Callable[[Step], float]
    accelerate: Acceleration
    fit_on_sample: bool
    dtype: np.dtype[np.floating[Any]]

    @property
    def covariances(self) -> dict[Covariance, int]:
        """The covariance types, each with its candidates' components together."""
        found: dict[Covariance, int] = {}
        for candidate in self.candidates:
            plan = candidate.plan
            found[plan.covariance] = found.get(plan.covariance, 0) + plan.n_components
        return found

    @property
    def needs_scatter(self) -> bool:
        """Whether a covariance type needs the rows' total second moments."""
        return any(covariance.needs_scatter for covariance in self.covariances)

    def frame(self, origin: Doubles, deviations: Doubles) -> Frame:
        """The frame that suits all covariance types.

        Scales are powers of two, so one that suits another type too leaves a mixture's
        parameters as they are, and its bounds but for rounding.
        """
        scale = deviations
        for covariance in self.covariances:
            scale = covariance.compatible_scale(scale)
        return Frame.around(origin, scale, self.dtype)

    def task(self, source: Source) -> Task:
        """Sizes of a task of the passes over a source, all starts together."""
        longest = max(one.quadratic_length(source.n_features) for one in self.covariances)
        plans = [candidate.plan for candidate in self.candidates]
        return Task(
            source.n_features,
            longest + source.n_features + 1,
            sum(plan.n_components * plan.n_init for plan in plans),
            largest_block(source),
            largest_part(source),
            source.dtype,
            self.dtype,
            decoded=source.decoded,
        )

    def recipe(self, frame: Frame, deviations: Doubles) -> Recipe:
        """How to take steps in this frame."""
        return Recipe(
            self.tol,
            self.max_iter,
            self.change,
            self.reg_covar / frame.scale**2,
            deviations / frame.scale,
            self.dtype,
            self.accelerate,
        )


@dataclass(frozen=True, eq=False)
class Foundation:
    """What the first pass leaves for the others.

    Parameters
    ----------
    frame : Frame
    recipe : Recipe
    scatter : ndarray of shape (D, D) or None
        Second moments about the frame's origin, in its units.
    """

    frame: Frame
    recipe: Recipe
    scatter: Doubles | None

    @classmethod
    def of(cls, statistics: Statistics, settings: Settings) -> Self:
        """Choose the frame for rows with these statistics."""
        frame = settings.frame(statistics.origin, statistics.deviations)
        scatter = None
        if settings.needs_scatter:
            second = statistics.about(frame.origin).second
            scatter = second / np.outer(frame.scale, frame.scale)
        return cls(frame, settings.recipe(frame, statistics.deviations), scatter)


@dataclass(frozen=True, eq=False)
class Started:
    """Where a candidate starts.

    Parameters
    ----------
    traces : tuple of Trace
    random : RandomState
        As the starts left it.
    collapse : CollapsedComponentError or None
        Why there are no starts.
    """

    traces: tuple[Trace, ...]
    random: np.random.RandomState
    collapse: CollapsedComponentError | None = None


@dataclass(frozen=True, eq=False)
class Preparation:
    """Turns a survey into a candidate's starts, wherever the sample is.

    Parameters
    ----------
    settings : Settings
    candidate : Candidate
        One of theirs.
    columns : tuple of str or None
        For errors.
    random : RandomState
        The candidate's own, so that its starts don't hang on which others there are.
    """

    settings: Settings
    candidate: Candidate
    columns: tuple[str, ...] | None
    random: np.random.RandomState

    def __call__(self, found: Survey) -> Started:
        """Check what was found, and find the starts."""
        most = max(candidate.plan.n_components for candidate in self.settings.candidates)
        require_sound(found, most, self.columns)
        try:
            return Started(self._traces(found), self.random)
        except CollapsedComponentError as error:
            return Started((), self.random, error)

    def _traces(self, found: Survey) -> tuple[Trace, ...]:
        assert found.statistics is not None and found.sample is not None  # noqa: PT018, S101  sound
        base = Foundation.of(found.statistics, self.settings)
        if self.candidate.resume_from is not None:
            mixture, old, bound = self.candidate.resume_from
            return (Trace(mixture.outside(old.seen_from(base.frame)), settled_bound=bound),)
        sample = found.sample.smallest(self.candidate.sample_rows).ordered()
        partial = self.settings.fit_on_sample and len(sample.rows) < found.rows
        drawn = self.candidate.plan.starts(
            sample.rows, sample.weights, base.frame, base.recipe, self.random, fit_on_sample=partial
        )
        return tuple(drawn)


class Fit:
    """One fit: a foundation and starts, then a stream of states.

    Parameters
    ----------
    source : Source
    settings : Settings
    random : RandomState
        Advanced as scikit-learn's would be.
    """

    def __init__(self, source: Source, settings: Settings, random: np.random.RandomState) -> None:
        self.source = held(source)
        self.passes = 1
        self.settings = settings
        # A look ahead must not disturb the numbers that the starts draw.
        seed = int(copy.deepcopy(random).randint(2**31))
        request = Request(
            seed,
            max(candidate.sample_rows for candidate in settings.candidates),
            settings.needs_scatter,
            source.dtype,
            None if source.lengths is None else sum(source.lengths),
        )
        prepare = [
            self._prepared(candidate, copy.deepcopy(random)) for candidate in settings.candidates
        ]
        self.survey, started = survey(self.source, request, prepare)
        assert self.survey.statistics is not None  # noqa: S101  or there would be no starts
        self.foundation = Foundation.of(self.survey.statistics, settings)
        random.set_state(started[-1].random.get_state(legacy=False))
        self.starts = _unless_all_collapsed(started)
        self.compiled = self.survey.rows * self._cost_a_row() > SECONDS_WORTH_COMPILING
        if self.compiled:  # here, so that workers beside need not compile side by side
            compile_ahead(source.dtype, settings.dtype)
        self.source, self._groups = self._laid_out()

    def _prepared(self, candidate: Candidate, random: np.random.RandomState) -> Preparation:
        """How a candidate comes to its starts, of which some take passes of their own."""
        if candidate.plan.initialiser is None and candidate.resume_from is None:
            plan, passes = with_centres(candidate.plan, self.source, random)
            candidate = replace(candidate, plan=plan)
            self.passes += passes
        return Preparation(self.settings, candidate, self.source.columns, random)

    @property
    def traces(self) -> tuple[Trace, ...]:
        """The starts of all candidates, one candidate's after another's."""
        return tuple(chain.from_iterable(self.starts))

    def states(self) -> Iterator[FitState]:
        """Run EM; see `daskgmm.training.em.em`."""
        with one_thread():
            yield from em(self.traces, self._expect, self.foundation.recipe)

    def entry(self, state: FitState, trace: Trace) -> dict[str, Any]:
        """What ``history_`` tells of a pass in which `trace` advanced."""
        bytes_a_row = self.source.n_features * self.settings.dtype.itemsize
        return {
            "iteration": state.iteration,
            "lower_bound": trace.lower_bound,
            "change": trace.change,
            "seconds": state.seconds,
            "rows": state.rows,
            "bytes_read": state.rows * bytes_a_row,
        }

    def _expect(self, mixtures: Sequence[Mixture], origins: Origins = None) -> list[Moments]:
        base = self.foundation
        expectation = Expectation(
            tuple(mixtures), base.frame, self.settings.dtype, base.scatter, origins, self.compiled
        )
        self.passes += 1
        return expect(self.source, self._groups, expectation)

    def _laid_out(self) -> tuple[Source, Sequence[Group]]:
        """Rows in parts that are worth their overhead, in groups that are worth a task's."""
        source = bundled(self.source, self.survey.lengths)
        lengths = source.lengths or ()
        groups = group_measured(lengths, self._cost_a_row(), in_memory=source.in_memory)
        return held_groups(source, groups)

    def _cost_a_row(self) -> float:
        n_features, seconds = self.source.n_features, 0.0
        for covariance, n_components in self.settings.covariances.items():
            length = covariance.quadratic_length(n_features) + n_features + 1
            seconds += seconds_a_row(n_features, length, n_components)
        return seconds


def _unless_all_collapsed(started: Sequence[Started]) -> tuple[tuple[Trace, ...], ...]:
    """Each candidate's starts; none where all have collapsed."""
    collapses = [one.collapse for one in started if one.collapse is not None]
    if len(collapses) == len(started):
        raise collapses[0]
    return tuple(one.traces for one in started)
