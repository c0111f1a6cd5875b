"""Decoded blocks in files of this machine's own disk, shared by its processes.

Files are read into arrays of this process. Mapping them would take longer, and Dask would count
mapped pages as memory of the worker.
"""

from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import final
from uuid import uuid4

from daskgmm.data.source import Block
from daskgmm.data.storage.scratch import Scratch
from daskgmm.passes.cache.block_file import StoredArray, arrays_of, write_block, write_footer
from daskgmm.passes.cache.parts import CachedPart, NotStagedError, Stage
from daskgmm.passes.cache.read_ahead import ReadAhead
from daskgmm.passes.memory import disk_free


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
        self.read_ahead = ReadAhead(self._path)

    def load(self, position: int) -> Iterator[Block]:
        """Yield a part's blocks."""
        try:
            yield from self.read_ahead.blocks(position)
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, CancelledError) as error:
            raise NotStagedError from error

    def entry(self, position: int) -> CachedPart:
        """Open the file of a part for writing."""
        return _DiskEntry(self._path(position))

    def remove(self) -> None:
        """Remove the stage's folder, even if other processes use it."""
        self.read_ahead.close()
        self.scratch.remove()

    def leave(self) -> None:
        """Remove the stage's folder if no other process uses it."""
        self.read_ahead.close()
        self.scratch.leave()

    def _path(self, position: int) -> Path:
        return self.scratch.folder / f"{position:08}.rows"


@final
class _DiskEntry(CachedPart):
    """A file that has a temporary name until it is complete, so only complete files are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f"{uuid4().hex}.partial")
        self.stream = self.partial.open("wb")
        self.contents: list[list[StoredArray]] = []

    def add(self, block: Block) -> None:
        _require_room(self.path.parent, sum(array.nbytes for array in arrays_of(block)))
        self.contents.append(write_block(self.stream, block))

    def finish(self) -> None:
        write_footer(self.stream, self.contents)
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
