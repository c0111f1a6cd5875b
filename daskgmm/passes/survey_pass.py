"""The first pass: a survey of all rows, whose sample stays where the rows are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.source import Source, labels_of
from daskgmm.passes.cost import survey_seconds_a_row
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.graph import pass_graph
from daskgmm.passes.engine.grouping import group_by_cost, group_unmeasured
from daskgmm.passes.engine.held import Held
from daskgmm.passes.engine.keys import token
from daskgmm.passes.engine.leaves import Group
from daskgmm.passes.engine.progress import STARTS
from daskgmm.passes.engine.threads import spare_threads, threads_each
from daskgmm.passes.engine.work import OnStretch, Work, each_part
from daskgmm.passes.survey import Request, Survey, add, survey_part, whole

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class SampledSurvey:
    """A survey whose sample stays where the rows are, for functions that run there.

    Parameters
    ----------
    found : Survey
        Without its sample. Where parts are joined, its lengths are those of the parts that they
        join.
    held : Held
        The survey with its sample.
    helpers : int
        Threads beside those of its worker, or beside its own without a cluster, that a function may
        use where they are spare.
    """

    found: Survey
    held: Held
    helpers: int = 0

    def apply(self, then: Sequence[Callable[[Survey], T]], suffix: str) -> list[T]:
        """Apply functions to the survey with its sample, each as a task of its own.

        They may spread what they compute over threads: see `daskgmm.passes.engine.threads`.
        `suffix` ends the tasks' keys, which begin with `daskgmm.passes.engine.progress.STARTS`.
        """
        keys = [(f"{STARTS}-{suffix}", number) for number in range(len(then))]
        share = min(threads_each(len(then)), 1 + self.helpers)
        return self.held.apply([partial(_apply, function, share) for function in then], keys)


def surveyed(
    source: Source, request: Request, groups: Sequence[Group] | None = None, helpers: int = 0
) -> SampledSurvey:
    """Survey all rows.

    Parameters
    ----------
    source : Source
    request : Request
    groups : sequence of Group, optional
        The parts of each task; by default those that are worth a task of the survey alone.
    helpers : int
        See `SampledSurvey`.
    """
    suffix = token()
    argument = request, _first_rows(source), _first_parts(source)
    work = Work(_begin, partial(add, request=request), argument)
    graph, root = pass_graph(source, groups or _groups(source), work, "gmm-init", suffix)
    held = Held.of(graph, root)
    (found,) = held.apply([_without_sample], [f"gmm-init-facts-{suffix}"])
    return SampledSurvey(found, held, helpers)


def survey(
    source: Source, request: Request, then: Sequence[Callable[[Survey], T]]
) -> tuple[Survey, list[T]]:
    """Survey all rows, and apply each function of `then` to the survey with its sample."""
    sampled = surveyed(source, request)
    return sampled.found, sampled.apply(then, token())


def _groups(source: Source) -> list[range]:
    if source.lengths is None:
        return group_unmeasured(len(source.parts))
    return group_by_cost(source, survey_seconds_a_row(source.n_features))


def _without_sample(found: Survey) -> Survey:
    return replace(whole(found), sample=None)


def _apply(then: Callable[[Survey], T], share: int, found: Survey) -> T:
    sample = None if found.sample is None else found.sample.ordered()
    with one_thread(), spare_threads(share):
        return then(replace(whole(found), sample=sample))


def _first_rows(source: Source) -> NDArray[np.int64] | None:
    """Number of rows before each part, if the source knows its lengths."""
    return None if source.lengths is None else np.cumsum([0, *source.lengths])


def _first_parts(source: Source) -> NDArray[np.int64]:
    """Number of parts before each part, where those that are joined count one by one."""
    return np.cumsum([0, *(len(labels_of(part)) for part in source.parts)])


def _begin(argument: tuple[Request, NDArray[np.int64] | None, NDArray[np.int64]]) -> OnStretch:
    request, first_rows, first_parts = argument
    on_part = partial(survey_part, request=request, first_rows=first_rows, first_parts=first_parts)
    return each_part(on_part, partial(add, request=request))
