"""Outputs in object stores, which can't rename: complete once their last object exists."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import final

from daskgmm.data.sinks import WrittenPart, WrittenParts
from daskgmm.data.storage.folder import Folder
from daskgmm.jobs.locks.base import LOCK_FILE
from daskgmm.jobs.locks.store import StoreLock
from daskgmm.jobs.outputs.committer import SUCCESS, Check, Committer
from daskgmm.jobs.outputs.manifest import earlier_at


@final
class StoreCommitter(Committer):
    """Has the store copy an output's objects to the target once all of them exist."""

    def require_possible(self) -> None:
        """Raise OutputError for the root of a store; only writing shows any other obstacle."""
        self.unfinished  # noqa: B018  raises for a root

    @contextmanager
    def locked(self) -> Iterator[Check]:
        """Hold a lock object beside the target, so that readers of the output don't see it."""
        with StoreLock(self.unfinished, self.target.name) as lock:
            yield lock.check

    def discard(self, folder: Folder) -> None:
        """Remove the folder's objects."""
        self.unfinished.remove(folder.name.rpartition("/")[2])

    def commit(
        self,
        made: WrittenParts,
        check: Check,
        *,
        force: bool = False,  # noqa: ARG002
    ) -> Sequence[WrittenPart]:
        """Remove the earlier output and copy the new one; in between neither is complete."""
        check()
        earlier = earlier_at(self.target)
        self.target.remove(SUCCESS)
        ours = frozenset() if earlier is None else earlier.names
        names = self.target.names()
        self.target.remove_all(
            [name for name in names if name in ours or name.startswith(LOCK_FILE)]
        )
        parts = made.bring(self.target, check)
        check()
        self.target.write(SUCCESS, b"")
        return parts
