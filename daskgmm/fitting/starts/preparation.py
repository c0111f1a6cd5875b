"""Starts of the candidates: from the sample of the first pass, or from k-means over all rows."""

import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np

from daskgmm.data.source import Source
from daskgmm.errors import CollapsedComponentError, DataError
from daskgmm.fitting.checks import require_ranges, require_sound
from daskgmm.fitting.settings import Candidate, Settings
from daskgmm.fitting.starts.report import StartsReport
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.compiled import compile_ahead
from daskgmm.model.typing import Doubles
from daskgmm.passes.kmeans import AllRows, require_dask_ml
from daskgmm.passes.missing_values import without_gaps
from daskgmm.passes.row_sample import Sample
from daskgmm.passes.survey import Request, Survey
from daskgmm.passes.survey_pass import survey
from daskgmm.training.em import EMSettings
from daskgmm.training.in_memory import total_scatter
from daskgmm.training.refinement.sampled import SampledRows
from daskgmm.training.refinement.search import Refinement, budget_for
from daskgmm.training.search_progress import Paused, SearchRecorder, Steps
from daskgmm.training.starts import StartPlan
from daskgmm.training.states import Trace


@dataclass(frozen=True, eq=False)
class StandardisedData:
    """Frame in which rows are standardised, and what depends on it.

    Parameters
    ----------
    frame : Frame
    em_settings : EMSettings
    scatter : ndarray of shape (D, D) or None
        Second moments of complete rows about the frame's origin, in its units.
    """

    frame: Frame
    em_settings: EMSettings
    scatter: Doubles | None

    @classmethod
    def of(cls, found: Survey, settings: Settings) -> Self:
        """Choose the frame for the rows of a survey (origin, deviations, second moments)."""
        statistics = found.statistics
        assert statistics is not None  # noqa: S101  sound
        frame = settings.frame(statistics.origin, statistics.deviations)
        scatter = None
        if statistics.second.ndim == 2:
            own = found.of_complete_rows
            second = (
                np.zeros_like(statistics.second) if own is None else own.about(frame.origin).second
            )
            scatter = second / np.outer(frame.scale, frame.scale)
        return cls(frame, settings.em_settings(frame, statistics, found.ranges), scatter)


@dataclass(frozen=True, eq=False)
class Started:
    """Starts of a candidate.

    Parameters
    ----------
    traces : tuple of Trace or None
        ``None`` where the search has not ended.
    random : RandomState
        Random numbers after the starts were drawn.
    collapse : CollapsedComponentError or None
        Error that explains why there are no starts.
    refinement : Refinement or None
        What the search for the start did, where there was one.
    steps : Steps or None
        What the search needs to go on, or to end again as it did; ``None`` where nothing is kept.
    """

    traces: tuple[Trace, ...] | None
    random: np.random.RandomState
    collapse: CollapsedComponentError | None = None
    refinement: Refinement | None = None
    steps: Steps | None = None


