"""What the page shows at a moment."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from daskgmm.monitoring.history import FitHistory
from daskgmm.monitoring.state import Board, TaskProgress

_SILENT_SECONDS = 10.0
_SILENT_PASSES = 3


@dataclass(frozen=True, eq=False)
class PageView:
    """A run among others.

    Parameters
    ----------
    runs : tuple of FitHistory
        All of them, in the order of the chooser.
    run : FitHistory or None
        The one that is shown; ``None`` where there is none yet.
    progress : TaskProgress or None
        Of its current pass.
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
        """Seconds without news of a run that goes on, where that is longer than usual."""
        if self.run is None or not self.run.running:
            return None
        began = 0.0 if self.progress is None else self.progress.began
        usual = _SILENT_PASSES * self.run.seconds / max(self.run.passes, 1)
        silent = self.now - max(self.run.heard, began)
        return silent if silent > max(_SILENT_SECONDS, usual) else None


def view(board: Board, chosen: str, workers: Mapping[str, str]) -> PageView:
    """What there is to show of the run whose id begins with `chosen`; else of the first one."""
    runs = board.history.runs
    wanted = (run for run in runs if chosen and run.run_id.startswith(chosen))
    run = next(wanted, runs[0] if runs else None)
    progress = None if run is None or not run.running else board.tally.of(run.run_id)
    return PageView(runs, run, progress, workers, time.time())
