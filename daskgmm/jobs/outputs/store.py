"""Outputs in stores, where nothing can be renamed: complete when their last object says so."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import final

from daskgmm.data.sinks import WrittenPart, WrittenParts
from daskgmm.data.storage.folder import Folder
from daskgmm.jobs.locks.base import LOCK_FILE
from daskgmm.jobs.locks.store import StoreLock
from daskgmm.jobs.outputs.delivery import SUCCESS, Check, Committer
from daskgmm.jobs.outputs.manifest import earlier_at


@final
class StoreCommitter(Committer):
    """Has the store copy an output's objects to the target once all of them are there."""

    def require_possible(self) -> None:
        """Look at the target's address; stores tell the rest by what they answer."""
        self.aside  # noqa: B018  raises where there is no such place

    @contextmanager
    def alone(self) -> Iterator[Check]:
        """Hold an object that is kept fresh, beside the target: readers must not find it there."""
        with StoreLock(self.aside, self.target.name) as lock:
            yield lock.check

    def discard(self, folder: Folder) -> None:
        """Remove its objects."""
        self.aside.remove(folder.name.rpartition("/")[2])

    def deliver(self, made: WrittenParts, check: Check) -> Sequence[WrittenPart]:
        """Remove what is there and copy what was made: so long neither of the two is complete."""
        check()
        there = earlier_at(self.target)
        self.target.remove(SUCCESS)
        names = self.target.names()
        ours = frozenset() if there is None else there.names
        self.target.remove_all([one for one in names if one in ours or one.startswith(LOCK_FILE)])
        parts = made.bring(self.target, check)
        check()
        self.target.write(SUCCESS, b"")
        return parts
