"""Log lines that say how far a job is, where lines can't move."""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from daskgmm.monitoring.phrases import (
    READING_ROWS,
    figures_of_state,
    remaining,
    rows_and_columns,
    search_line,
)
from daskgmm.monitoring.text import capitalised, time_so_far

if TYPE_CHECKING:
    from daskgmm.jobs.listener import Start
    from daskgmm.monitoring.forecast import Forecast
    from daskgmm.passes.engine.progress import PassProgress
    from daskgmm.training.states import FitState


PATIENCE = 20.0
"""Seconds from one line to the next during the search for starts."""

logger = logging.getLogger(__name__)


class Repeater:
    """Calls a function every so many seconds from a thread of its own, until it is stopped.

    Parameters
    ----------
    function : callable
        Takes the seconds since the beginning.
    interval : float
        Seconds from one call to the next.
    """

    def __init__(self, function: Callable[[float], None], interval: float) -> None:
        self._function, self._interval = function, interval
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="daskgmm-waiting", daemon=True).start()

    def stop(self) -> None:
        """Make no more calls."""
        self._stopped.set()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stopped.wait(self._interval):
            self._function(time.monotonic() - began)


class ProgressLines:
    """Logs a line at the start, one for every few passes and one for the last.

    The search for starts takes long with many components, so a line now and then reports it.

    Parameters
    ----------
    verb : str
        The job in a word, such as "Fitting".
    every : int
        Passes from one line to the next; 0 for none.
    forecast : Forecast or None
        Forecast of a fit before its first pass.
    patience : float
        Seconds from one line to the next during the search for starts.
    """

    def __init__(
        self,
        verb: str,
        *,
        every: int,
        forecast: "Forecast | None" = None,
        patience: float = PATIENCE,
    ) -> None:
        self.verb = verb
        self.every = every
        self.forecast = forecast
        self._patience = patience
        self._search: Repeater | None = None

    def wait(self, what: str) -> None:
        """Do nothing: waiting is shown on terminals only."""

    def start(self, start: "Start") -> None:
        """Log the job's purpose, and where it runs."""
        logger.info(start_line(self.verb, start))
        if start.dashboard is not None:
            logger.info("Dashboard: %s", start.dashboard)

    def tell(self, state: "FitState") -> None:
        """Log the figures of a pass: as INFO every so many passes, else as DEBUG."""
        if self.forecast is not None:
            self.forecast = self.forecast.after(state)
        level = logging.DEBUG
        if self.every and (state.iteration % self.every == 0 or state.finished):
            level = logging.INFO
        criterion = "bic" if self.forecast is None else self.forecast.criterion
        line = ", ".join([pass_line(state, criterion), *remaining_phrases(self.forecast)])
        logger.log(level, "Pass %d: %s", state.iteration, line)

    def watch(self, a_pass: "PassProgress") -> None:
        """Log the search for starts now and then; later passes are logged when they end."""
        self.close()
        if self.every and self.forecast is not None and a_pass.name.startswith("gmm-init"):
            self._search = Repeater(partial(_log_search, a_pass), self._patience)

    def close(self) -> None:
        """Stop logging the search for starts: it has ended, or the job has."""
        if self._search is not None:
            self._search.stop()
            self._search = None


def _log_search(a_pass: "PassProgress", seconds: float) -> None:
    """Log how far the search for starts is, or that the rows for it are read."""
    step = search_line(a_pass.events()) if a_pass.name == "gmm-init-starts" else READING_ROWS
    logger.info("%s, %s so far.", capitalised(step), time_so_far(seconds))


def start_line(verb: str, start: "Start") -> str:
    """A sentence about a job: its purpose, its rows, and where it runs."""
    return f"{verb} {rows_and_columns(start.rows, start.n_features)} {start.place}."


def pass_line(state: "FitState", criterion: str = "bic") -> str:
    """The figures of a pass; `criterion` is that of a selection."""
    return ", ".join(map(str, figures_of_state(state, criterion=criterion)))


def remaining_phrases(forecast: "Forecast | None", since: float = 0.0) -> list[str]:
    """How many passes a fit still needs and how long they take; empty where that is unknown.

    Parameters
    ----------
    forecast : Forecast or None
    since : float
        Seconds since its latest pass.
    """
    left = None if forecast is None else forecast.remaining
    if left is None or not left.passes:
        return []
    return [str(remaining(left.passes, max(left.seconds - since, 0.0)))]
