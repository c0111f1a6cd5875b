"""Run directories: what is in one, and whether another fit would be the same."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from daskgmm.errors import DataError, MissingInputError, OutputError
from daskgmm.estimators.model_file import MODEL_FILE
from daskgmm.jobs.plain import to_json

RECORD_FILE = "run.json"


@dataclass(frozen=True)
class Run:
    """A complete run.

    Parameters
    ----------
    path : Path
        Its directory.
    record : mapping
        What ``run.json`` tells.
    """

    path: Path
    record: Mapping[str, Any]

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """The run in a directory, ``None`` where there is no run.

        Raises
        ------
        DataError
            Its record makes no sense.
        """
        try:
            text = (path / RECORD_FILE).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise MissingInputError(
                f"{path / RECORD_FILE} can't be read: permission denied.",
                "Ask for leave to read it.",
            ) from error
        try:
            record = json.loads(text)
            record["configuration"], record["inputs"]["sha256"], record["result"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path / RECORD_FILE} is not the record of a run ({error}).",
                "Restore it, or remove the directory and run again.",
            ) from error
        return cls(path, record)

    @property
    def seed(self) -> int:
        """What its random numbers were drawn from."""
        return int(self.record["configuration"]["seed"])

    @property
    def selection(self) -> Mapping[str, Any] | None:
        """The criterion, all candidates and the best one's position, where it chose among any."""
        result: Mapping[str, Any] = self.record["result"]
        return result if "candidates" in result else None

    def differences(self, configuration: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
        """What another run would do otherwise, in words."""
        found = list(_changes(self.record["configuration"], configuration))
        if self.record["inputs"]["sha256"] != inputs["sha256"]:
            found.append("the input files, or versions of them")
        return found


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{name} ({_shown(old.get(name))} there, {_shown(new.get(name))} now)"


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def refuse(target: Path, *, force: bool) -> None:
    """Raise OutputError unless a folder may be put at `target`.

    What is no run of ours is never replaced, not even by force.
    """
    if not target.exists():
        return
    names = {path.name for path in target.iterdir()} if target.is_dir() else {target.name}
    ours = not names or (RECORD_FILE in names and names <= {RECORD_FILE, MODEL_FILE})
    if not ours:
        raise OutputError(
            f"{target} exists and is no run directory, or holds other files too, so it is not "
            "replaced.",
            "Choose another output, or remove it yourself.",
        )
    if not force:
        raise OutputError(
            f"{target} exists already.", "Choose another output, or replace it with --force."
        )


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a run's record into its folder."""
    (folder / RECORD_FILE).write_text(to_json(record) + "\n", encoding="utf-8")
