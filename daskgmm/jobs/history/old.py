"""Which runs of a folder go."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from daskgmm.jobs.history.listing import ListedRun
from daskgmm.jobs.runs.directory import State


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
