"""Outputs in local folders: made beside them, and renamed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final
from uuid import uuid4

from daskgmm.data.failures import explained_writing
from daskgmm.data.places import Place
from daskgmm.jobs.folders import require_writable
from daskgmm.jobs.locks.base import busy, holder
from daskgmm.jobs.locks.local import held_alone
from daskgmm.jobs.outputs.base import Delivery
from daskgmm.jobs.outputs.manifest import Manifest


@final
class LocalDelivery(Delivery):
    """Makes an output in a hidden folder that becomes the target by its name alone."""

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
    def alone(self) -> Iterator[None]:
        """Hold the system's lock on a file, which ends with the process."""
        path = self._sibling("lock")
        with held_alone(path, self.target.name, lambda: busy(self.target, holder(_content(path)))):
            with explained_writing(self.target.name):
                self._recover()
            yield

    def _recover(self) -> None:
        """Put back what a process had moved away that was killed in that moment."""
        if self._replaced.exists():
            if self._path.exists():
                shutil.rmtree(self._replaced, ignore_errors=True)
            else:
                self._replaced.rename(self._path)

    @property
    def aside(self) -> Place:
        """The hidden folder."""
        return Place.of(self._sibling("unfinished"), {})

    def workshop(self, run_id: str, *, force: bool) -> Place:  # noqa: ARG002  the base's signature
        """The hidden folder, without files that killed processes were about to write."""
        with explained_writing(self.aside.name):
            for unfinished in Path(self.aside.root).rglob("*"):
                if unfinished.name.startswith(".") or unfinished.suffix == ".partial":
                    unfinished.unlink(missing_ok=True)
        return self.aside

    def clear(self, workshop: Place) -> None:
        """Remove the folder; tasks that still run can't write into it any more."""
        path = Path(workshop.root)
        with explained_writing(workshop.name), suppress(FileNotFoundError):
            doomed = path.rename(path.with_name(f"{path.name}-{uuid4().hex}"))
            shutil.rmtree(doomed, ignore_errors=True)

    def deliver(self, workshop: Place, manifest: Manifest) -> None:  # noqa: ARG002
        """Rename the folder."""
        finished = Path(workshop.root)
        with explained_writing(self.target.name):
            if not self._path.exists():
                finished.rename(self._path)
                return
            self._path.rename(self._replaced)
            try:
                finished.rename(self._path)
            except BaseException:
                self._replaced.rename(self._path)
                raise
        shutil.rmtree(self._replaced, ignore_errors=True)


def _content(path: Path) -> bytes | None:
    with suppress(OSError):  # it has just begun, or ended
        return path.read_bytes()
    return None
