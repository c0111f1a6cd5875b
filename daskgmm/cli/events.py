"""A job's events in logs for programs."""

import logging
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from daskgmm.cli.output.json_logs import event
from daskgmm.cli.output.lines import in_words, start_in_words

if TYPE_CHECKING:
    from daskgmm.jobs.listener import Start
    from daskgmm.passes.engine.progress import Pass
    from daskgmm.training.states import FitState

logger = logging.getLogger(__name__)


class Events:
    """Logs the start of a job, each pass, and the end.

    Parameters
    ----------
    job : str
        What the events of start and end begin with.
    verb : str
        What the job does with the rows.
    """

    def __init__(self, job: str, verb: str) -> None:
        self._job = job
        self._verb = verb
        self._began: float | None = None
        self._last: dict[str, Any] = {}
        self._outcome: dict[str, Any] = {}

    def wait(self, what: str) -> None:
        """A start is an event, what it waits for is none."""

    def start(self, start: "Start") -> None:
        """Rows are about to be read."""
        self._began = time.monotonic()
        self._last = {"rows": start.rows}
        text = start_in_words(self._verb, start)
        logger.info(text, extra=event(f"{self._job}-start", **asdict(start)))

    def tell(self, state: "FitState") -> None:
        """A fit has made one more pass."""
        best = state.best
        self._last = {
            "iteration": state.iteration,
            "lower_bound": best.lower_bound,
            "change": best.change,
            "rows": state.rows,
        }
        self._outcome = {"stopped": best.stopped and best.stopped.name.lower()}
        told = event("pass", **self._last, seconds=state.seconds)
        logger.info("Pass %d: %s", state.iteration, in_words(state), extra=told)

    def watch(self, a_pass: "Pass") -> None:
        """Passes are watched on terminals only."""

    def end(self) -> None:
        """All went well."""
        if self._began is None:  # nothing was to do
            return
        seconds = time.monotonic() - self._began
        told = event(f"{self._job}-end", **self._last, **self._outcome, seconds=seconds)
        logger.info("Done in %.1f s.", seconds, extra=told)
