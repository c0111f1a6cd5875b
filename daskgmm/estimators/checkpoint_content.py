"""What a checkpoint holds, as the content of a file."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError

from daskgmm.errors import DataError
from daskgmm.estimators.progress import Progress
from daskgmm.estimators.tensor_file import TensorFile
from daskgmm.estimators.values import Arrays, digest, from_plain, to_plain

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
                raise ValueError("checksum")  # noqa: TRY301  said below, as for other damage
            return cls(found["fit"], found["random"], from_plain(found["progress"], file.tensors))
        except (SafetensorError, LookupError, ValueError, TypeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{name} is not a whole checkpoint of daskgmm ({type(error).__name__}).",
                "Remove it to fit from the start, or name another file.",
            ) from error


def _listed(state: Any) -> Any:
    """A random state with lists in place of arrays."""
    if isinstance(state, dict):
        return {key: _listed(one) for key, one in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state
