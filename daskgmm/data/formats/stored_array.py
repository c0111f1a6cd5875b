"""Two-dimensional arrays in files of any format: their interface, unpacking and checks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.files.versions import InputFile
from daskgmm.data.formats.packing import Packing
from daskgmm.data.storage.errors import decoder_errors
from daskgmm.errors import ConfigurationError, DataError, InputTypeError


class StoredArray(Protocol):
    """An array of shape (n, D) in a file."""

    @property
    def file(self) -> InputFile:
        """The file, and the array's name in it."""

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns, (n, D)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the array's numbers."""

    @property
    def chunk_rows(self) -> int:
        """Rows that are decoded together; 1 where each can be read by itself."""

    @property
    def decoded(self) -> bool:
        """Whether reading takes more than a view of memory."""

    def opened(self, rows: slice) -> AbstractContextManager[Any]:
        """Open the array for reading some rows; slices by rows and columns give NumPy arrays.

        Raises
        ------
        DataError
            The file has changed since it was opened.
        """


@dataclass(frozen=True)
class EncodedArray(ABC):
    """A stored array whose numbers are decoded and unpacked when they are read.

    Parameters
    ----------
    file : InputFile
    name : str
        Name of the array in the file; empty where it is the file's only content.
    shape : tuple of int
    stored : dtype
        Type of the numbers as they are stored.
    chunk_rows : int
    packing : Packing
    """

    file: InputFile
    name: str
    shape: tuple[int, int]
    stored: np.dtype[Any]
    chunk_rows: int
    packing: Packing

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers as they are read."""
        return self.packing.read_as(self.stored)

    @property
    def decoded(self) -> bool:
        """Always true: even plain numbers are copied."""
        return True

    @abstractmethod
    def opened(self, rows: slice) -> AbstractContextManager[Any]:
        """Open the array for reading some rows; see `StoredArray.opened`."""

    def unpacked(self, array: Any) -> "PackedArray":
        """The array, once its file is open, with slices that are unpacked."""
        return PackedArray(array, self.packing, self.file.path, self.chunk_rows)


class PackedArray:
    """An array of a file whose slices are decoded and unpacked as they are read.

    Parameters
    ----------
    array : array-like
    packing : Packing
    path : str
        The file and the array in it, for errors.
    chunk_rows : int
        Rows that are decoded together.
    """

    def __init__(self, array: Any, packing: Packing, path: str, chunk_rows: int) -> None:
        self._array = array
        self._packing = packing
        self._path = path
        self._chunk_rows = chunk_rows

    def __getitem__(self, cut: tuple[slice, slice]) -> NDArray[Any]:
        rows, columns = cut
        try:
            stored = self._read(rows, columns)
        except DataError:
            if (
                rows.stop - rows.start > self._chunk_rows
            ):  # read by chunks, to name the damaged rows
                for start in range(rows.start, rows.stop, self._chunk_rows):
                    self._read(slice(start, min(start + self._chunk_rows, rows.stop)), columns)
            raise
        return self._packing.unpacked(stored)

    def _read(self, rows: slice, columns: slice) -> NDArray[Any]:
        with decoder_errors(f"{self._path}, rows {rows.start} to {rows.stop - 1},"):
            return np.asarray(self._array[rows, columns])


def require_numeric_matrix(path: str, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Raise unless an array holds rows and columns of real numbers.

    Raises
    ------
    DataError
        It is not two-dimensional.
    InputTypeError
        It holds something other than real numbers.
    """
    if dtype.kind not in "biuf":
        kind = "Python objects" if dtype.kind == "O" else f"{dtype}, not of real numbers"
        remedy = "Write it as numbers, as with array.astype(float)."
        raise InputTypeError(f"{path} is an array of {kind}.", remedy)
    if len(shape) != 2:
        cause = f"{path} has shape {tuple(shape)}; rows and columns are expected."
        raise DataError(cause, "Write it as array.reshape(-1, 1) if it is one feature.")


def is_numeric_matrix(shape: Sequence[int], dtype: np.dtype[Any]) -> bool:
    """Whether an array passes `require_numeric_matrix`."""
    return len(shape) == 2 and dtype.kind in "biuf"


def only_numeric_matrix(path: str, arrays: dict[str, tuple[Sequence[int], np.dtype[Any]]]) -> str:
    """Name of the only two-dimensional array of numbers in a file.

    Raises
    ------
    DataError
        There is none.
    ConfigurationError
        There are several.
    """
    fitting = sorted(name for name, described in arrays.items() if is_numeric_matrix(*described))
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        remedy = f"Name one as in {path}/{fitting[0]}."
        raise ConfigurationError(f"{path} holds several arrays: {', '.join(fitting)}.", remedy)
    held = ", ".join(f"{name} {tuple(shape)} of {kind}" for name, (shape, kind) in arrays.items())
    cause = f"{path} holds no two-dimensional array of numbers; it holds {held or 'nothing'}."
    raise DataError(cause, "Write the rows as an array of shape (rows, columns).")
