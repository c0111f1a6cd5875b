"""Quiet lines that say how far a job is.

Lines that come now and then, while nothing else tells that a job goes on.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from daskgmm.monitoring.text import count, stopwatch

if TYPE_CHECKING:
    from daskgmm.jobs.listener import Start
    from daskgmm.monitoring.forecast import Forecast
    from daskgmm.passes.engine.progress import PassProgress
    from daskgmm.training.states import FitState


class Waiting:
    """Has something said every so many seconds, by a thread of its own, until it is ended.

    Parameters
    ----------
    say : callable
        Given the seconds since the waiting began.
    every : float
        Seconds from one time to the next.
    """

    def __init__(self, say: Callable[[float], None], every: float) -> None:
        self._say, self._every = say, every
        self._ended = threading.Event()
        threading.Thread(target=self._wait, name="daskgmm-waiting", daemon=True).start()

    def end(self) -> None:
        """Have nothing more said."""
        self._ended.set()

    def _wait(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(self._every):
            self._say(time.monotonic() - began)


logger = logging.getLogger(__name__)


class ProgressLines:
    """A line at the start, one for every few passes and one for the last.

    Where starts take long to be found, as with many components, a line now and then tells of that.

    Parameters
    ----------
    verb : str
        What the job does with the rows.
    every : int
        Passes from one line to the next; 0 for none.
    forecast : Forecast or None
        Of a fit, before its first pass.
    patience : float
        Seconds from one line to the next while starts are sought.
    """

    def __init__(
        self,
        verb: str,
        *,
        every: int,
        forecast: "Forecast | None" = None,
        patience: float = 20.0,
    ) -> None:
        self.verb = verb
        self.every = every
        self.forecast = forecast
        self._patience = patience
        self._waiting: Waiting | None = None

    def wait(self, what: str) -> None:
        """Waiting is shown on terminals only."""

    def start(self, start: "Start") -> None:
        """Say what is done, and where."""
        logger.info(start_in_words(self.verb, start))
        if start.dashboard is not None:
            logger.info("Dashboard: %s", start.dashboard)

    def tell(self, state: "FitState") -> None:
        """Say how a pass went, if it is its turn."""
        if self.forecast is not None:
            self.forecast = self.forecast.after(state)
        level = logging.DEBUG
        if self.every and (state.iteration % self.every == 0 or state.finished):
            level = logging.INFO
        told = ", ".join([pass_line(state), *left_in_words(self.forecast)])
        logger.log(level, "Pass %d: %s", state.iteration, told)

    def watch(self, a_pass: "PassProgress") -> None:
        """See to lines that tell of the search for starts; other passes tell of themselves."""
        self.close()
        if self.every and self.forecast is not None and a_pass.name == "gmm-init":
            self._waiting = Waiting(partial(_say_first, a_pass), self._patience)

    def close(self) -> None:
        """The search for starts, or the job, has ended."""
        if self._waiting is not None:
            self._waiting.end()
            self._waiting = None


def _say_first(a_pass: "PassProgress", seconds: float) -> None:
    """Say what the first pass of a fit is at."""
    if a_pass.done() == a_pass.parts:
        logger.info(
            "Finding starts in a sample, %s so far: with many components that takes minutes.",
            stopwatch(seconds),
        )
    else:
        logger.info("Reading all rows, %s so far.", stopwatch(seconds))


def start_in_words(verb: str, start: "Start") -> str:
    """What is done with which rows, and where."""
    rows = "rows" if start.rows is None else f"{start.rows:,} rows"
    features = f"{start.n_features} column{'s' * (start.n_features != 1)}"
    return f"{verb} {rows} of {features} {start.place}."


def pass_line(state: "FitState") -> str:
    """What a pass found, and how fast."""
    best = state.best
    change = "" if math.isinf(best.change) else f" change {best.change:.2e},"
    others = "".join(f" {told}," for told in going_in_words(state))
    return f"lower bound {best.lower_bound:.6f},{change}{others} {speed_in_words(state)}"


def speed_in_words(state: "FitState") -> str:
    """Rows a second of the latest pass."""
    return f"{count(state.rows / max(state.seconds, 1e-9))} rows/s"


def going_in_words(state: "FitState") -> list[str]:
    """How many of several starts go on."""
    going = sum(trace.stopped is None for trace in state.traces)
    return [f"{going} of {len(state.traces)} go on"] if len(state.traces) > 1 else []


def left_in_words(forecast: "Forecast | None", passed: float = 0.0) -> list[str]:
    """How many passes are expected still and how long they take; nothing where nobody knows.

    Parameters
    ----------
    forecast : Forecast or None
    passed : float
        Seconds since its latest pass.
    """
    passes = None if forecast is None else forecast.passes_left
    if forecast is None or forecast.seconds_left is None or not passes:
        return []
    more = f"about {passes} pass{'es' * (passes != 1)} more"
    return [more, f"{stopwatch(max(forecast.seconds_left - passed, 0.0))} left"]
