"""Rows of Zarr stores, versions 2 and 3: an array of shape (n, D), the only one or a named one."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, final

import numpy as np

from daskgmm.data.files.versions import InputFile, record_of
from daskgmm.data.formats.array_table import StoredArrayTable
from daskgmm.data.formats.packing import Packing, packing_of
from daskgmm.data.formats.stored_array import (
    EncodedArray,
    only_numeric_matrix,
    require_numeric_matrix,
)
from daskgmm.data.storage.errors import changed, decoder_errors, input_errors
from daskgmm.data.storage.retry import retried
from daskgmm.errors import DataError, require_package

logger = logging.getLogger(__name__)


@final
class ZarrArray(EncodedArray):
    """An array of shape (n, D) in a store."""

    @contextmanager
    def opened(self, rows: slice) -> Iterator[Any]:
        """Open the array for reading some rows; see `StoredArray.opened`."""
        with input_errors(self.file.path):
            with decoder_errors(self.file.path):
                array = _opened(self.file, self.name)
                folder = f"{self.file.key}/{self.name}".rstrip("/")
                keys = [f"{folder}/{key}" for key in _chunks(array, rows)]
            self._check(keys)
            yield self.unpacked(array)
            if self.file.local is not None:
                self._check(keys)

    def _check(self, keys: Sequence[str]) -> None:
        """Raise if chunks are newer than the store was when it was listed; some may not exist."""
        local, newest = self.file.local is not None, self.file.record.modified
        if newest is None:
            return
        paths = {each for key in keys for each in _watched_paths(key, local=local)}
        if not local:
            self.file.filesystem.invalidate_cache()
        for path in paths:
            try:
                modified = record_of(self.file.filesystem, path).modified
            except FileNotFoundError:
                continue
            if modified is not None and modified > newest:
                raise changed(self.file.path)


def _watched_paths(key: str, *, local: bool) -> list[str]:
    # A folder's time also changes when a file in it is removed.
    return [key, str(Path(key).parent)] if local else [key]


def open_zarr(files: Sequence[InputFile]) -> StoredArrayTable:
    """Find the arrays of Zarr stores.

    Raises
    ------
    ConfigurationError
        The package zarr isn't installed or is too old, or a store has several arrays and none is
        chosen.
    DataError
        A store is damaged, or has no such array of numbers.
    """
    require_package("zarr", "zarr", "Reading Zarr stores needs the package zarr")
    return StoredArrayTable(tuple(map(_described, files)))


@retried
def _described(file: InputFile) -> ZarrArray:
    with decoder_errors(file.path, seen=not file.inner):  # not opened before
        name, found = file.inner, _opened(file, file.inner)
        if not hasattr(found, "chunks"):  # a group
            arrays = {
                path: (array.shape, array.dtype)
                for path, array in found.members(max_depth=None)
                if hasattr(array, "chunks")
            }
            within = only_numeric_matrix(file.path, arrays)
            name, found = f"{name}/{within}".lstrip("/"), found[within]
        require_numeric_matrix(file.path, found.shape, found.dtype)
        packing = packing_of(file.path, found.dtype, found.attrs.asdict(), _fill(found))
        _require_written(file.path, found, packing)
        return ZarrArray(file, name, found.shape, found.dtype, found.chunks[0], packing)


def _fill(array: Any) -> list[Any]:
    """The fill value if xarray wrote the array: it means missing and is in Zarr's metadata."""
    by_xarray = array.metadata.zarr_format == 2 and "_ARRAY_DIMENSIONS" in array.attrs
    return [array.fill_value.item()] if by_xarray and array.fill_value else []


def _require_written(path: str, array: Any, packing: Packing) -> None:
    """Raise or warn if chunks are missing: Zarr leaves out those with only fill values.

    Raises
    ------
    DataError
        Their values are unknown, or the fill value is hardly meant as a number.
    """
    missing = array.nchunks - array.nchunks_initialized
    if not missing or array.size == 0:
        return
    cause = f"{path}: {missing} of {array.nchunks} chunks were never written"
    fill = array.fill_value
    if fill is None or not (np.isnan(fill) or fill == 0 or fill.item() in packing.missing):
        what = "their values are unknown" if fill is None else f"they would be read as {fill}"
        raise DataError(
            f"{cause}, and {what}.",
            "The writer may have stopped early: write it again, with all chunks "
            "(write_empty_chunks), or only the rows that exist.",
        )
    if fill == 0:
        logger.warning("%s: they are read as zeros, Zarr's fill value there.", cause)


def _opened(file: InputFile, name: str) -> Any:
    import zarr
    from zarr.errors import ArrayNotFoundError, GroupNotFoundError

    try:
        return zarr.open(_store(file), path=name or None, mode="r")
    except (ArrayNotFoundError, GroupNotFoundError, ValueError, KeyError) as error:
        what = f"array {name!r}" if name else "array or group"
        remedy = "Check the path, and that it was written to the end."
        raise DataError(f"{file.name} holds no {what} of Zarr.", remedy) from error


def _store(file: InputFile) -> Any:
    from zarr.storage import FsspecStore, LocalStore

    if file.local is not None:
        return LocalStore(file.local, read_only=True)
    mapper = file.filesystem.get_mapper(file.key)
    return FsspecStore.from_mapper(mapper, read_only=True)


def _chunks(array: Any, rows: slice) -> Iterator[str]:
    """Keys of the chunks, or shards, that hold some rows."""
    height, width = array.shards or array.chunks
    down = range(rows.start // height, -(-rows.stop // height))
    across = range(-(-array.shape[1] // width))
    for position in product(down, across):
        yield array.metadata.encode_chunk_key(position)
