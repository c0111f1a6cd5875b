"""From rows to fit states: survey, starts, EM."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskgmm.data.source import Source
from daskgmm.estimators.centres import with_centres
from daskgmm.estimators.soundness import require_sound
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.expectation import Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles
from daskgmm.passes.blas import one_thread
from daskgmm.passes.expectation import expect
from daskgmm.passes.groups import group_measured, seconds_a_row
from daskgmm.passes.holding import held
from daskgmm.passes.survey import Request, Survey, survey
from daskgmm.training.acceleration import Acceleration
from daskgmm.training.em import Origins, Recipe, em
from daskgmm.training.starts import StartPlan
from daskgmm.training.states import FitState, Trace
from daskgmm.training.stopping import Step


@dataclass(frozen=True, eq=False)
class Settings:
    """What a fit is asked for, checked.

    Parameters
    ----------
    plan : StartPlan
    tol, reg_covar : float
    max_iter : int
    change : callable
        What `tol` is held against.
    accelerate : callable
        See `daskgmm.training.acceleration`.
    sample_rows : int
        Rows to find starts on.
    fit_on_sample : bool
        Whether EM runs on those first, where they are not all there are.
    dtype : dtype
        What rows are computed in.
    resume_from : tuple of (Mixture, Frame, float) or None
        Fitted mixture, its frame and lower bound to go on from instead of starts.
    """

    plan: StartPlan
    tol: float
    reg_covar: float
    max_iter: int
    change: Callable[[Step], float]
    accelerate: Acceleration
    sample_rows: int
    fit_on_sample: bool
    dtype: np.dtype[np.floating[Any]]
    resume_from: tuple[Mixture, Frame, float] | None = None

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
    traces : tuple of Trace
        The starts.
    random : RandomState
        As the starts left it.
    """

    frame: Frame
    recipe: Recipe
    scatter: Doubles | None
    traces: tuple[Trace, ...]
    random: np.random.RandomState


@dataclass(frozen=True, eq=False)
class Preparation:
    """Turns a survey into a foundation, wherever the sample is.

    Parameters
    ----------
    settings : Settings
    columns : tuple of str or None
        For errors.
    random : RandomState
    """

    settings: Settings
    columns: tuple[str, ...] | None
    random: np.random.RandomState

    def __call__(self, found: Survey) -> Foundation:
        """Check what was found, choose the frame, find the starts."""
        settings = self.settings
        require_sound(found, settings.plan.n_components, self.columns)
        statistics, sample = found.statistics, found.sample
        assert statistics is not None and sample is not None  # noqa: PT018, S101  sound
        covariance = settings.plan.covariance
        scale = covariance.compatible_scale(statistics.deviations)
        frame = Frame.around(statistics.origin, scale, settings.dtype)
        recipe = settings.recipe(frame, statistics.deviations)
        scatter = None
        if covariance.needs_scatter:
            second = statistics.about(frame.origin).second
            scatter = second / np.outer(frame.scale, frame.scale)
        if settings.resume_from is not None:
            mixture, old, bound = settings.resume_from
            traces = [Trace(mixture.outside(old.seen_from(frame)), settled_bound=bound)]
        else:
            partial = settings.fit_on_sample and len(sample.rows) < found.rows
            traces = settings.plan.starts(
                sample.rows, sample.weights, frame, recipe, self.random, fit_on_sample=partial
            )
        return Foundation(frame, recipe, scatter, tuple(traces), self.random)


class Fit:
    """One fit: a foundation, then a stream of states.

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
        if settings.plan.initialiser is None and settings.resume_from is None:
            plan, passes = with_centres(settings.plan, self.source, random)
            settings = replace(settings, plan=plan)
            self.passes += passes
        self.settings = settings
        # A look ahead must not disturb the numbers that the starts draw.
        seed = int(copy.deepcopy(random).randint(2**31))
        request = Request(
            seed,
            settings.sample_rows,
            settings.plan.covariance.needs_scatter,
            source.dtype,
            None if source.lengths is None else sum(source.lengths),
        )
        prepare = Preparation(settings, source.columns, random)
        self.survey, self.foundation = survey(self.source, request, prepare)
        if self.foundation.random is not random:
            random.set_state(self.foundation.random.get_state())
        self._groups = group_measured(
            self.survey.lengths, self._cost_a_row(), in_memory=source.in_memory
        )

    def states(self) -> Iterator[FitState]:
        """Run EM; see `daskgmm.training.em.em`."""
        with one_thread():
            yield from em(self.foundation.traces, self._expect, self.foundation.recipe)

    def _expect(self, mixtures: Sequence[Mixture], origins: Origins = None) -> list[Moments]:
        base = self.foundation
        expectation = Expectation(
            tuple(mixtures), base.frame, self.settings.dtype, base.scatter, origins
        )
        self.passes += 1
        return expect(self.source, self._groups, expectation)

    def _cost_a_row(self) -> float:
        covariance: Covariance = self.settings.plan.covariance
        n_features = self.source.n_features
        length = covariance.quadratic_length(n_features) + n_features + 1
        return seconds_a_row(n_features, length, self.settings.plan.n_components)
