"""Lock of a run directory in a store: an object that its owner rewrites regularly."""

import threading
import time
from contextlib import suppress
from typing import Self, final
from uuid import uuid4

from daskgmm.data.storage.deadline import SECONDS_AFTER_INTERRUPT, run_within
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import DaskGMMError, OutputError
from daskgmm.jobs.locks.base import LOCK_FILE, Lock, held_by, owner_of
from daskgmm.jobs.locks.owner import Owner
from daskgmm.monitoring.text import duration

BEAT_SECONDS = 20.0
STALE_SECONDS = 180.0
"""Age of a lock (seconds, by the store's clock) from which its owner counts as dead."""

SETTLE_SECONDS = 1.0
"""Wait after taking a dead owner's lock: of processes that do so at once, the last to write has
the lock then."""


@final
class StoreLock(Lock):
    """Holds a lock object, which a store creates only if it doesn't exist.

    Parameters
    ----------
    folder : Folder
        Folder of the object.
    name : str, optional
        Path or URL that the lock protects, for errors; by default the folder's.
    """

    def __init__(self, folder: Folder, name: str | None = None) -> None:
        super().__init__(folder)
        self._name = name or folder.name
        self._token = uuid4().hex
        self._content = Owner.here().content(mark=self._token)
        self._ended, self._lost = threading.Event(), threading.Event()
        self._heart = threading.Thread(target=self._beat, name="daskgmm-lock", daemon=True)

    def __enter__(self) -> Self:
        """Take the lock, a dead owner's too, or raise OutputError."""
        if not self.folder.create(LOCK_FILE, self._content) and not self._is_ours():
            self._take_over()
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        run_within(self._remove, SECONDS_AFTER_INTERRUPT)  # if that fails, the lock goes stale

    def check(self) -> None:
        """Raise OutputError if another run has taken this lock because it looked stale.

        The store is asked each time, as a process does not notice that it was suspended.
        """
        if self._lost.is_set() or not self._is_ours():
            raise OutputError(
                f"{self._name} was taken over by another run, as this one did not renew its lock "
                f"for more than {duration(STALE_SECONDS)}.",
                "Leave the work to the other run, which continues from this one's checkpoint.",
            )

    def _remove(self) -> None:
        self._heart.join()  # else its last beat could write the lock again
        if self._is_ours():
            self.folder.remove(LOCK_FILE)

    def _is_ours(self) -> bool:
        return self.folder.read(LOCK_FILE) == self._content

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            # If the store fails, the next beat tries again.
            with suppress(Exception):
                if not self._is_ours():
                    self._lost.set()
                    return
                self.folder.write(LOCK_FILE, self._content)

    def _take_over(self) -> None:
        self._require_dead_owner()
        self.folder.write(LOCK_FILE, self._content)
        time.sleep(SETTLE_SECONDS)
        if not self._is_ours():
            raise held_by(self._name, owner_of(self.folder))

    def _require_dead_owner(self) -> None:
        owner = Owner.told_by(self.folder.read(LOCK_FILE))
        if owner is not None and owner.is_dead:
            return
        age = self._age()
        if age is None:
            raise held_by(
                self._name,
                owner_of(self.folder),
                "; the store doesn't report the age of the lock",
                f"Remove {self.folder.name}/{LOCK_FILE} if you are sure that no run is writing.",
            )
        if age <= STALE_SECONDS:
            raise held_by(
                self._name,
                owner_of(self.folder),
                f"; it last renewed its lock {duration(age)} ago",
                "Wait for it to end, or stop it. If it was killed, run this again in "
                f"{duration(STALE_SECONDS - age + 1)} to continue where it stopped.",
            )

    def _age(self) -> float | None:
        """Seconds since the owner last wrote the lock, by the store's clock; None if unknown."""
        probe = f"{LOCK_FILE}-{self._token}"
        self.folder.write(probe, b"")
        try:
            now, last = self.folder.modified(probe), self.folder.modified(LOCK_FILE)
        finally:
            with suppress(DaskGMMError):
                self.folder.remove(probe)
        return None if now is None or last is None else (now - last).total_seconds()
