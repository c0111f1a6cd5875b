"""What is told of a fit outside of its process: plain JSON values."""

import math
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from daskgmm.data.storage.credentials import without_credentials
from daskgmm.model.mixture import Mixture
from daskgmm.monitoring.observer import About, Ending, Pass

START, PASS, END = "fit-start", "pass", "fit-end"

MOST_WEIGHTS = 100
"""Components whose weights are told."""

MOST_COMPONENTS, MOST_COLUMNS = 30, 6
"""Components whose means and deviations are told, and in how many columns."""

_LONGEST_MESSAGE = 1000
"""Characters of an error's: schedulers keep it, and all who reach one may read it."""

_TOLD = ("tol", "stopping", "acceleration", "max_iter", "n_init")


def started(about: About) -> dict[str, Any]:
    """A fit begins."""
    columns = about.columns
    return {
        **_heading(START, about),
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


def passed(about: About, made: Pass) -> dict[str, Any]:
    """One more pass: enough to show without what came before."""
    state, best = made.state, made.state.best
    return {
        **_heading(PASS, about),
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
        **parameters(best.mixture, made),
    }


def ended(about: About, last: Pass | None, ending: Ending) -> dict[str, Any]:
    """A fit has ended."""
    best, message = None if last is None else last.state.best, ending.message
    return {
        **_heading(END, about),
        "iteration": 0 if last is None else last.state.iteration,
        "lower_bound": None if best is None else finite(best.lower_bound),
        "stopped": ending.reason.value,
        "message": None if message is None else without_credentials(message)[:_LONGEST_MESSAGE],
        "error": None if ending.error is None else ending.error.__name__,
        "seconds": float(ending.seconds),
    }


def limits(about: About) -> Mapping[str, Any]:
    """When the fit stops at the latest, and how it goes."""
    return {name: _plain(about.parameters.get(name)) for name in _TOLD}


def parameters(mixture: Mixture, made: Pass) -> dict[str, list[Any]]:
    """The first components in data units: weights, means and standard deviations."""
    frame, shown = made.frame, (slice(MOST_COMPONENTS), slice(MOST_COLUMNS))
    return {
        "weights": mixture.weights[:MOST_WEIGHTS].tolist(),
        "means": frame.leave(mixture.means)[shown].tolist(),
        "deviations": (mixture.deviations * frame.scale)[shown].tolist(),
    }


def finite(value: float) -> float | None:
    """A float as JSON has it."""
    return float(value) if math.isfinite(value) else None


def _heading(event: str, about: About) -> dict[str, Any]:
    return {"event": event, "run_id": about.run_id, "time": time.time()}


def _plain(value: Any) -> Any:
    if isinstance(value, bool | str | None):
        return value
    return value.item() if hasattr(value, "item") else value
