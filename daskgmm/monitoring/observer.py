"""The interface of observers of fits, and the values that they are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from daskgmm.model.frame import Frame
from daskgmm.training.refinement.search import Refinement
from daskgmm.training.states import FitState


@dataclass(frozen=True, eq=False)
class FitStart:
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
        Number of rows, where known.
    n_features : int
    columns : tuple of str or None
        Names of the features, where they have any.
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
class FitPass:
    """A fit after one more pass.

    Parameters
    ----------
    state : FitState
    frame : Frame
        The coordinates of the state's mixtures.
    passes : int
        Passes over all rows so far, those of the initialisation included.
    bytes_read : int
        Bytes that this pass read.
    refinements : tuple of Refinement
        What the searches for starts did, where there were any.
    """

    state: FitState
    frame: Frame
    passes: int
    bytes_read: int
    refinements: tuple[Refinement, ...] = ()


class Reason(Enum):
    """How a fit ended; events and metrics have the value."""

    CONVERGED = "converged"
    MAX_ITER = "max_iter"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class FittedEstimator(Protocol):
    """A fitted estimator, mixture or selector, as far as observers know it."""

    def save(self, path: Any, *, storage_options: dict[str, Any] | None = None) -> None:
        """Write the model to a file, as `daskgmm.GaussianMixture.save` does."""


@dataclass(frozen=True, eq=False)
class FitEnd:
    """A fit that has ended.

    Parameters
    ----------
    reason : Reason
    seconds : float
        Wall time of the fit in this process.
    message : str or None
        Text of the error that the fit failed with.
    estimator : FittedEstimator or None
        The fitted estimator; ``None`` where the fit failed.
    error : type of BaseException or None
        Class of the error that the fit failed with.
    """

    reason: Reason
    seconds: float
    message: str | None = None
    estimator: FittedEstimator | None = None
    error: type[BaseException] | None = None


@runtime_checkable
class Observer(Protocol):
    """Follows a fit, called in the thread that runs it; it can neither fail nor change the fit."""

    def start(self, about: FitStart) -> None:
        """Take note that the fit begins; no row has been read yet."""

    def tell(self, made: FitPass) -> None:
        """Take note of one more pass."""

    def end(self, ending: FitEnd) -> None:
        """Take note that the fit has ended, with or without an error."""
