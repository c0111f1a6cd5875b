"""The values that the page shows at one moment."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from daskgmm.monitoring.history import FitHistory
from daskgmm.monitoring.service.state import ClusterFits, TaskProgress

_SILENT_SECONDS, _SILENT_PASSES = 10.0, 3
_STARTING_SECONDS = 120.0
"""Before the first pass, when loops may have to be compiled on each worker."""


@dataclass(frozen=True, eq=False)
class PageView:
    """All runs, and the one that is shown with its current pass.

    Parameters
    ----------
    runs : tuple of FitHistory
        In the order of the chooser.
    run : FitHistory or None
        The run that is shown; ``None`` before the first.
    progress : TaskProgress or None
        Progress of its current pass.
    workers : mapping of str to str
        Names of the cluster's workers, by their addresses.
    now : float
        The scheduler's clock (seconds since 1970).
    """

    runs: tuple[FitHistory, ...]
    run: FitHistory | None
    progress: TaskProgress | None
    workers: Mapping[str, str]
    now: float

    @property
    def silent(self) -> float | None:
        """Seconds since the last event of a running fit, where that is unusually long."""
        if self.run is None or not self.run.running:
            return None
        began = 0.0 if self.progress is None else self.progress.began
        silent = self.now - max(self.run.heard, began)
        usual = _STARTING_SECONDS
        if self.run.passes:
            usual = max(_SILENT_SECONDS, _SILENT_PASSES * self.run.seconds / self.run.passes)
        return silent if silent > usual else None


def view(fits: ClusterFits, chosen: str, workers: Mapping[str, str]) -> PageView:
    """The view of the run whose id begins with `chosen`, or else of the first run."""
    runs = fits.histories.runs
    wanted = (run for run in runs if chosen and run.run_id.startswith(chosen))
    run = next(wanted, runs[0] if runs else None)
    progress = None if run is None or not run.running else fits.tasks.progress_of(run.run_id)
    return PageView(runs, run, progress, workers, time.time())
