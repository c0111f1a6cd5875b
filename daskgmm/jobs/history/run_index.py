"""Records of a store's runs that were read before, by this machine or another.

A store answers a thousand requests in several seconds, and a listing of a thousand files in a
moment. A record that has ended and whose file has the same ETag is the same, so it is read once.
What is kept of it lies beside the runs, for all who list them, or in the user's cache where the
store may not be written to. Nothing depends on it: without it, or where it is damaged or out of
date, records are read. Of two who write it at a time one wins, and what it lacks is read again.
"""

import hashlib
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from daskgmm.data.storage.durable import write_whole
from daskgmm.data.storage.folder import Folder
from daskgmm.data.storage.json import from_json, require_form
from daskgmm.errors import DaskGMMError
from daskgmm.jobs.json_values import to_json
from daskgmm.jobs.runs.directory import State

INDEX_FILE = ".runs.json"
"""What is known of a folder's runs, in that folder of a store."""

_LAYOUT = 1
_ENDED = (State.COMPLETE, State.FAILED)
_NUMBER = int | float
_KEPT = {
    "run_id": str,
    "state": str,
    "timings?": {"started?": str, "ended?": str, "seconds?": _NUMBER},
    "configuration": {"components?": object},
    "result?": {"components?": int, "rows?": int, "lower_bound?": _NUMBER | None},
    "drift?": {"difference?": _NUMBER | None},
}
"""Entries of records that lists show, with their form: what is kept of each."""


class KnownRecords:
    """What is known of the runs of a folder in a store.

    Parameters
    ----------
    folder : Folder
    indexed : bool
        Whether the folder has an index.
    """

    def __init__(self, folder: Folder, *, indexed: bool) -> None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        name = hashlib.sha256(folder.name.encode()).hexdigest()[:32]
        self._cache = base / "daskgmm" / "runs" / f"{name}.json"
        self._folder = folder
        self._index: dict[str, Any] = {}
        if indexed:
            with suppress(DaskGMMError):  # it is gone, or not for this reader
                self._index = _entries(folder.read(INDEX_FILE))

    def records(self, marks: Mapping[str, str | None]) -> dict[str, dict[str, Any]]:
        """What is kept of the records, by run, whose files have these marks; others are missing."""
        found = _matching(self._index, marks)
        if len(found) < len(marks):
            with suppress(OSError):  # it is missing
                found = _matching(_entries(self._cache.read_bytes()), marks) | found
        return found

    def keep(self, records: Mapping[str, tuple[str | None, Mapping[str, Any]]]) -> None:
        """Keep the records, by run with their files' marks, and forget all others."""
        entries = {
            run: [mark, _brief(record, _KEPT)]
            for run, (mark, record) in records.items()
            if mark is not None and record["state"] in _ENDED
        }
        if entries == self._index:
            return
        try:
            self._write(entries)
        except DaskGMMError:  # the store is not for this reader to write to
            with suppress(OSError):  # then all are read again next time
                self._cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_whole(self._cache, _content(entries))

    def forget(self, runs: Collection[str]) -> None:
        """Forget runs that were removed; an index without runs is removed."""
        entries = {run: entry for run, entry in self._index.items() if run not in runs}
        if entries != self._index:
            with suppress(DaskGMMError):  # what is left there says nothing of other runs
                self._write(entries)

    def _write(self, entries: dict[str, Any]) -> None:
        if entries:
            self._folder.write(INDEX_FILE, _content(entries))
        elif self._index:
            self._folder.remove(INDEX_FILE)
        self._index = entries


def _content(entries: Mapping[str, Any]) -> bytes:
    return to_json({"layout": _LAYOUT, "runs": entries}).encode()


def _entries(content: bytes | None) -> dict[str, Any]:
    """The marks and records of an index; none where it is missing, damaged or of another layout."""
    try:
        found = from_json(content or b"")
        require_form(found, {"layout": int, "runs": dict})
    except ValueError:
        return {}
    return dict(found["runs"]) if found["layout"] == _LAYOUT else {}


def _matching(
    entries: Mapping[str, Any], marks: Mapping[str, str | None]
) -> dict[str, dict[str, Any]]:
    found = {}
    for run, mark in marks.items():
        match entries.get(run):
            case [str() as seen, dict() as record] if seen == mark and _is_whole(record):
                found[run] = record
    return found


def _is_whole(record: Mapping[str, Any]) -> bool:
    try:
        require_form(record, _KEPT)
    except ValueError:
        return False
    return record["state"] in _ENDED


def _brief(record: Mapping[str, Any], form: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, inner in form.items():
        name = key.rstrip("?")
        if name in record:
            value = record[name]
            found[name] = _brief(value, inner) if isinstance(inner, dict) else value
    return found
