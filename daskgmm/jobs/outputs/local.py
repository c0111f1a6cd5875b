"""Outputs in local folders: put together beside them, and renamed."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final
from uuid import uuid4

from daskgmm.data.sinks import WrittenPart, WrittenParts
from daskgmm.data.storage.errors import output_errors
from daskgmm.data.storage.folder import Folder
from daskgmm.jobs.locks.base import busy, holder
from daskgmm.jobs.locks.local import held_alone
from daskgmm.jobs.outputs.delivery import SUCCESS, Check, Committer
from daskgmm.jobs.runs.directory import require_writable


@final
class LocalCommitter(Committer):
    """Puts an output together in a hidden folder, which becomes the target by its name alone."""

    @property
    def _path(self) -> Path:
        return Path(self.target.root)

    def _sibling(self, what: str) -> Path:
        return self._path.with_name(f".{self._path.name}.{what}")

    @property
    def _replaced(self) -> Path:
        """Where an output is for the moment in which another one takes its place."""
        return self._sibling("replaced")

    def require_possible(self) -> None:
        """Look at the folder that the target is to be in."""
        require_writable(self._path.parent)

    @contextmanager
    def alone(self) -> Iterator[Check]:
        """Hold the system's lock on a file, which ends with the process."""
        path = self._sibling("lock")
        with held_alone(
            path, self.target.name, lambda: busy(self.target.name, holder(_content(path)))
        ):
            with output_errors(self.target.name):
                self._recover()
            yield lambda: None  # a process that lives can't lose it

    def _recover(self) -> None:
        """Put back what a process had moved away that was killed in that moment."""
        if self._replaced.exists():
            if self._path.exists():
                shutil.rmtree(self._replaced, ignore_errors=True)
            else:
                self._replaced.rename(self._path)

    def discard(self, folder: Folder) -> None:
        """Rename it first: what late tasks begin then fails, as their folder is gone."""
        path = Path(folder.root)
        with output_errors(folder.name), suppress(FileNotFoundError):
            doomed = path.rename(path.with_name(f"discarded-{uuid4().hex}"))
            # It may be no folder, if somebody else put it there.
            doomed.unlink() if doomed.is_file() else shutil.rmtree(doomed, ignore_errors=True)
        with suppress(OSError):  # others are in it
            path.parent.rmdir()

    def deliver(self, made: WrittenParts, check: Check) -> Sequence[WrittenPart]:
        """Put it together and rename the folder."""
        whole = self.aside.inside(f"whole-{uuid4().hex}")
        parts = made.bring(whole, check)
        whole.write(SUCCESS, b"")
        finished = Path(whole.root)
        with output_errors(self.target.name):
            if not self._path.exists():
                finished.rename(self._path)
                return parts
            self._path.rename(self._replaced)
            try:
                finished.rename(self._path)
            except BaseException:
                self._replaced.rename(self._path)
                raise
        shutil.rmtree(self._replaced, ignore_errors=True)
        return parts


def _content(path: Path) -> bytes | None:
    with suppress(OSError):  # it has just begun, or ended
        return path.read_bytes()
    return None
