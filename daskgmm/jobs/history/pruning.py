"""Which runs of a folder go, and their removal."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from daskgmm.data.storage.errors import output_errors
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import OutputError
from daskgmm.fitting.stored.model_file import MODEL_FILE
from daskgmm.jobs.history.listing import ListedRun
from daskgmm.jobs.history.run_index import KnownRecords
from daskgmm.jobs.locks import locked
from daskgmm.jobs.runs.decision import leftovers, own_files
from daskgmm.jobs.runs.directory import (
    CHECKPOINT_FILE,
    RECORD_FILE,
    REPLACEMENT,
    Run,
    State,
)


def old_runs(
    runs: Sequence[ListedRun],
    now: datetime,
    keep: int | None = None,
    older_than: timedelta | None = None,
) -> list[ListedRun]:
    """The runs that go, the oldest first: ended ones to which every given condition applies.

    A run that is running by its record stays, and so does one whose record can't be read or gives
    no time.

    Parameters
    ----------
    runs : sequence of ListedRun
        All runs of a folder, the oldest first.
    now : datetime
    keep : int or None
        Runs go that are older than the newest `keep` complete ones.
    older_than : timedelta or None
        Runs go that ended longer ago.
    """
    complete = [run for run in runs if run.state == State.COMPLETE and run.when is not None]
    kept = complete[len(complete) - keep :] if keep is not None and keep <= len(complete) else runs
    ended = (State.COMPLETE, State.FAILED)
    found = []
    for position, run in enumerate(runs):
        if run.state not in ended or run.when is None:
            continue
        if keep is not None and kept and position >= runs.index(kept[0]):
            continue
        if older_than is not None and run.when > now - older_than:
            continue
        found.append(run)
    return found


def remove_run(listed: ListedRun) -> None:
    """Remove a run's directory, under its lock; its record goes last.

    So an interrupted removal leaves a run that the next one removes.

    Raises
    ------
    OutputError
        Another process writes to the run or has begun it anew, the directory holds other files
        as well, or can't be removed.
    ClusterError
        The store doesn't answer.
    """
    folder = listed.folder
    own_files(folder)
    with locked(folder) as lock:
        run = Run.at(folder)
        if run is None or run.state is State.RUNNING or _version(run) != _version(listed):
            raise OutputError(
                f"{folder.name} has changed since it was listed.", "List the runs again."
            )
        names = frozenset(folder.names())
        lock.check()
        further = {MODEL_FILE, CHECKPOINT_FILE, REPLACEMENT} | leftovers(names)
        for name in sorted(names & further):
            folder.remove(name)
        folder.remove(RECORD_FILE)
    if folder.local is not None:
        with output_errors(folder.name, "removed"):
            folder.local.rmdir()


def remove_from_index(
    path: str | os.PathLike[str], storage_options: Mapping[str, Any], removed: Sequence[ListedRun]
) -> None:
    """Take runs that were removed out of the index of their folder, if that is in a store."""
    folder = Folder.of(path, storage_options)
    if removed and folder.local is None:
        KnownRecords(folder, indexed=True).forget({run.name for run in removed})


def _version(run: Run | ListedRun) -> tuple[object, ...]:
    """What differs between a run and one that took its place."""
    return run.record.get("run_id"), run.state, run.record.get("timings")
