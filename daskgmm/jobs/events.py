"""What a job tells while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

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


@dataclass(frozen=True)
class Parts:
    """How far a job that goes part by part has come.

    Parameters
    ----------
    total : int
    done : callable
        Tells the number of parts done so far.
    """

    total: int
    done: Callable[[], int]


class Listener(Protocol):
    """Told of what happens, in the thread that runs the job."""

    def start(self, start: Start) -> None:
        """The job is about to read rows."""

    def tell(self, state: FitState) -> None:
        """A fit has made one more pass."""

    def watch(self, parts: Parts) -> None:
        """The job goes part by part."""


class Silence:
    """Tells nobody."""

    def start(self, start: Start) -> None:
        """Nothing."""

    def tell(self, state: FitState) -> None:
        """Nothing."""

    def watch(self, parts: Parts) -> None:
        """Nothing."""
