"""Rows of HDF5 files: a dataset of shape (n, D), the only one or one that is named."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgmm.data.failures import explained
from daskgmm.data.files import InputFile
from daskgmm.data.matrices import MatrixTable
from daskgmm.data.matrix import only_matrix, require_matrix
from daskgmm.data.retrying import persistent
from daskgmm.errors import ConfigurationError, DataError

_STORE_CACHE = {"cache_type": "readahead", "block_size": 2**20}
"""Of a store's files: what HDF5 looks up lies close together, and S3's own is of 50 MiB."""


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
        with explained(self.file.path), _opened(self.file) as opened:
            yield opened[self.name]


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
    with explained(file.path), _opened(file) as opened:
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
def _opened(file: InputFile) -> Iterator[Any]:
    import h5py

    with ExitStack() as stack:
        place: Any = file.local
        if place is None:
            place = stack.enter_context(file.reading(**_STORE_CACHE))
        else:
            stack.enter_context(file.unchanged())
        yield stack.enter_context(h5py.File(place, "r"))
