"""A fit from rows to states: survey, starts and EM."""

import copy
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from threading import Thread
from typing import Any, TypeAlias

import numpy as np

from daskgmm.data.source import Source
from daskgmm.errors import DataError
from daskgmm.fitting.checks import require_rows, require_sound, warn_of_few_sampled
from daskgmm.fitting.progress import FitProgress
from daskgmm.fitting.settings import Candidate, Settings
from daskgmm.fitting.starts.growth import grown_starts
from daskgmm.fitting.starts.preparation import Preparation, StandardisedData, Started, with_centres
from daskgmm.fitting.starts.search import found_starts
from daskgmm.fitting.stored.checkpoint import Checkpoint
from daskgmm.model.expectation import Expectation
from daskgmm.model.kernels.compiled import compile_ahead, loop_is_kept
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.gathering import held_groups
from daskgmm.passes.engine.grouping import laid_out
from daskgmm.passes.engine.leaves import Group
from daskgmm.passes.engine.persist import held
from daskgmm.passes.expectation import expect
from daskgmm.passes.lengths import counted_if_persisted
from daskgmm.passes.memory_limits import helpers_with_room, require_room
from daskgmm.passes.survey import Request, Survey
from daskgmm.passes.survey_pass import surveyed
from daskgmm.training.em import Origins, em
from daskgmm.training.states import FitState, Trace

logger = logging.getLogger(__name__)

Tasks: TypeAlias = tuple[Source, Sequence[Group]]
"""Rows, and the parts of each task of a pass over them."""

_LONG_TO_LOAD = 3.0
"""Seconds above which the loop was not loaded from its cache, but compiled."""


class Fit:
    """One fit: a survey and starts, then one state after each pass of EM.

    Progress is saved in a checkpoint. If the checkpoint holds progress of an earlier attempt, the
    fit continues from it, without a survey and starts; or, if that attempt had not found the
    starts, with a survey and from the latest steps of the search for them.

    Parameters
    ----------
    source : Source
    settings : Settings
    random : RandomState
        Random numbers, advanced as scikit-learn would.
    checkpoint : Checkpoint
    followed : callable
        Maps a state to the traces whose passes the histories record, one for each history;
        ``None`` where a history gets no entry.
    """

    def __init__(
        self,
        source: Source,
        settings: Settings,
        random: np.random.RandomState,
        checkpoint: Checkpoint,
        followed: Callable[[FitState], Sequence[Trace | None]],
    ) -> None:
        _require_possible(source, settings)
        self.source = source = counted_if_persisted(held(source))
        self.settings = settings
        self._checkpoint, self._followed = checkpoint, followed
        compiling = None if source.lengths is None else self._compiling(sum(source.lengths))
        tasks = None if source.lengths is None else self._laid_out(source.lengths)
        self.progress = checkpoint.progress or self._begun(random, tasks)
        self.passes = self.progress.passes
        self.standardised = StandardisedData.of(self.survey, settings)
        self.compiled = settings.worth_compiling(self.survey.rows, source.n_features)
        if self.compiled:
            _wait_for_loop(compiling, source.dtype, settings.dtype)
        self.source, self._groups = tasks or self._laid_out(self.survey.lengths)

    def _laid_out(self, lengths: Sequence[int]) -> Tasks:
        """The rows as passes read them, and the parts of each task.

        The first pass reads them so too where the lengths are known before it: rows that move to
        the worker of their task move once.
        """
        cost_a_row = self.settings.cost_a_row(self.source.n_features)
        fewest_rows = self.settings.fewest_rows(self.source.n_features)
        source, groups = laid_out(self.source, lengths, cost_a_row, fewest_rows)
        return held_groups(source, groups, cost_a_row, self.settings.task(source).result_bytes)

    def _compiling(self, n_rows: int) -> Thread | None:
        """A thread that compiles the loop of passes beside the first one, if it is worth it."""
        if not self.settings.worth_compiling(n_rows, self.source.n_features):
            return None
        types = self.source.dtype, self.settings.dtype
        thread = Thread(target=_compile_ahead, args=types, name="daskgmm-compiling", daemon=True)
        thread.start()
        return thread

    @property
    def survey(self) -> Survey:
        """Result of the first pass."""
        return self.progress.survey

    @property
    def traces(self) -> tuple[Trace, ...]:
        """Current traces of all starts, candidate by candidate."""
        return self.progress.state.traces

    def states(self) -> Iterator[FitState]:
        """Run EM and yield its state after each pass; see `daskgmm.training.em.em`."""
        with one_thread():
            for state in em(self.traces, self._expect, self.standardised.em_settings):
                self.progress = self.progress.after(state, self.passes, self._entries(state))
                self._checkpoint.save(self.progress)
                yield state

    def _begun(self, random: np.random.RandomState, tasks: Tasks | None) -> FitProgress:
        """Survey the rows, as they are laid out if they are, and find the starts."""
        # The seed is drawn from a copy, so that the survey doesn't change the starts' numbers.
        seed = int(copy.deepcopy(random).randint(2**31))
        request = Request(
            seed,
            max(candidate.sample_rows for candidate in self.settings.candidates),
            self.settings.needs_scatter,
            self.source.dtype,
            None if self.source.lengths is None else sum(self.source.lengths),
            self.settings.missing,
            ranges=self.settings.noise is not None,
        )
        prepare, passes = self._prepared(random)
        source, groups = tasks or (self.source, None)
        helpers = helpers_with_room(self.settings.task(self.source))
        sampled = surveyed(source, request, groups, helpers)
        found = sampled.found
        numbers = [candidate.plan.n_components for candidate in self.settings.candidates]
        require_sound(found, max(numbers), self.source.columns, self.settings.max_missing)
        warn_of_few_sampled(self.settings, found.rows)
        started = found_starts(sampled, prepare, self._checkpoint)
        started = grown_starts(sampled, prepare, started)
        random.set_state(started[-1].random.get_state(legacy=False))
        if found.incomplete:
            logger.info(
                "%d of %d rows have missing values and %s.",
                found.incomplete,
                found.rows + found.dropped,
                "are left out" if found.dropped else "count by what is known of them",
            )
        starts = _unless_all_collapsed(started)
        state = FitState(0, tuple(chain.from_iterable(starts)), found.rows, 0.0)
        histories = ((),) * len(self._followed(state))
        counts, refinements = tuple(map(len, starts)), tuple(one.refinement for one in started)
        progress = FitProgress(found, counts, state, passes + 1, histories, refinements)
        self._checkpoint.save(progress)
        return progress

    def _prepared(self, random: np.random.RandomState) -> tuple[list[Preparation], int]:
        """Prepare each candidate's starts; also returns the number of passes made."""
        prepare, passes = [], 0
        for candidate in self.settings.candidates:
            own = copy.deepcopy(random)
            ready, made = self._with_centres(candidate, own)
            prepare.append(Preparation(self.settings, ready, self.source.columns, own))
            passes += made
        return prepare, passes

    def _with_centres(
        self, candidate: Candidate, random: np.random.RandomState
    ) -> tuple[Candidate, int]:
        if candidate.plan.initialiser is not None or candidate.resume_from is not None:
            return candidate, 0
        plan, passes = with_centres(candidate.plan, self.source, random, self.settings)
        return replace(candidate, plan=plan), passes

    def bytes_of(self, state: FitState) -> int:
        """Bytes of the values that a pass read, in the computation's float type."""
        return state.rows * self.source.n_features * self.settings.dtype.itemsize

    def _entries(self, state: FitState) -> list[dict[str, Any] | None]:
        """Entry of a pass for each history; ``None`` for those that get none."""
        return [
            None
            if trace is None
            else {
                "iteration": state.iteration,
                "lower_bound": trace.lower_bound,
                "change": trace.change,
                "seconds": state.seconds,
                "rows": state.rows,
                "bytes_read": self.bytes_of(state),
            }
            for trace in self._followed(state)
        ]

    def _expect(self, mixtures: Sequence[Mixture], origins: Origins = None) -> list[Moments]:
        base = self.standardised
        expectation = Expectation(
            tuple(mixtures),
            base.frame,
            self.settings.dtype,
            base.scatter,
            origins,
            self.compiled,
            self.settings.missing,
        )
        self.passes += 1
        moments = expect(self.source, self._groups, expectation)
        if moments[0].rows != self.survey.rows:
            raise DataError(
                f"A pass read {moments[0].rows} rows, but the first pass read {self.survey.rows}.",
                "The input has changed meanwhile: fit again, without the checkpoint.",
            )
        return moments


