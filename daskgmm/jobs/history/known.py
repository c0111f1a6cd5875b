"""Records of a store's runs that this machine has read before.

A store answers a thousand requests in several seconds, and a listing of a thousand files in a
moment. A record that has ended and whose file has the same ETag is the same, so it is read once.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from daskgmm.data.storage.durable import write_whole
from daskgmm.data.storage.json import from_json
from daskgmm.jobs.json_values import to_json
from daskgmm.jobs.runs.directory import State

_KEPT = {
    "run_id": None,
    "state": None,
    "timings": None,
    "configuration": ("components",),
    "result": ("components", "rows", "lower_bound"),
    "drift": ("difference",),
}
"""Entries of records that lists show, and what is kept of each."""


class KnownRecords:
    """What is known of the runs of a folder, in a file of the user's cache.

    Parameters
    ----------
    folder : str
        URL of the folder.
    """

    def __init__(self, folder: str) -> None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        name = hashlib.sha256(folder.encode()).hexdigest()[:32]
        self._file = base / "daskgmm" / "runs" / f"{name}.json"
        self._known: dict[str, Any] = {}
        with suppress(OSError, ValueError):  # it is missing, or another program's
            found = from_json(self._file.read_bytes())
            self._known = found if isinstance(found, dict) else {}

    def record(self, run: str, mark: str | None) -> dict[str, Any] | None:
        """What is kept of a run's record whose file has this mark; ``None`` if it is not known."""
        match self._known.get(run):
            case [str() as seen, dict() as record] if seen == mark:
                return record
        return None

    def keep(self, records: Mapping[str, tuple[str | None, Mapping[str, Any]]]) -> None:
        """Keep the records, by run with their files' marks, and forget all others."""
        fresh = {
            run: [mark, _brief(record)]
            for run, (mark, record) in records.items()
            if mark is not None and record["state"] != State.RUNNING
        }
        if fresh != self._known:
            with suppress(OSError):  # then all are read again next time
                self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_whole(self._file, to_json(fresh).encode())


def _brief(record: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, inner in _KEPT.items():
        value = record.get(name)
        if inner is not None and isinstance(value, Mapping):
            value = {key: value[key] for key in inner if key in value}
        if value is not None:
            found[name] = value
    return found
