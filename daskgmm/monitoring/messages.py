"""Writes the events of a fit, as `schema` declares them: plain JSON values."""

import math
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from daskgmm.data.storage.credentials import without_credentials
from daskgmm.model.bayesian.posterior import HOLDS
from daskgmm.model.mixture import Mixture
from daskgmm.monitoring.candidates import as_rows, candidates_of
from daskgmm.monitoring.observer import FitEnd, FitPass, FitStart
from daskgmm.monitoring.schema import (
    END,
    MOST_COLUMNS,
    MOST_COMPONENTS,
    MOST_WEIGHTS,
    PASS,
    START,
    STARTS,
)
from daskgmm.training.search_progress import SearchProgress
from daskgmm.training.states import Trace

_LONGEST_MESSAGE = 1000
"""Characters of an error's message: schedulers keep it, and all their users may read it."""

_LIMITS = ("tol", "stopping", "acceleration", "max_iter", "n_init")


def started(about: FitStart) -> dict[str, Any]:
    """The event of a fit that begins."""
    columns = about.columns
    return {
        **_heading(START, about.run_id),
        **limits(about),
        "estimator": about.estimator,
        "n_components": [number for number, _ in about.kinds],
        "covariance_type": [kind for _, kind in about.kinds],
        "rows": about.rows,
        "n_features": about.n_features,
        "columns": None if columns is None else [str(name) for name in columns[:MOST_COLUMNS]],
        "parts": about.parts,
        "host": socket.gethostname(),
        "pid": os.getpid(),
    }


def searched(
    run_id: str,
    client: str | None,
    candidate: int,
    progress: SearchProgress,
    seconds_left: float | None,
) -> dict[str, Any]:
    """The event of a search for starts that goes on.

    Parameters
    ----------
    run_id : str
    client : str or None
        Dask's id of the client that the fit runs on.
    candidate : int
        Number of the candidate that the starts are for.
    progress : SearchProgress
    seconds_left : float or None
        Seconds until its multiplications are used up, at the rate so far.
    """
    return {
        **_heading(STARTS, run_id),
        "client": client,
        "candidate": candidate,
        "phase": progress.phase,
        "done": progress.done,
        "of": progress.of,
        "rows": progress.rows,
        "share": progress.share,
        "seconds_left": seconds_left,
        "moves_tried": progress.tried,
        "moves_taken": progress.taken,
    }


def passed(about: FitStart, made: FitPass) -> dict[str, Any]:
    """The event of one more pass; it can be shown without those before."""
    state, best = made.state, made.state.best
    return {
        **_heading(PASS, about.run_id),
        **limits(about),
        "iteration": state.iteration,
        "passes": made.passes,
        "lower_bound": finite(best.lower_bound),
        "change": finite(best.change),
        "seconds": float(state.seconds),
        "rows": int(state.rows),
        "bytes_read": int(made.bytes_read),
        "starts": len(state.traces),
        "starts_going": sum(trace.stopped is None for trace in state.traces),
        **selection(about, made),
        **moves(made),
        **parameters(best.mixture, made),
        "empty": empty(best),
    }


def selection(about: FitStart, made: FitPass) -> dict[str, Any]:
    """The criterion and the candidates of a selection; ``None`` for the fit of one mixture."""
    criterion = about.parameters.get("criterion")
    rows = None if criterion is None else as_rows(candidates_of(made.state, criterion))
    return {"criterion": criterion, "candidates": rows}


def moves(made: FitPass) -> dict[str, Any]:
    """Moves of the searches for starts, of all candidates together; ``None`` without a search."""
    found = made.refinements
    return {
        "moves_tried": sum(one.tried for one in found) if found else None,
        "moves_taken": sum(one.taken for one in found) if found else None,
        "budget_ended": any(one.budget_ended for one in found) if found else None,
    }


def ended(about: FitStart, last: FitPass | None, ending: FitEnd) -> dict[str, Any]:
    """The event of a fit that has ended."""
    best, message = None if last is None else last.state.best, ending.message
    return {
        **_heading(END, about.run_id),
        "iteration": 0 if last is None else last.state.iteration,
        "lower_bound": None if best is None else finite(best.lower_bound),
        "stopped": ending.reason.value,
        "message": None if message is None else without_credentials(message)[:_LONGEST_MESSAGE],
        "error": None if ending.error is None else ending.error.__name__,
        "seconds": float(ending.seconds),
    }


def limits(about: FitStart) -> Mapping[str, Any]:
    """The estimator's parameters that bound the course of the fit."""
    return {name: _plain(about.parameters.get(name)) for name in _LIMITS}


def parameters(mixture: Mixture, made: FitPass) -> dict[str, list[Any]]:
    """Weights, means and standard deviations of the first components, in units of the data."""
    frame, shown = made.frame, (slice(MOST_COMPONENTS), slice(MOST_COLUMNS))
    return {
        "weights": mixture.weights[:MOST_WEIGHTS].tolist(),
        "means": frame.leave(mixture.means)[shown].tolist(),
        "deviations": (mixture.deviations * frame.scale)[shown].tolist(),
    }


def empty(best: Trace) -> list[int]:
    """Components of a variational mixture that hold no rows, among the first."""
    if best.moments is None or best.mixture.posterior is None:
        return []
    return np.flatnonzero(best.moments.sums[-1][:MOST_WEIGHTS] < HOLDS).tolist()


def finite(value: float) -> float | None:
    """The value, or ``None`` where JSON has no such number."""
    return float(value) if math.isfinite(value) else None


def _heading(event: str, run_id: str) -> dict[str, Any]:
    return {"event": event, "run_id": run_id, "time": time.time()}


def _plain(value: Any) -> Any:
    if isinstance(value, bool | str | None):
        return value
    return value.item() if hasattr(value, "item") else value
