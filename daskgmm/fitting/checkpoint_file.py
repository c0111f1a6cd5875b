"""What a checkpoint holds, as the content of a file."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from daskgmm.errors import DataError
from daskgmm.estimators.tensor_file import SENSELESS, TensorFile
from daskgmm.fitting.progress import Progress
from daskgmm.fitting.tensors import Arrays, digest, from_plain, to_plain
from daskgmm.passes.survey import Survey
from daskgmm.training.states import FitState

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Content:
    """What a checkpoint holds.

    Parameters
    ----------
    fit : mapping
        Facts of the fit that it belongs to; see `Identity`.
    random : dict
        State of the user's random numbers.
    progress : Progress
    """

    fit: Any
    random: dict[str, Any]
    progress: Progress

    def to_bytes(self) -> bytes:
        """The file's content."""
        arrays: Arrays = {}
        progress = to_plain(self.progress, "fit", arrays)
        content = {"fit": self.fit, "random": _listed(self.random), "progress": progress}
        metadata = {"checkpoint": content, "sha256": digest(content, arrays)}
        return TensorFile(arrays, metadata).to_bytes(FORMAT)

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> Self:
        """Read a file's content; `name` is for errors.

        Raises
        ------
        DataError
            It is damaged, no checkpoint, or of a later version.
        """
        try:
            file = TensorFile.from_bytes(content, name, FORMAT)
            found = file.metadata["checkpoint"]
            if digest(found, file.tensors) != file.metadata["sha256"]:
                raise ValueError("checksum")
            progress = from_plain(found["progress"], file.tensors)
            _require_sound(found, progress)
            return cls(found["fit"], found["random"], progress)
        except SENSELESS as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{name} is not a whole checkpoint of daskgmm ({type(error).__name__}).",
                "Remove it to fit from the start, or name another file.",
            ) from error


def _require_sound(found: Any, progress: Any) -> None:
    """Fail where a fit could not go on from this."""
    np.random.RandomState().set_state(found["random"])
    parts = (progress, progress.survey, progress.state, found["fit"])
    if tuple(map(type, parts)) != (Progress, Survey, FitState, dict):
        raise TypeError("kind")
    for trace in progress.state.alive:
        trace.mixture.require_sound()


def _listed(state: Any) -> Any:
    """A random state with lists in place of arrays."""
    if isinstance(state, dict):
        return {key: _listed(one) for key, one in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state
