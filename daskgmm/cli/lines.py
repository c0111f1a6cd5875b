"""Quiet lines that say how far a job is."""

import logging
import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daskgmm.jobs.events import Parts, Start
    from daskgmm.training.states import FitState

logger = logging.getLogger(__name__)


class Lines:
    """A line at the start, one for every few passes and one for the last.

    Parameters
    ----------
    verb : str
        What the job does with the rows.
    every : int
        Passes from one line to the next; 0 for none.
    """

    def __init__(self, verb: str, *, every: int) -> None:
        self.verb = verb
        self.every = every

    def start(self, start: "Start") -> None:
        """Say what is done, and where."""
        logger.info(start_in_words(self.verb, start))
        if start.dashboard is not None:
            logger.info("Dashboard: %s", start.dashboard)

    def tell(self, state: "FitState") -> None:
        """Say how a pass went, if it is its turn."""
        level = logging.DEBUG
        if self.every and (state.iteration % self.every == 0 or state.finished):
            level = logging.INFO
        logger.log(level, "Pass %d: %s", state.iteration, in_words(state))

    def watch(self, parts: "Parts") -> None:
        """Parts are watched on terminals only."""


def start_in_words(verb: str, start: "Start") -> str:
    """What is done with which rows, and where."""
    rows = "rows" if start.rows is None else f"{start.rows:,} rows"
    features = f"{start.n_features} column{'s' * (start.n_features != 1)}"
    return f"{verb} {rows} of {features} {start.place}."


def in_words(state: "FitState") -> str:
    """What a pass found, and how fast."""
    best = state.best
    speed = count(state.rows / max(state.seconds, 1e-9))
    change = "" if math.isinf(best.change) else f" change {best.change:.2e},"
    going = sum(trace.stopped is None for trace in state.traces)
    others = f" {going} of {len(state.traces)} go on," if len(state.traces) > 1 else ""
    return f"lower bound {best.lower_bound:.6f},{change}{others} {speed} rows/s"


def count(number: float) -> str:
    """A number of things, to three digits."""
    for unit in ("", "k", "M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"


def since(began: float) -> str:
    """Time since a moment of `time.monotonic`, as minutes and seconds."""
    minutes, seconds = divmod(int(time.monotonic() - began), 60)
    return f"{minutes}:{seconds:02}"
