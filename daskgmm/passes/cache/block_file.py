"""A file of decoded blocks, read past the operating system's cache where that does not have it.

Each block's rows (D, n) and weights (n,) follow each other, bytes as in memory, and each array
begins at a multiple of a page. Then come a footer of types and shapes, its length and a mark.

What the operating system caches of a file costs a copy: for rows of 20 columns a quarter of the
time that the moments of 20 components take (Intel Xeon, Sapphire Rapids). Files larger than that
cache are not even found in it: a pass that reads them in order pushes out what the next one needs
first.
"""

import ctypes
import json
import math
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from io import FileIO
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.source import Block

_MARK = b"gmmstage"
_TAIL_BYTES = 8 + len(_MARK)

_PAGE = mmap.ALLOCATIONGRANULARITY

_FEWEST_DIRECT_BYTES = 2**20
"""Smaller blocks are read as usual: asking whether they are cached would take longer."""


@dataclass(frozen=True)
class StoredArray:
    """Type and shape of one array in a file."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return np.dtype(self.dtype).itemsize * math.prod(self.shape)

    @property
    def extent(self) -> int:
        """Bytes that it takes in a file: whole pages."""
        return -(-self.nbytes // _PAGE) * _PAGE


def arrays_of(block: Block) -> list[NDArray[Any]]:
    """Arrays of a block that a file holds."""
    return [block.rows] if block.weights is None else [block.rows, block.weights]


def write_block(stream: BinaryIO, block: Block) -> list[StoredArray]:
    """Append a block, and return what the footer needs of it."""
    stored = [StoredArray(array.dtype.str, array.shape) for array in arrays_of(block)]
    for array, own in zip(arrays_of(block), stored, strict=True):
        stream.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        stream.write(bytes(own.extent - own.nbytes))
    return stored


def write_footer(stream: BinaryIO, contents: Sequence[Sequence[StoredArray]]) -> None:
    """Append the footer, which makes the file complete."""
    footer = json.dumps([[[one.dtype, one.shape] for one in own] for own in contents]).encode()
    stream.write(footer + len(footer).to_bytes(8, "little") + _MARK)


class Buffers:
    """Memory for two blocks, in turns: one can be filled while the other is in use."""

    def __init__(self) -> None:
        self._memory = [np.empty(0, np.uint8)] * 2

    def next(self, n_bytes: int) -> NDArray[np.uint8]:
        """So many bytes, at the beginning of a page, in the place of the block before the last."""
        self._memory.reverse()
        if len(self._memory[0]) < n_bytes:
            self._memory[0] = np.empty(0, np.uint8)  # never three blocks
            whole = np.empty(n_bytes + _PAGE, np.uint8)
            self._memory[0] = whole[-whole.ctypes.data % _PAGE :]
        return self._memory[0][:n_bytes]


class BlockFile:
    """A complete file of blocks.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError, ValueError, TypeError, KeyError
        There is no such file, or it is not complete.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with FileIO(path) as stream:
            if hasattr(os, "posix_fadvise"):  # no rows are read with the footer
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            self._contents = _contents(stream)
        sizes = (sum(one.extent for one in own) for own in self._contents)
        self._edges = list(accumulate(sizes, initial=0))

    def __len__(self) -> int:
        """Number of blocks."""
        return len(self._contents)

    def read(self, number: int, buffers: Buffers) -> Block:
        """Read a block."""
        start, stop = self._edges[number : number + 2]
        memory = buffers.next(stop - start)
        with FileIO(self._path) as stream:
            if _is_cached(stream, start, stop) or not _filled_directly(self._path, start, memory):
                _fill(stream, start, memory)
        arrays = _arrays(memory, self._contents[number])
        return Block(next(arrays), next(arrays, None))


def _contents(stream: FileIO) -> Sequence[Sequence[StoredArray]]:
    """Arrays of each block in the file; a ValueError unless the file has exactly their size."""
    size = os.fstat(stream.fileno()).st_size
    stream.seek(max(size - _TAIL_BYTES, 0))
    tail = stream.read(_TAIL_BYTES)
    length = int.from_bytes(tail[:8], "little")
    if tail[8:] != _MARK or length > size - _TAIL_BYTES:
        raise ValueError("cut short")
    stream.seek(size - _TAIL_BYTES - length)
    blocks: Any = json.loads(stream.read(length))
    contents = [[StoredArray(dtype, tuple(shape)) for dtype, shape in own] for own in blocks]
    if sum(one.extent for own in contents for one in own) + length + _TAIL_BYTES != size:
        raise ValueError("of another size")
    return contents


def _fill(stream: FileIO, start: int, memory: NDArray[np.uint8]) -> None:
    stream.seek(start)
    rest = memory.data
    while rest:
        count = stream.readinto(rest)
        if not count:
            raise ValueError("cut short")
        rest = rest[count:]


def _filled_directly(path: Path, start: int, memory: NDArray[np.uint8]) -> bool:
    """Read past the operating system's cache, where the file system can."""
    try:
        with FileIO(os.open(path, os.O_RDONLY | os.O_DIRECT)) as stream:
            _fill(stream, start, memory)
    except OSError:
        return False
    return True


def _arrays(memory: NDArray[np.uint8], stored: Sequence[StoredArray]) -> Iterator[NDArray[Any]]:
    edges = accumulate((one.extent for one in stored), initial=0)
    for one, (start, _) in zip(stored, pairwise(edges), strict=True):
        yield memory[start : start + one.nbytes].view(one.dtype).reshape(one.shape)


@cache
def _mincore() -> Any:
    """Linux's function that says which pages of a mapped file are in memory, if there is one."""
    if not hasattr(os, "O_DIRECT"):
        return None
    return getattr(ctypes.CDLL(None), "mincore", None)


def _is_cached(stream: FileIO, start: int, stop: int) -> bool:
    """Whether the operating system has most of a stretch, or it is too short to ask."""
    mincore, size = _mincore(), stop - start
    if mincore is None or size < _FEWEST_DIRECT_BYTES:
        return True
    pages = np.empty(-(-size // mmap.PAGESIZE), np.uint8)
    with mmap.mmap(stream.fileno(), size, prot=mmap.PROT_READ, offset=start) as mapped:
        address, told = np.frombuffer(mapped, np.uint8).ctypes.data, pages.ctypes.data
        arguments = ctypes.c_void_p(address), ctypes.c_size_t(size), ctypes.c_void_p(told)
        failed = mincore(*arguments) != 0
    return failed or 2 * int(np.count_nonzero(pages & 1)) > len(pages)
