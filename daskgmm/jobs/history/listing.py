"""The runs of a folder, from their records alone."""

import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import DataError, MissingInputError, OutputError
from daskgmm.jobs.history.run_index import INDEX_FILE, KnownRecords
from daskgmm.jobs.runs.directory import RECORD_FILE, REPLACEMENT, Run, State

_READERS = 32
"""Records that are read at a time: a store answers each after some milliseconds."""

UNREADABLE = "unreadable"
"""State of a run whose record can't be read."""

_DAY = re.compile(r"(?<!\d)(\d{4})([-_]?)(\d\d)\2(\d\d)(?!\d)")
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class ListedRun:
    """A run of a folder.

    Parameters
    ----------
    folder : Folder
        Run directory.
    run : Run or None
        ``None`` where its record can't be read.
    fault : str or None
        Reason why it can't be read.
    """

    folder: Folder
    run: Run | None
    fault: str | None = None

    @property
    def name(self) -> str:
        """Name of its directory in the folder."""
        return self.folder.root.rpartition("/")[2]

    @property
    def record(self) -> Mapping[str, Any]:
        """Content of its record; empty where that can't be read."""
        return {} if self.run is None else self.run.record

    @property
    def state(self) -> str:
        """State of the run by its record."""
        return UNREADABLE if self.run is None else str(self.run.state)

    @property
    def when(self) -> datetime | None:
        """When it ended or, if it has not, when it started."""
        timings = self.record.get("timings", {})
        try:
            found = datetime.fromisoformat(timings.get("ended") or timings.get("started") or "")
        except ValueError:
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    @property
    def night(self) -> datetime | None:
        """The day in its directory's name, as of 2026-11-24 or 20261124, or else when it ended.

        So a night that was made later stands where it belongs.
        """
        for year, _, month, day in _DAY.findall(self.name):
            with suppress(ValueError):  # other digits
                return datetime(int(year), int(month), int(day), tzinfo=UTC)
        return self.when

    @property
    def components(self) -> int | None:
        """Number K of components, where it is known already."""
        asked = self.record.get("configuration", {}).get("components")
        found = self.record.get("result", {}).get("components", asked)
        return found if isinstance(found, int) else None

    @property
    def difference(self) -> float | None:
        """Drift of an update: log-likelihood of its rows less the bound before (nats a row)."""
        found: float | None = self.record.get("drift", {}).get("difference")
        return found

    def plain(self) -> dict[str, Any]:
        """Plain JSON values for lists of runs."""
        result, when = self.record.get("result", {}), self.when
        return {
            "run": self.folder.name,
            "id": self.record.get("run_id"),
            "state": self.state,
            "when": None if when is None else when.isoformat(),
            "rows": result.get("rows"),
            "components": self.components,
            "lower_bound": result.get("lower_bound"),
            "seconds": self.record.get("timings", {}).get("seconds"),
            "difference": self.difference,
            "fault": self.fault,
        }


def runs_in(
    path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> list[ListedRun]:
    """The runs whose directories are in a folder, the oldest first.

    Only records are read, many at a time; of a store only those that were not read before, which
    an index beside the runs tells, see `daskgmm.jobs.history.run_index`. Other files and folders
    are passed over, and so are links, which are second names.

    Parameters
    ----------
    path : path-like
        The folder, local or a URL.
    storage_options : mapping or None
        Options for its store.

    Raises
    ------
    MissingInputError
        There is no such folder.
    ClusterError
        The store doesn't answer.
    """
    folder = Folder.of(path, storage_options or {})
    runs = _in_store(folder) if folder.local is None else _read(folder, folder.folders())
    if runs is None:
        raise MissingInputError(
            f"There is no folder {folder.name}.", "Name the folder that holds the run directories."
        )
    return sorted(runs, key=lambda one: (one.when or _EARLIEST, one.name))


def _read(folder: Folder, names: Iterable[str] | None) -> list[ListedRun] | None:
    if names is None:
        return None
    with ThreadPoolExecutor(_READERS) as pool:
        found = pool.map(_listed, (folder.inside(name) for name in names))
        return [run for run in found if run is not None]


def _in_store(folder: Folder) -> list[ListedRun] | None:
    """The runs of a folder in a store, of which only the records that have changed are read."""
    marks = folder.marks()
    if not marks:
        return None
    own = {
        path.removesuffix(f"/{RECORD_FILE}"): mark
        for path, mark in marks.items()
        if path.count("/") == 1 and path.endswith(f"/{RECORD_FILE}")
    }
    own.pop(REPLACEMENT, None)  # the folder is a run itself
    known = KnownRecords(folder, indexed=INDEX_FILE in marks)
    records = known.records(own)
    runs = [
        ListedRun(folder.inside(run), Run(folder.inside(run), record))
        for run, record in records.items()
    ]
    read = _read(folder, [run for run in own if run not in records]) or []
    runs += read
    if any(run.run is not None and run.state != State.RUNNING for run in read):
        known.keep({run.name: (own[run.name], run.record) for run in runs if run.run is not None})
    return runs


def _listed(folder: Folder) -> ListedRun | None:
    try:
        run = Run.at(folder)
    except (DataError, OutputError) as error:
        return ListedRun(folder, None, error.cause)
    return None if run is None else ListedRun(folder, run)
