"""Rows of HDF5 files: a dataset of shape (n, D), the only one or one that is named."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.files.versions import InputFile
from daskgmm.data.formats.array_table import StoredArrayTable
from daskgmm.data.formats.packing import NAMES, packing_of
from daskgmm.data.formats.stored_array import (
    EncodedArray,
    only_numeric_matrix,
    require_numeric_matrix,
)
from daskgmm.data.storage.errors import decoder_errors, input_errors
from daskgmm.data.storage.prefetch import PrefetchedFile
from daskgmm.data.storage.retry import retried
from daskgmm.errors import DataError, require_package


@final
class Hdf5Array(EncodedArray):
    """A dataset of shape (n, D).

    HDF5 runs one call at a time in a process, so threads wait for each other.
    """

    @contextmanager
    def opened(self, rows: slice) -> Iterator[Any]:  # noqa: ARG002  the protocol's signature
        """Open the dataset's file for the reading of one part."""
        with input_errors(self.file.path), _opened(self.file) as (opened, window):
            with decoder_errors(self.file.path):
                if window is None:
                    array = opened[self.name]
                else:
                    array = _PrefetchedDataset(window.repeat(lambda: opened[self.name]), window)
            yield self.unpacked(array)


@dataclass(frozen=True)
class _PrefetchedDataset:
    """A dataset in a store whose slices are fetched as they are read."""

    dataset: Any
    window: PrefetchedFile

    def __getitem__(self, cut: tuple[slice, slice]) -> NDArray[Any]:
        if self.dataset.chunks:
            self.window.repeat(lambda: self._want_chunks(cut))
        values: NDArray[Any] = self.window.repeat(lambda: self.dataset[cut])
        return values

    def _want_chunks(self, cut: tuple[slice, slice]) -> None:
        """Fetch all chunks at once, which HDF5 would request one after another."""
        starts = [
            range(own.start // size * size, own.stop, size)
            for own, size in zip(cut, self.dataset.chunks, strict=True)
        ]
        for start in product(*starts):
            chunk = self.dataset.id.get_chunk_info_by_coord(start)
            if chunk.byte_offset is not None:
                self.window.want(chunk.byte_offset, chunk.size)


def open_hdf5(files: Sequence[InputFile]) -> StoredArrayTable:
    """Find the datasets of HDF5 files.

    Raises
    ------
    ConfigurationError
        h5py isn't installed, or a file has several datasets and none is chosen.
    DataError
        A file is damaged, or has no such dataset of numbers.
    """
    require_package("h5py", "hdf5", "Reading HDF5 files needs the package h5py")
    return StoredArrayTable(tuple(map(_described, files)))


@retried
def _described(file: InputFile) -> Hdf5Array:
    with decoder_errors(file.path), _opened(file) as (opened, window):
        if window is None:
            return _matrix(file, opened)
        return window.repeat(lambda: _matrix(file, opened))


def _matrix(file: InputFile, opened: Any) -> Hdf5Array:
    name = file.inner or only_numeric_matrix(file.path, _datasets(opened))
    found = opened.get(name)
    if not hasattr(found, "chunks"):
        held = ", ".join(_datasets(opened)) or "none"
        raise DataError(f"{file.name} has no dataset {name!r}.", f"Its datasets are {held}.")
    require_numeric_matrix(file.path, found.shape or (), found.dtype)
    _require_written(file, found)
    chunk_rows = found.chunks[0] if found.chunks else 1
    packing = packing_of(file.path, found.dtype, _attributes(found), _fill(found))
    return Hdf5Array(file, name, found.shape, found.dtype, chunk_rows, packing)


def _attributes(dataset: Any) -> dict[str, Any]:
    return {name: dataset.attrs[name] for name in NAMES if name in dataset.attrs}


def _fill(dataset: Any) -> list[Any]:
    """The fill value, if the writer chose one that can mean missing.

    Zero is HDF5's default, and for single bytes every value counts, as in netCDF.
    """
    from h5py import h5d

    chosen = dataset.id.get_create_plist().fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED
    if not chosen or dataset.dtype.itemsize == 1 or dataset.fillvalue == 0:
        return []
    return [dataset.fillvalue.item()]


def _require_written(file: InputFile, dataset: Any) -> None:
    """Raise DataError if HDF5 would return fill values for numbers that were never written."""
    if dataset.size == 0:
        return
    where = f"{file.name}, dataset {dataset.name}"
    remedy = "Its writer may have stopped early: write it again, or only the rows that exist."
    if dataset.is_virtual:
        _require_sources(file, dataset, where)
    elif dataset.chunks is None:
        creation = dataset.id.get_create_plist()
        if not (dataset.id.get_storage_size() or creation.get_external_count()):
            raise DataError(f"{where}: no number was ever written.", remedy)
    elif (count := _count(dataset)) > (written := dataset.id.get_num_chunks()):
        first = next((s for s in _starts(dataset) if not _is_written(dataset, s)), (0, 0))
        rows = f"rows {first[0]} to {min(first[0] + dataset.chunks[0], len(dataset)) - 1}"
        cause = f"{where}: {count - written} of {count} chunks were never written, such as {rows}."
        raise DataError(cause, remedy)


def _require_sources(file: InputFile, dataset: Any, where: str) -> None:
    """Raise DataError where a virtual dataset's files are missing."""
    for name in {source.file_name for source in dataset.virtual_sources()} - {"."}:
        known = "%" in name  # a pattern of names
        if not known and (file.local is None or not (file.local.parent / name).exists()):
            remedy = "Bring it back, or write the numbers into one file."
            raise DataError(f"{where}: its numbers are in {name}, which is missing.", remedy)


def _count(dataset: Any) -> int:
    pairs = zip(dataset.shape, dataset.chunks, strict=True)
    return prod(-(-length // size) for length, size in pairs)


def _starts(dataset: Any) -> Iterator[tuple[int, ...]]:
    pairs = zip(dataset.shape, dataset.chunks, strict=True)
    return product(*(range(0, length, size) for length, size in pairs))


def _is_written(dataset: Any, start: tuple[int, ...]) -> bool:
    return dataset.id.get_chunk_info_by_coord(start).byte_offset is not None


def _datasets(opened: Any) -> dict[str, tuple[Sequence[int], np.dtype[Any]]]:
    found = {}

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "chunks"):  # a group has none
            found[name] = (item.shape or (), item.dtype)

    opened.visititems(visit)
    return found


@contextmanager
def _opened(file: InputFile) -> Iterator[tuple[Any, PrefetchedFile | None]]:
    """Open a file, and a window to it where it is in a store."""
    import h5py

    if file.local is not None:
        with file.unchanged():
            with decoder_errors(file.path):
                opened = h5py.File(file.local, "r")
            with opened:
                yield opened, None
        return
    with file.reading(cache_type="none") as stream:
        window = PrefetchedFile(stream, stream.seek(0, os.SEEK_END))
        with decoder_errors(file.path):
            opened = window.repeat(lambda: h5py.File(window, "r"))
        with opened:
            yield opened, window
