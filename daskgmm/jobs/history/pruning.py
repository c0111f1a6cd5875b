"""Removal of runs."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from daskgmm.data.storage.errors import output_errors
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import OutputError
from daskgmm.fitting.stored.model_file import MODEL_FILE
from daskgmm.jobs.history.known import KnownRecords
from daskgmm.jobs.history.listing import ListedRun
from daskgmm.jobs.locks import locked
from daskgmm.jobs.runs.decision import leftovers, own_files
from daskgmm.jobs.runs.directory import (
    CHECKPOINT_FILE,
    RECORD_FILE,
    REPLACEMENT,
    Run,
    State,
)


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
