"""The models of a folder's runs in the order of their nights, each held against the one before."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import ConfigurationError, DaskGMMError
from daskgmm.fitting.fitted import Fitted
from daskgmm.fitting.stored.model_file import MODEL_FILE, Stored
from daskgmm.jobs.history.comparison import MatchedComponent, matched_components
from daskgmm.jobs.history.listing import ListedRun
from daskgmm.jobs.runs.directory import State

logger = logging.getLogger(__name__)

_READERS = 8
"""Models that are read at a time; they are larger than records."""


@dataclass(frozen=True)
class Night:
    """A complete run in the history of its folder.

    Parameters
    ----------
    when : datetime
        The day that its directory is named after, or else when the run ended.
    lower_bound : float or None
        In nats a row.
    weights : tuple of float
        By component, in the order of the chain's first night.
    chain : int
        Number of the chain of nights with the same columns and number of components.
    shift : float or None
        Largest distance of a component's mean from the night before, in that component's standard
        deviations then; ``None`` at the beginning of a chain.
    reordered : bool
        Whether components have other numbers than in the night before.
    difference : float or None
        Drift that an update reported: log-likelihood of its rows less the bound before (nats a
        row).
    """

    when: datetime
    lower_bound: float | None
    weights: tuple[float, ...]
    chain: int
    shift: float | None
    reordered: bool
    difference: float | None


def nights(runs: Sequence[ListedRun]) -> list[Night]:
    """Hold the model of each complete run against that of the night before.

    Nights that were made later stand where they belong. A run whose model can't be read is left
    out with a warning.
    """
    known = [(run.night, run) for run in runs if run.state == State.COMPLETE]
    dated = [(night, run) for night, run in known if night is not None]
    dated.sort(key=itemgetter(0))
    dates, complete = [night for night, _ in dated], [run for _, run in dated]
    with ThreadPoolExecutor(_READERS) as pool:
        models = list(pool.map(_model, complete))
    found: list[Night] = []
    chain = 0
    before: Fitted | None = None
    order: NDArray[np.int64] = np.arange(0)
    for night, run, model in zip(dates, complete, models, strict=True):
        if model is None:
            continue
        matched = _matched(before, model)
        if matched is None:
            chain, order = chain + 1, np.arange(model.n_components)
            shift, reordered = None, False
        else:
            numbers = np.array([one.matched for one in matched])
            order, reordered = numbers[order], bool((np.diff(numbers) < 0).any())
            shift = max(one.shift for one in matched)
        weights = tuple(model.predictor.mixture.weights[order].tolist())
        bound: Any = run.plain()["lower_bound"]
        found.append(Night(night, bound, weights, chain, shift, reordered, run.difference))
        before = model
    return found


def _matched(before: Fitted | None, model: Fitted) -> list[MatchedComponent] | None:
    if before is None:
        return None
    try:
        return matched_components(before, model, "the run before")
    except ConfigurationError:
        return None


def _model(listed: ListedRun) -> Fitted | None:
    name = f"{listed.folder.name}/{MODEL_FILE}"
    try:
        content = listed.folder.read(MODEL_FILE)
        if content is not None:
            return Stored.of(content, name).fitted
        logger.warning("%s is missing: the run is left out of the figure.", name)
    except DaskGMMError as error:
        logger.warning("%s The run is left out of the figure.", error.cause)
    return None
