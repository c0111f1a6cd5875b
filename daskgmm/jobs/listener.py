"""What a job tells while it runs."""

from dataclasses import dataclass
from typing import Protocol

from daskgmm.passes.engine.progress import PassProgress
from daskgmm.training.states import FitState


@dataclass(frozen=True)
class Start:
    """A job is about to read rows.

    Parameters
    ----------
    rows : int or None
        Where known.
    n_features : int
    place : str
        Where it runs.
    dashboard : str or None
        The cluster's dashboard, where one is served.
    run_id : str or None
        Of the run that the job writes, if it does.
    """

    rows: int | None
    n_features: int
    place: str
    dashboard: str | None = None
    run_id: str | None = None


class Listener(Protocol):
    """Told of what happens, in the thread that runs the job."""

    def wait(self, what: str) -> None:
        """The job waits for a cluster: what that does, such as ``starting a cluster``."""

    def start(self, start: Start) -> None:
        """The job is about to read rows."""

    def tell(self, state: FitState) -> None:
        """A fit has made one more pass."""

    def watch(self, a_pass: PassProgress) -> None:
        """The job is about to make a pass over rows."""


class Silence:
    """Tells nobody."""

    def wait(self, what: str) -> None:
        """Nothing."""

    def start(self, start: Start) -> None:
        """Nothing."""

    def tell(self, state: FitState) -> None:
        """Nothing."""

    def watch(self, a_pass: PassProgress) -> None:
        """Nothing."""
