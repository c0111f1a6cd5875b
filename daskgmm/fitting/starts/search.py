"""The search for the starts of all candidates, in stretches, so that it can be resumed."""

from collections.abc import Sequence
from functools import partial
from importlib.metadata import version

from daskgmm.errors import DataError
from daskgmm.fitting.progress import StartsProgress
from daskgmm.fitting.starts.preparation import Preparation, Started
from daskgmm.fitting.starts.report import StartsReport
from daskgmm.fitting.stored.checkpoint import Checkpoint
from daskgmm.fitting.stored.tensors import Arrays, digest, to_plain
from daskgmm.monitoring import schema
from daskgmm.monitoring.events import TOPIC
from daskgmm.passes.engine.keys import current_run, token
from daskgmm.passes.engine.progress import STARTS, Wanted, announced_tasks
from daskgmm.passes.survey import Survey
from daskgmm.passes.survey_pass import SampledSurvey
from daskgmm.training.search_progress import Steps

STRETCH = 4e11
"""Multiplications from one checkpoint to the next: those of ten to forty seconds."""


def found_starts(
    sampled: SampledSurvey, prepare: Sequence[Preparation], checkpoint: Checkpoint
) -> list[Started]:
    """Find each candidate's starts, where the sample is.

    With a checkpoint the search goes on from what it holds, and in stretches, after each of which
    it is saved.

    Raises
    ------
    DataError
        The rows are not those of the search that the checkpoint holds.
    """
    suffix = token()
    run_id = current_run() or suffix
    events = Wanted(TOPIC, {"event": schema.STARTS, "run_id": run_id}, schema.is_ours)
    reports = announced_tasks(STARTS, suffix, len(prepare), events)
    searches = [
        partial(one, report=StartsReport(run_id, number, reports))
        for number, one in enumerate(prepare)
    ]
    if not checkpoint.keeps:
        whole = [partial(one, earlier=None, most=float("inf")) for one in searches]
        return sampled.apply(whole, suffix)
    surveyed = _digest(sampled.found)
    known = _known(checkpoint.starts, surveyed, len(searches))
    found: dict[int, Started] = {}
    while True:
        going = [number for number in range(len(searches)) if number not in found]
        stretches = [
            partial(searches[number], earlier=known[number], most=STRETCH) for number in going
        ]
        for number, started in zip(going, sampled.apply(stretches, token()), strict=True):
            known[number] = started.steps or Steps()
            if started.traces is not None:
                found[number] = started
        if len(found) == len(searches):
            return [found[number] for number in range(len(searches))]
        checkpoint.save(StartsProgress(surveyed, tuple(known), version("daskgmm")))


def _known(progress: StartsProgress | None, surveyed: str, searches: int) -> list[Steps]:
    """Steps of each search that a checkpoint holds."""
    if progress is None:
        return [Steps()] * searches
    if progress.survey != surveyed:
        raise DataError(
            "The first pass found other rows than before the fit was cut off.",
            "The input has changed meanwhile: fit again, without the checkpoint.",
        )
    return list(progress.searches)


def _digest(found: Survey) -> str:
    arrays: Arrays = {}
    return digest(to_plain(found, "survey", arrays), arrays)
