"""Starts from k-means over all rows, before the survey that the others are made in."""

from dataclasses import replace
from functools import partial

import numpy as np

from daskgmm.data.source import Source
from daskgmm.fitting.checks import require_sound
from daskgmm.model.frame import Frame
from daskgmm.passes.kmeans import AllRows, require_dask_ml
from daskgmm.passes.survey import Request, Survey, survey
from daskgmm.training.starts import StartPlan


def with_centres(
    plan: StartPlan, source: Source, random: np.random.RandomState
) -> tuple[StartPlan, int]:
    """The plan with centres for each of its starts, and how many passes they took.

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
    request = Request(0, plan.n_components, scatter=False, dtype=source.dtype, expected=None)
    check = partial(_is_weighted, n_components=plan.n_components, columns=source.columns)
    found, (weighted,) = survey(source, request, [check])
    assert found.statistics is not None  # noqa: S101  sound
    # One scale for all features, as k-means measures them, that makes dask-ml's tolerance
    # and its number of rounds, which have units, relative.
    spread = np.full(source.n_features, np.sqrt((found.statistics.deviations**2).mean()))
    frame = Frame.around(found.statistics.origin, spread, source.dtype)
    rows = AllRows(source, found.lengths, weighted)
    seeds = random.randint(2**31, size=plan.n_init)
    runs = [rows.centres(frame, plan.n_components, int(seed)) for seed in seeds]
    centres, passes = zip(*runs, strict=True)
    return replace(plan, centres=centres), 1 + sum(passes)


def _is_weighted(found: Survey, n_components: int, columns: tuple[str, ...] | None) -> bool:
    require_sound(found, n_components, columns)
    return found.sample is not None and found.sample.weights is not None
