"""Decoded blocks in files of this machine's own disk, shared by its processes.

A part is one file: its blocks' rows (D, n) and weights (n,), bytes as in memory, then a footer
of their types and shapes, the footer's length and a mark. Files are read into one array that
blocks share. Mapping them would take as long, and Dask would count mapped pages as memory of the
worker.
"""

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, final
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.source import Block
from daskgmm.data.storage.scratch import Scratch
from daskgmm.passes.cache.parts import CachedPart, NotStagedError, Stage
from daskgmm.passes.memory import disk_free

_MARK = b"gmmstage"
_TAIL_BYTES = 8 + len(_MARK)


@final
class DiskStage(Stage):
    """A stage in a folder that all processes of the machine share.

    Parameters
    ----------
    token : str
        Unique to the fit.
    """

    def __init__(self, token: str) -> None:
        self.scratch = Scratch(token)

    def load(self, position: int) -> Iterator[Block]:
        """Yield a part's blocks."""
        try:
            with FileIO(self._path(position)) as stream:
                yield from _read(stream)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise NotStagedError from error

    def entry(self, position: int) -> CachedPart:
        """Open the file of a part for writing."""
        return _DiskEntry(self._path(position))

    def remove(self) -> None:
        """Remove the stage's folder, even if other processes use it."""
        self.scratch.remove()

    def leave(self) -> None:
        """Remove the stage's folder if no other process uses it."""
        self.scratch.leave()

    def _path(self, position: int) -> Path:
        return self.scratch.folder / f"{position:08}.rows"


@dataclass(frozen=True)
class _StoredArray:
    """Type and shape of one array in a file."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return np.dtype(self.dtype).itemsize * math.prod(self.shape)


@final
class _DiskEntry(CachedPart):
    """A file that has a temporary name until it is complete, so only complete files are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f"{uuid4().hex}.partial")
        self.stream = self.partial.open("wb")
        self.contents: list[list[_StoredArray]] = []

    def add(self, block: Block) -> None:
        arrays = [block.rows] if block.weights is None else [block.rows, block.weights]
        _require_room(self.path.parent, sum(array.nbytes for array in arrays))
        for array in arrays:
            self.stream.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        self.contents.append([_StoredArray(array.dtype.str, array.shape) for array in arrays])

    def finish(self) -> None:
        blocks = [[[one.dtype, one.shape] for one in own] for own in self.contents]
        footer = json.dumps(blocks).encode()
        self.stream.write(footer + len(footer).to_bytes(8, "little") + _MARK)
        self.stream.close()
        self.partial.replace(self.path)

    def discard(self) -> None:
        with suppress(OSError):  # closing flushes, which a full disk refuses
            self.stream.close()
        with suppress(OSError):
            self.partial.unlink(missing_ok=True)


def _require_room(folder: Path, wanted: int) -> None:
    if wanted > disk_free(folder):
        raise OSError(f"the disk of {folder} is almost full")


def _read(stream: FileIO) -> Iterator[Block]:
    contents = _contents(stream)
    stream.seek(0)
    memories = [_largest(contents, which) for which in (0, 1)]
    for own in contents:
        rows, *weights = (_fill(stream, *pair) for pair in zip(own, memories, strict=False))
        yield Block(rows, weights[0] if weights else None)


def _largest(contents: Sequence[Sequence[_StoredArray]], which: int) -> NDArray[np.uint8]:
    """Array as large as the largest of one kind, which the blocks share."""
    sizes = (own[which].nbytes for own in contents if len(own) > which)
    return np.empty(max(sizes, default=0), np.uint8)


def _contents(stream: FileIO) -> Sequence[Sequence[_StoredArray]]:
    """Arrays of each block in the file; a ValueError unless the file has exactly their size."""
    size = os.fstat(stream.fileno()).st_size
    stream.seek(max(size - _TAIL_BYTES, 0))
    tail = stream.read(_TAIL_BYTES)
    length = int.from_bytes(tail[:8], "little")
    if tail[8:] != _MARK or length > size - _TAIL_BYTES:
        raise ValueError("cut short")
    stream.seek(size - _TAIL_BYTES - length)
    blocks: Any = json.loads(stream.read(length))
    contents = [[_StoredArray(dtype, tuple(shape)) for dtype, shape in own] for own in blocks]
    if sum(one.nbytes for own in contents for one in own) + length + _TAIL_BYTES != size:
        raise ValueError("of another size")
    return contents


def _fill(stream: FileIO, stored: _StoredArray, memory: NDArray[np.uint8]) -> NDArray[Any]:
    """Read one array into memory."""
    window = memory[: stored.nbytes]
    rest = window.data
    while rest:
        count = stream.readinto(rest)
        if not count:
            raise ValueError("cut short")
        rest = rest[count:]
    return window.view(stored.dtype).reshape(stored.shape)
