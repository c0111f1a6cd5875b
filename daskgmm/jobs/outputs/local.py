"""Outputs in local folders: assembled beside the target, then renamed."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final
from uuid import uuid4

from daskgmm.data.sinks import WrittenPart, WrittenParts
from daskgmm.data.storage.errors import output_errors
from daskgmm.data.storage.folder import Folder
from daskgmm.jobs.locks.base import held_by, holder_in
from daskgmm.jobs.locks.local import locked_file
from daskgmm.jobs.outputs.committer import SUCCESS, Check, Committer
from daskgmm.jobs.runs.directory import require_writable


@final
class LocalCommitter(Committer):
    """Assembles an output in a hidden folder and renames that folder to the target."""

    @property
    def _path(self) -> Path:
        return Path(self.target.root)

    def _sibling(self, suffix: str) -> Path:
        return self._path.with_name(f".{self._path.name}.{suffix}")

    @property
    def _replaced(self) -> Path:
        """Path of the earlier output while the new one is renamed to the target."""
        return self._sibling("replaced")

    def require_possible(self) -> None:
        """Raise OutputError unless files can be made in the folder that holds the target."""
        require_writable(self._path.parent)

    @contextmanager
    def locked(self) -> Iterator[Check]:
        """Hold the operating system's lock on a file, which ends with the process."""
        path, name = self._sibling("lock"), self.target.name
        with locked_file(path, name, lambda: held_by(name, holder_in(_content(path)))):
            with output_errors(name):
                self._recover()
            yield lambda: None  # a living process can't lose this lock

    def _recover(self) -> None:
        """Put back the earlier output where a process was killed between its two renames."""
        if self._replaced.exists():
            if self._path.exists():
                shutil.rmtree(self._replaced, ignore_errors=True)
            else:
                self._replaced.rename(self._path)

    def discard(self, folder: Folder) -> None:
        """Rename the folder, so that late tasks can't write into it, then remove it."""
        path = Path(folder.root)
        with output_errors(folder.name), suppress(FileNotFoundError):
            doomed = path.rename(path.with_name(f"discarded-{uuid4().hex}"))
            # Another program may have put a file there.
            doomed.unlink() if doomed.is_file() else shutil.rmtree(doomed, ignore_errors=True)
        with suppress(OSError):  # the folder of unfinished runs holds others
            path.parent.rmdir()

    def commit(
        self,
        made: WrittenParts,
        check: Check,
        *,
        force: bool = False,  # noqa: ARG002
    ) -> Sequence[WrittenPart]:
        """Assemble the output in a folder of its own and rename that to the target."""
        whole = self.unfinished.inside(f"whole-{uuid4().hex}")
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
    with suppress(OSError):  # the other process has only just begun, or has ended
        return path.read_bytes()
    return None