def _require_possible(source: Source, settings: Settings) -> None:
    """Refuse a fit that is known to fail, before any row is read."""
    if source.lengths is not None:
        rows = sum(source.lengths)
        require_rows(rows, max(one.plan.n_components for one in settings.candidates))
    require_room(settings.task(source))


def _compile_ahead(rows: np.dtype[Any], dtype: np.dtype[Any]) -> None:
    """Load the loop of passes, or have a child compile it; whoever calls it meets any error again.

    Without a place to keep it this process would compile it, and might end amid that.
    """
    try:
        if loop_is_kept():
            compile_ahead(rows, dtype)
    except Exception:
        logger.debug("The loop of the passes was not compiled ahead.", exc_info=True)


def _wait_for_loop(compiling: Thread | None, rows: np.dtype[Any], dtype: np.dtype[Any]) -> None:
    """Have the loop of passes in this process, so that workers of this machine need not compile it.

    Log it if that took long.
    """
    began = time.perf_counter()
    if compiling is not None:
        compiling.join()
    compile_ahead(rows, dtype)
    seconds = time.perf_counter() - began
    if seconds > _LONG_TO_LOAD:
        kept = " It is kept, so that the next fit of such rows on this machine begins without."
        logger.info(
            "The fit waited %.0f s for the loop of its passes to be compiled.%s",
            seconds,
            kept if loop_is_kept() else "",
        )


def _unless_all_collapsed(started: Sequence[Started]) -> tuple[tuple[Trace, ...], ...]:
    """Starts of each candidate; raises the first one's error if all have collapsed."""
    collapses = [one.collapse for one in started if one.collapse is not None]
    if len(collapses) == len(started):
        raise collapses[0]
    return tuple(one.traces or () for one in started)
