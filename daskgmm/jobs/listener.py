"""Events that a job reports while it runs."""

from dataclasses import dataclass
from typing import Protocol

from daskgmm.passes.engine.progress import PassProgress
from daskgmm.training.states import FitState


@dataclass(frozen=True)
class Start:
    """Event of a job that is about to read rows.

    Parameters
    ----------
    rows : int or None
        Number of rows, where known.
    n_features : int
    place : str
        Place where the job runs, in words.
    dashboard : str or None
        The cluster's dashboard, where one is served.
    run_id : str or None
        Id of the run that the job writes, or of the one whose model it scores.
    """

    rows: int | None
    n_features: int
    place: str
    dashboard: str | None = None
    run_id: str | None = None


class Listener(Protocol):
    """Receiver of a job's events, called in the thread that runs the job."""

    def wait(self, what: str) -> None:
        """The job waits for a cluster; `what` says for what, such as ``starting a cluster``."""

    def start(self, start: Start) -> None:
        """The job is about to read rows."""

    def tell(self, state: FitState) -> None:
        """A fit has made one more pass."""

    def watch(self, a_pass: PassProgress) -> None:
        """The job is about to make a pass over rows."""


class Silence:
    """Listener that ignores all events."""

    def wait(self, what: str) -> None:
        """Do nothing."""

    def start(self, start: Start) -> None:
        """Do nothing."""

    def tell(self, state: FitState) -> None:
        """Do nothing."""

    def watch(self, a_pass: PassProgress) -> None:
        """Do nothing."""
