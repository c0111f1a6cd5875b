"""Rows of HDF5 files: a dataset of shape (n, D), the only one or one that is named."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.failures import explained
from daskgmm.data.files import InputFile
from daskgmm.data.matrices import MatrixTable
from daskgmm.data.matrix import only_matrix, require_matrix
from daskgmm.data.retrying import persistent
from daskgmm.data.windows import Window
from daskgmm.errors import ConfigurationError, DataError


@dataclass(frozen=True)
class Hdf5Matrix:
    """A dataset of shape (n, D).

    HDF5 does one thing at a time in a process, so threads wait for each other here.

    Parameters
    ----------
    file : InputFile
    name : str
        Of the dataset.
    shape : tuple of int
    dtype : dtype
    chunk_rows : int
    """

    file: InputFile
    name: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    chunk_rows: int

    @property
    def decoded(self) -> bool:
        """Always: even plain numbers are copied."""
        return True

    @contextmanager
    def opened(self, rows: slice) -> Iterator[Any]:  # noqa: ARG002  the protocol's signature
        """Open the file, for a part at a time."""
        with explained(self.file.path), _opened(self.file) as (opened, window):
            if window is None:
                yield opened[self.name]
            else:
                yield _Fetched(window.repeat(lambda: opened[self.name]), window)


@dataclass(frozen=True)
class _Fetched:
    """Slices of a dataset in a store, each fetched when it is asked for."""

    dataset: Any
    window: Window

    def __getitem__(self, cut: tuple[slice, slice]) -> NDArray[Any]:
        if self.dataset.chunks:
            self.window.repeat(lambda: self._want_chunks(cut))
        values: NDArray[Any] = self.window.repeat(lambda: self.dataset[cut])
        return values

    def _want_chunks(self, cut: tuple[slice, slice]) -> None:
        """Ask for all chunks at once: HDF5 would come to know of one after another."""
        starts = [
            range(own.start // size * size, own.stop, size)
            for own, size in zip(cut, self.dataset.chunks, strict=True)
        ]
        for start in product(*starts):
            chunk = self.dataset.id.get_chunk_info_by_coord(start)
            if chunk.byte_offset is not None:
                self.window.want(chunk.byte_offset, chunk.size)


def open_hdf5(files: Sequence[InputFile]) -> MatrixTable:
    """Find the datasets of HDF5 files.

    Raises
    ------
    ConfigurationError
        h5py isn't installed, or a file has several datasets and none is chosen.
    DataError
        A file is damaged, or has no such dataset of numbers.
    """
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        remedy = "Install it: pip install daskgmm[hdf5]."
        raise ConfigurationError("HDF5 files are read with h5py.", remedy) from error
    return MatrixTable(tuple(map(_described, files)))


@persistent
def _described(file: InputFile) -> Hdf5Matrix:
    with explained(file.path), _opened(file) as (opened, window):
        if window is None:
            return _matrix(file, opened)
        return window.repeat(lambda: _matrix(file, opened))


def _matrix(file: InputFile, opened: Any) -> Hdf5Matrix:
    name = file.inner or only_matrix(file.path, _datasets(opened))
    found = opened.get(name)
    if not hasattr(found, "chunks"):
        held = ", ".join(_datasets(opened)) or "none"
        raise DataError(f"{file.name} has no dataset {name!r}.", f"Its datasets are {held}.")
    require_matrix(file.path, found.shape or (), found.dtype)
    chunk_rows = found.chunks[0] if found.chunks else 1
    return Hdf5Matrix(file, name, found.shape, found.dtype, chunk_rows)


def _datasets(opened: Any) -> dict[str, tuple[Sequence[int], np.dtype[Any]]]:
    found = {}

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "chunks"):  # a group has none
            found[name] = (item.shape or (), item.dtype)

    opened.visititems(visit)
    return found


@contextmanager
def _opened(file: InputFile) -> Iterator[tuple[Any, Window | None]]:
    """Open a file, and a window to it where it is in a store."""
    import h5py

    if file.local is not None:
        with file.unchanged(), h5py.File(file.local, "r") as opened:
            yield opened, None
        return
    with file.reading(cache_type="none") as stream:
        window = Window(stream, stream.seek(0, os.SEEK_END))
        with window.repeat(lambda: h5py.File(window, "r")) as opened:
            yield opened, window
