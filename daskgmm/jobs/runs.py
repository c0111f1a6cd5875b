"""Run directories: what is in one, and whether another run would be the same."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from daskgmm.data.places import Place
from daskgmm.errors import DataError
from daskgmm.estimators.model_file import MODEL_FILE
from daskgmm.jobs.plain import differences, to_json

RECORD_FILE = "run.json"
CHECKPOINT_FILE = "checkpoint.safetensors"


class State(StrEnum):
    """How far a run is."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


@dataclass(frozen=True)
class Run:
    """A run, complete or not.

    Parameters
    ----------
    folder : Place
        Its directory.
    record : mapping
        What ``run.json`` tells.
    """

    folder: Place
    record: Mapping[str, Any]

    @classmethod
    def at(cls, folder: Place) -> Self | None:
        """The run in a directory, ``None`` where there is no run.

        Raises
        ------
        DataError
            Its record makes no sense.
        """
        name = f"{folder.name}/{RECORD_FILE}"
        text = folder.read(RECORD_FILE)
        if text is None:
            return None
        try:
            record = json.loads(text)
            State(record["state"])
            record["run_id"], record["configuration"], record["inputs"]["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{name} is not the record of a run ({error}).",
                "Restore it, or remove the directory and run again.",
            ) from error
        return cls(folder, record)

    @property
    def name(self) -> str:
        """Path or URL of its directory."""
        return self.folder.name

    @property
    def state(self) -> State:
        """How far it is by its record."""
        return State(self.record["state"])

    @property
    def seed(self) -> int:
        """What its random numbers were drawn from."""
        return int(self.record["configuration"]["seed"])

    @property
    def selection(self) -> Mapping[str, Any] | None:
        """The criterion, all candidates and the best one's position, where it chose among any."""
        result: Mapping[str, Any] = self.record["result"]
        return result if "candidates" in result else None

    def model(self) -> bytes | None:
        """Content of its model file, ``None`` unless it is complete and this is its model."""
        if self.state is not State.COMPLETE:
            return None
        content = self.folder.read(MODEL_FILE)
        fits = content is not None and sha256(content) == self.record.get("model_sha256")
        return content if fits else None

    def differences(self, configuration: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
        """What another run would do otherwise, in words."""
        found = list(differences(self.record["configuration"], configuration).values())
        if self.record["inputs"]["sha256"] != inputs["sha256"]:
            same = _versions(self.record["inputs"]) == _versions(inputs)
            order = "the order of the input files, which is part.2 before part.10"
            found.append(order if same else "the input files, or versions of them")
        return found


def _versions(inputs: Mapping[str, Any]) -> list[str]:
    """The files of a fingerprint in one order, whichever they were read in."""
    files = inputs.get("files")
    known = [file for file in files if isinstance(file, Mapping)] if isinstance(files, list) else ()
    return sorted(json.dumps({**file, "rows": None}, sort_keys=True) for file in known)


def sha256(content: bytes) -> str:
    """Digest of a file's content."""
    return hashlib.sha256(content).hexdigest()


def write_record(folder: Place, record: Mapping[str, Any]) -> None:
    """Write a run's record into its folder."""
    folder.write(RECORD_FILE, f"{to_json(record)}\n".encode())
