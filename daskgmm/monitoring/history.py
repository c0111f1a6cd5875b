"""The fits of a cluster as its scheduler remembers them: bounded, however long they go on."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from daskgmm.monitoring.run import Run
from daskgmm.monitoring.schema import is_ours

MOST_RUNS = 20


class History:
    """Fits, from the events that they log; may be read while it is told of more.

    Parameters
    ----------
    most : int
        Runs that are kept: of more, those that ended are forgotten first, the oldest first.
    """

    def __init__(self, most: int = MOST_RUNS) -> None:
        self._most = most
        self._runs: dict[str, Run] = {}
        self._outcomes: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._version = 0

    @property
    def version(self) -> int:
        """Grows with all that is told."""
        return self._version

    @property
    def runs(self) -> tuple[Run, ...]:
        """What is known of each fit: those that run first, of these the newest first."""
        with self._lock:
            runs = list(self._runs.values())
        return tuple(sorted(runs, key=lambda run: (not run.running, -run.started)))

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many fits have ended, by `Run.state`; those that are forgotten count on."""
        with self._lock:
            return dict(self._outcomes)

    def tell(self, event: Any, at: float) -> None:
        """Take in an event of a fit; anything else is let pass.

        Parameters
        ----------
        event : dict
            As `messages` makes them.
        at : float
            When the scheduler got it, by its own clock (seconds since 1970).
        """
        if not is_ours(event):
            return
        with self._lock:
            run_id = event["run_id"]
            run = self._runs.get(run_id) or Run(run_id, heard=at)
            self._keep(run.told(event, at))

    def lose(self, run_ids: Iterable[str], at: float) -> None:
        """The processes that made these fits have left the cluster."""
        with self._lock:
            for run_id in run_ids:
                run = self._runs.get(run_id)
                if run is not None and run.running:
                    self._keep(run.left(at))

    def _keep(self, run: Run) -> None:
        before = self._runs.get(run.run_id)
        if not run.running and (before is None or before.running):
            self._outcomes[run.state] += 1
        self._runs[run.run_id] = run
        self._version += 1
        if len(self._runs) > self._most:
            others = (one for one in self._runs.values() if one is not run)
            del self._runs[min(others, key=lambda one: (one.running, one.heard)).run_id]
