"""Reports of the search for starts, from the task that makes it."""

import time
from contextlib import suppress
from dataclasses import replace

from daskgmm.monitoring.messages import searched
from daskgmm.passes.engine.progress import Reports
from daskgmm.training.search_progress import EM, FOUND, SearchProgress

_SECONDS_BETWEEN_REPORTS = 0.5

_SHARE_OF_TIME = 0.005
"""Time between reports as a share of the time so far, so that long searches fill no log."""


class StartsReport:
    """Reports a search's progress as events: each change of phase, else a few a second at most.

    It is pickled with the task that makes the search, and reports from there. No error of a
    report ends the search.

    Parameters
    ----------
    run_id : str
    candidate : int
        Number of the candidate that the starts are for.
    reports : Reports
    """

    def __init__(self, run_id: str, candidate: int, reports: Reports) -> None:
        self._run_id, self._candidate, self._reports = run_id, candidate, reports
        self._last: tuple[object, ...] = ()
        self._began = self._next = 0.0
        self._since: tuple[float, float] | None = None
        self._latest = SearchProgress()

    def __call__(self, progress: SearchProgress) -> None:
        """Report how far the search is, if that is due."""
        with suppress(Exception):
            now, self._latest = time.monotonic(), progress
            self._began = self._began or now
            if progress.phase == EM and self._since is None:
                self._since = now, progress.spent
            place = (progress.phase, progress.done, progress.of, progress.taken)
            if place != self._last or now >= self._next:
                self._last = place
                pause = max(_SECONDS_BETWEEN_REPORTS, _SHARE_OF_TIME * (now - self._began))
                self._next = now + pause
                self._send(progress, self._seconds_left(progress, now))

    def end(self) -> None:
        """Report that the starts are found."""
        with suppress(Exception):
            self._send(replace(self._latest, phase=FOUND), 0.0)

    def _send(self, progress: SearchProgress, seconds_left: float | None) -> None:
        client = self._reports.client
        event = searched(self._run_id, client, self._candidate, progress, seconds_left)
        self._reports.send(event)

    def _seconds_left(self, progress: SearchProgress, now: float) -> float | None:
        """Seconds until all multiplications are used up, at the rate in this process so far."""
        if self._since is None or progress.phase != EM:
            return None
        began, before = self._since
        spent = progress.spent - before
        return (progress.most - progress.spent) * (now - began) / spent if spent > 0 else None
