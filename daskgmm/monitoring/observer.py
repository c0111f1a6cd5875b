"""What an observer of fits is told, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from daskgmm.model.frame import Frame
from daskgmm.training.states import FitState


@dataclass(frozen=True, eq=False)
class About:
    """A fit that begins.

    Parameters
    ----------
    run_id : str
    estimator : str
        Name of its class.
    parameters : mapping
        The estimator's own.
    kinds : tuple of (int, str)
        Number of components and covariance type of each candidate.
    rows : int or None
        Where known.
    n_features : int
    columns : tuple of str or None
        Where the features have names.
    parts : int
        Partitions of the rows.
    """

    run_id: str
    estimator: str
    parameters: Mapping[str, Any]
    kinds: tuple[tuple[int, str], ...]
    rows: int | None
    n_features: int
    columns: tuple[str, ...] | None
    parts: int


@dataclass(frozen=True, eq=False)
class Pass:
    """A fit after one more pass.

    Parameters
    ----------
    state : FitState
    frame : Frame
        The coordinates of the state's mixtures.
    passes : int
        Over all rows so far, those of the initialisation included.
    bytes_read : int
        By this pass.
    """

    state: FitState
    frame: Frame
    passes: int
    bytes_read: int


class Reason(Enum):
    """How a fit ended; the value is how programs are told."""

    CONVERGED = "converged"
    MAX_ITER = "max_iter"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, eq=False)
class Ending:
    """A fit that has ended.

    Parameters
    ----------
    reason : Reason
    seconds : float
        Since it began here.
    message : str or None
        Of the error that it failed with.
    estimator : object or None
        Fitted; ``None`` where it failed.
    """

    reason: Reason
    seconds: float
    message: str | None = None
    estimator: Any = None


@runtime_checkable
class Observer(Protocol):
    """Told of a fit, in the thread that runs it. It can neither fail nor change it."""

    def start(self, about: About) -> None:
        """The fit begins: no row has been read."""

    def tell(self, made: Pass) -> None:
        """One more pass has been made."""

    def end(self, ending: Ending) -> None:
        """The fit has ended, well or not."""
