"""Rows of NumPy's ``.npy`` files: mapped into memory here, byte ranges of them in stores."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from daskgmm.data.files.versions import InputFile, for_each
from daskgmm.data.formats.array_table import StoredArrayTable
from daskgmm.data.formats.stored_array import require_numeric_matrix
from daskgmm.data.storage.errors import decoder_errors, input_errors
from daskgmm.data.storage.retry import retried
from daskgmm.errors import DataError

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}  # the third version is for names of fields


@dataclass(frozen=True)
class NpyArray:
    """The array of shape (n, D) in a .npy file.

    Parameters
    ----------
    file : InputFile
    shape : tuple of int
    dtype : dtype
    by_columns : bool
        Whether the array is stored by columns (Fortran order).
    offset : int
        Bytes before the first number.
    """

    file: InputFile
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    by_columns: bool
    offset: int

    @property
    def chunk_rows(self) -> int:
        """Always 1: each row can be read by itself."""
        return 1

    @property
    def decoded(self) -> bool:
        """Whether reading copies numbers: false if the floats of a mapped file are used."""
        return self.file.local is None or self.dtype not in _FLOATS

    @contextmanager
    def opened(self, rows: slice) -> Iterator[Any]:  # noqa: ARG002  the protocol's signature
        """Map the file, for a part at a time: pages that were read count as this process's."""
        if self.file.local is not None:
            with input_errors(self.file.path), self.file.unchanged():
                with decoder_errors(self.file.path):
                    mapped = np.load(self.file.local, mmap_mode="r", allow_pickle=False)
                yield mapped
        else:
            with self.file.reading(cache_type="none") as stream:
                yield _ByteRanges(self, stream)


@dataclass(frozen=True)
class _ByteRanges:
    """An array in a store whose slices are read as byte ranges."""

    array: NpyArray
    stream: Any

    def __getitem__(self, cut: tuple[slice, slice]) -> NDArray[Any]:
        rows, columns = cut
        count, width = self.array.shape
        if self.array.by_columns:
            found = [
                self._values(column * count + rows.start, rows.stop - rows.start)
                for column in range(columns.start, columns.stop)
            ]
            return np.stack(found, axis=1)
        values = self._values(rows.start * width, (rows.stop - rows.start) * width)
        return values.reshape(-1, width)[:, columns]

    def _values(self, first: int, count: int) -> NDArray[Any]:
        size = self.array.dtype.itemsize
        self.stream.seek(self.array.offset + first * size)
        content = self.stream.read(count * size)
        if len(content) != count * size:
            raise _cut_short(self.array.file.path)
        return np.frombuffer(content, self.array.dtype)


def open_npy(files: Sequence[InputFile]) -> StoredArrayTable:
    """Read the headers of ``.npy`` files.

    Raises
    ------
    DataError
        A file is damaged, or holds something other than rows and columns of numbers.
    """
    return StoredArrayTable(tuple(for_each(files, _described)))


@retried
def _described(file: InputFile) -> NpyArray:
    with decoder_errors(file.path), file.open() as stream:
        try:
            shape, by_columns, dtype = _HEADERS[npy_format.read_magic(stream)](stream)
        except (ValueError, KeyError) as error:
            remedy = "Write it with numpy.save, as an array of numbers."
            raise DataError(f"{file.path} is not a .npy file of numbers.", remedy) from error
        offset = stream.tell()
    require_numeric_matrix(file.path, shape, dtype)
    if min(shape) < 0:
        raise DataError(f"{file.path} is damaged: its header says {shape}.", "Write it again.")
    size = file.record.bytes
    if size is not None and size < offset + prod(shape) * dtype.itemsize:
        raise _cut_short(file.path)
    return NpyArray(file, (shape[0], shape[1]), dtype, by_columns, offset)


def _cut_short(path: str) -> DataError:
    remedy = "It may not be written to the end: write it again or leave it out."
    return DataError(f"{path} is shorter than its header says.", remedy)
