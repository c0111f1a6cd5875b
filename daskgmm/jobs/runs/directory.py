"""Run directories: their record, its form, and how one run differs from another.

A folder of a thousand runs is listed within a second or two, so modules that load numerical
libraries are imported where they are used.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.errors import first_line
from daskgmm.data.storage.folder import Folder, require_folder
from daskgmm.data.storage.json import from_json, require_form
from daskgmm.errors import ConfigurationError, DataError, OutputError
from daskgmm.jobs.json_values import differences, to_json

RECORD_FILE = "run.json"
LAYOUT = 1
"""Version of the record's layout; records without a version have the first."""
CHECKPOINT_FILE = "checkpoint.safetensors"


class NewerRunError(DataError):
    """Error that a later version of daskgmm wrote a run's record."""


class State(StrEnum):
    """State of a run."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


@dataclass(frozen=True)
class Run:
    """A run, complete or not.

    Parameters
    ----------
    folder : Folder
        Run directory.
    record : mapping
        Content of ``run.json``.
    """

    folder: Folder
    record: Mapping[str, Any]

    @classmethod
    def at(cls, folder: Folder) -> Self | None:
        """The run in a directory, ``None`` where there is no run.

        Raises
        ------
        DataError
            The record is not valid.
        NewerRunError
            A later version wrote the record.
        """
        name = f"{folder.name}/{RECORD_FILE}"
        try:
            text = folder.read(RECORD_FILE)
            if text is None:
                return None
            record = from_json(text)
            _require_known(record, name)
            _require_record(record)
        except OutputError as error:
            if not isinstance(error.__cause__, IsADirectoryError):
                raise
            raise _no_record(name, "it is a folder") from error
        except ValueError as error:
            if isinstance(error, DataError):
                raise
            raise _no_record(name, first_line(error)) from error
        return cls(folder, record)

    @property
    def name(self) -> str:
        """Path or URL of its directory."""
        return self.folder.name

    @property
    def state(self) -> State:
        """State of the run by its record."""
        return State(self.record["state"])

    @property
    def seed(self) -> int:
        """Seed of the run's random numbers."""
        return int(self.record["seed"])

    @property
    def selection(self) -> Mapping[str, Any] | None:
        """Criterion, candidates and position of the best, if the run chose among candidates."""
        result: Mapping[str, Any] = self.record["result"]
        return result if "candidates" in result else None

    def model(self) -> bytes | None:
        """Content of the model file; ``None`` unless the run is complete and wrote this file."""
        if self.state is not State.COMPLETE:
            return None
        from daskgmm.fitting.stored.model_file import MODEL_FILE

        content = self.folder.read(MODEL_FILE)
        fits = content is not None and sha256(content) == self.record.get("model_sha256")
        return content if fits else None

    def differences(self, configuration: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
        """Differences of another run from this one, in words."""
        from daskgmm.jobs.inputs import OTHER_INPUTS

        found = list(differences(self.record["configuration"], configuration).values())
        if self.record["inputs"]["sha256"] != inputs["sha256"]:
            same = _versions(self.record["inputs"]) == _versions(inputs)
            order = "the order of the input files, which is part.2 before part.10"
            found.append(order if same else OTHER_INPUTS)
        return found


def _versions(inputs: Mapping[str, Any]) -> list[str]:
    """Files of a fingerprint, sorted, so that the order of reading doesn't matter."""
    from daskgmm.jobs.inputs import version_of

    files = inputs.get("files")
    known = [file for file in files if isinstance(file, Mapping)] if isinstance(files, list) else ()
    return sorted(json.dumps(version_of(file), sort_keys=True) for file in known)


_NUMBER = int | float
_KNOWN = _NUMBER | None
_CANDIDATE = {
    "n_components": int,
    "covariance_type": str,
    "start": int,
    "n_iter": int,
    "converged": bool | None,
    **dict.fromkeys(("lower_bound", "bic", "aic", "icl"), _KNOWN),
}
_COMPONENT = {
    **dict.fromkeys(("weight_before", "weight_of_new_rows", "weight_after"), _NUMBER),
    **dict.fromkeys(("shift_of_new_rows", "shift", "divergence"), _KNOWN),
}
_MODEL = {"run_id": str | None, "model_sha256": str}
_RECORD = {
    "run_id": str,
    "state": str,
    "configuration": dict,
    "inputs": {"sha256": str, "files": [{"path": str}]},
    "seed?": int,
    "attempts?": int,
    "host?": dict,
    "failure?": {"cause": str, "remedy": str},
    "result?": dict,
    "timings?": {"started?": str, "ended?": str, "seconds?": _NUMBER},
    **dict.fromkeys(("updated_from?", "started_from?", "aligned_to?"), _MODEL),
    "drift?": {
        **dict.fromkeys(("mean_log_likelihood", "lower_bound_before", "difference"), _KNOWN),
        "components": [_COMPONENT],
    },
}
_COMPLETE = {
    "seed": int,
    "model_sha256": str,
    "timings": {"ended": str, "seconds": _NUMBER},
    "trace": [dict],
    "result": {
        "rows": int,
        "lower_bound": _KNOWN,
        "n_iter": int,
        "n_passes": int,
        "converged": bool | None,
        "rows_seen?": int,
        "rows_dropped?": int,
        "weight?": _NUMBER,
        "candidates?": [_CANDIDATE],
        "criterion?": str,
        "best?": int,
    },
}


def _no_record(name: str, why: str) -> DataError:
    remedy = "Restore it from a copy, or remove the directory and run again."
    return DataError(f"{name} is not the record of a run: {why}.", remedy)


def _require_known(record: Any, name: str) -> None:
    """Refuse a record of a later version before its form is looked at."""
    require_form(record, {"layout?": int})
    layout = record.get("layout", 1)
    if layout > LAYOUT:
        wrote = record.get("versions")
        version = wrote.get("daskgmm") if isinstance(wrote, dict) else None
        raise NewerRunError(
            f"{name} was written by daskgmm {version or '(a later version)'} in layout {layout}; "
            f"this version reads layouts up to {LAYOUT}.",
            "Upgrade daskgmm.",
        )


def _require_record(record: Any) -> None:
    require_form(record, _RECORD)
    if State(record["state"]) is State.COMPLETE:
        require_form(record, _COMPLETE)


def sha256(content: bytes) -> str:
    """Digest of a file's content."""
    return hashlib.sha256(content).hexdigest()


def write_record(folder: Folder, record: Mapping[str, Any]) -> None:
    """Write a run's record into its folder."""
    folder.write(RECORD_FILE, f"{to_json(record)}\n".encode())


REPLACEMENT = "_replacing"
"""Folder in a run directory, or in an output in a store, where its replacement is made; readers
of Parquet skip such names."""


def require_writable(folder: Path) -> None:
    """Raise OutputError unless files can be made in a folder."""
    require_folder(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"The output's folder {folder} can't be written to.",
            "Choose another folder, or change its permissions.",
        )


def require_writable_here(path: str) -> None:
    """Refuse a file that can't be made on this machine, before any work is done.

    Raises
    ------
    ConfigurationError
        The path is a URL.
    OutputError
        The file's folder is missing or can't be written to.
    """
    if "://" in path:
        raise ConfigurationError(
            f"{shown_address(path)} is a URL, but this file can only be written on this machine.",
            "Give a local path, and copy the file from there.",
        )
    require_writable(Path(path).resolve().parent)