@dataclass(frozen=True, eq=False)
class Preparation:
    """Finds a candidate's starts from a survey, on the client or on a worker.

    Parameters
    ----------
    settings : Settings
    candidate : Candidate
        One of the settings' candidates.
    columns : tuple of str or None
        Names of the features, for errors.
    random : RandomState
        Random numbers of this candidate, so that its starts don't depend on other candidates.
    """

    settings: Settings
    candidate: Candidate
    columns: tuple[str, ...] | None
    random: np.random.RandomState

    def __call__(
        self, found: Survey, report: StartsReport, earlier: Steps | None, most: float
    ) -> Started:
        """Check the survey and find the starts, or a stretch of the way to them.

        Parameters
        ----------
        found : Survey
        report : StartsReport
        earlier : Steps or None
            Steps of the search that were made before; ``None`` where none are to be kept.
        most : float
            Multiplications of the stretch.
        """
        largest = max(candidate.plan.n_components for candidate in self.settings.candidates)
        require_sound(found, largest, self.columns, self.settings.max_missing)
        if self.settings.noise is not None:
            require_ranges(found, self.columns)
        recorder, random = SearchRecorder(report, earlier, most), copy.deepcopy(self.random)
        try:
            started = self._started(found, recorder, random)
        except Paused:
            return Started(None, self.random, steps=recorder.steps)
        finally:
            # It and the sample hold each other, and would stay with all that is kept.
            recorder.follow()
        report.end()
        # Others may need further stretches, in which this one ends again.
        alone = len(self.settings.candidates) == 1
        return replace(started, steps=None if earlier is None or alone else recorder.steps)

    def _started(
        self, found: Survey, recorder: SearchRecorder, random: np.random.RandomState
    ) -> Started:
        try:
            if self.candidate.refined:
                trace, refinement = self._refined(found, recorder, random)
                return Started((trace,), random, refinement=refinement)
            return Started(self._traces(found, recorder, random), random)
        except CollapsedComponentError as error:
            return Started((), random, error)

    def _refined(
        self, found: Survey, recorder: SearchRecorder, random: np.random.RandomState
    ) -> tuple[Trace, Refinement]:
        return self.candidate.plan.refined(self.sample_of(found, recorder), random)

    def sample_of(self, found: Survey, recorder: SearchRecorder) -> SampledRows:
        """The sampled rows on which the start is sought, with the budget of a search."""
        base, drawn = StandardisedData.of(found, self.settings), self._sampled(found)
        plan, n_features = self.candidate.plan, drawn.rows.shape[1]
        return SampledRows(
            drawn.rows.T,
            drawn.weights,
            base.frame,
            replace(base.em_settings, m_step=base.em_settings.m_step.of_search),
            total_scatter(drawn.rows, drawn.weights, base.frame)
            if plan.covariance.needs_scatter
            else None,
            budget_for(found.rows, plan.covariance, plan.n_components, n_features),
            self._compiled(found),
            # Fewer rows than were asked for are all that count.
            found.rows if len(drawn.rows) >= self.candidate.sample_rows else len(drawn.rows),
            recorder=recorder,
        )

    def _traces(
        self, found: Survey, recorder: SearchRecorder, random: np.random.RandomState
    ) -> tuple[Trace, ...]:
        base = StandardisedData.of(found, self.settings)
        if self.candidate.resume_from is not None:
            mixture, old, bound = self.candidate.resume_from
            mixture = mixture.outside(old.seen_from(base.frame))
            noise = base.em_settings.noise
            if noise is not None and mixture.noise is not None:
                noise = replace(noise, weight=mixture.noise.weight)
            return (Trace(mixture.beside(noise), settled_bound=bound),)
        sample = self._sampled(found)
        partial = self.settings.fit_on_sample and len(sample.rows) < found.rows
        drawn = self.candidate.plan.starts(
            sample.rows,
            sample.weights,
            base.frame,
            base.em_settings,
            random,
            fit_on_sample=partial,
            compiled=partial and self._compiled(found),
            recorder=recorder,
        )
        return tuple(drawn)

    def _compiled(self, found: Survey) -> bool:
        """Whether EM on the sample goes by the compiled loop, which is loaded then."""
        assert found.sample is not None  # noqa: S101  sound
        rows = found.sample.rows
        worth = self.settings.worth_compiling(found.rows, rows.shape[1])
        if worth:
            compile_ahead(rows.dtype, self.settings.dtype)
        return worth

    def _sampled(self, found: Survey) -> Sample:
        """The candidate's rows of the sample, in the order of the data and without gaps."""
        assert found.statistics is not None and found.sample is not None  # noqa: PT018, S101  sound
        drawn = found.sample.smallest(self.candidate.sample_rows).ordered()
        return without_gaps(drawn, found.statistics.mean, self.candidate.plan.n_components)


def with_centres(
    plan: StartPlan, source: Source, random: np.random.RandomState, settings: Settings
) -> tuple[StartPlan, int]:
    """Find centres for each start of a plan by k-means over all rows without missing values.

    Returns
    -------
    plan : StartPlan
        The plan with the centres.
    passes : int
        Number of passes made.

    Raises
    ------
    ConfigurationError
        dask-ml is not installed.
    DataError
        The rows cannot be fitted.
    """
    if plan.given.complete:
        return plan, 0
    require_dask_ml()
    request = Request(
        0,
        plan.n_components,
        scatter=False,
        dtype=source.dtype,
        expected=None,
        missing=settings.missing,
    )
    check = partial(_leaves_out, plan=plan, columns=source.columns, settings=settings)
    found, (some,) = survey(source, request, [check])
    assert found.statistics is not None  # noqa: S101  sound
    # One scale for all features keeps k-means' distances in proportion, and makes dask-ml's
    # tolerance and number of rounds, which have units, relative.
    spread = np.full(source.n_features, np.sqrt((found.statistics.deviations**2).mean()))
    frame = Frame.around(found.statistics.origin, spread, source.dtype)
    rows = AllRows(source, found.lengths, some)
    seeds = random.randint(2**31, size=plan.n_init)
    runs = [rows.centres(frame, plan.n_components, int(seed)) for seed in seeds]
    centres, passes = zip(*runs, strict=True)
    return replace(plan, centres=centres), 1 + sum(passes)


def _leaves_out(
    found: Survey, plan: StartPlan, columns: tuple[str, ...] | None, settings: Settings
) -> bool:
    """Whether k-means may leave out rows, for their weight or what they lack."""
    require_sound(found, plan.n_components, columns, settings.max_missing)
    complete = sum(found.lengths) - found.incomplete
    if found.incomplete and complete <= plan.n_components:
        raise DataError(
            f"Only {complete} rows have no missing value, from which 'k-means||' finds "
            f"{plan.n_components} centres.",
            "Start from 'kmeans', which can do with less.",
        )
    weighted = found.sample is not None and found.sample.weights is not None
    return weighted or found.incomplete > 0
