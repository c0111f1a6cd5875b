"""What an output tells of itself, and what it told while it was made."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Self

from daskgmm.data.sinks import SINKS, ExistingOutput, WrittenPart, sink_for
from daskgmm.data.storage.folder import Folder
from daskgmm.data.storage.json import from_json
from daskgmm.jobs.json_values import differences, to_json
from daskgmm.jobs.outputs.delivery import SUCCESS
from daskgmm.jobs.runs.directory import REPLACEMENT

MANIFEST = "manifest.json"
"""File in the folder of a run that is not complete."""

_FORMER = "_manifest.json"
"""Lies in outputs of daskgmm 0.1.0, where Polars takes it for a part."""

_WORDS = {
    "model_sha256": "the model",
    "inputs_sha256": "the input files, or versions of them",
}


@dataclass(frozen=True)
class Manifest:
    """The manifest of an output, complete or not.

    Parameters
    ----------
    content : mapping
        Plain values.
    """

    content: Mapping[str, Any]

    @classmethod
    def at(cls, folder: Folder, name: str = MANIFEST) -> Self | None:
        """The one in a folder, ``None`` where there is none that makes sense."""
        text = folder.read(name)
        with suppress(ValueError, KeyError, TypeError):
            content = from_json(text or b"")
            content["run_id"], content["state"], content["columns"], SINKS[content["format"]]
            dict(content["asked"]), dict(content["found"])
            return cls(content)
        return None

    @property
    def run_id(self) -> str:
        """Of the run that writes it: the same for the same command."""
        return str(self.content["run_id"])

    @property
    def asked(self) -> Mapping[str, Any]:
        """All that determines the output."""
        asked: Mapping[str, Any] = self.content["asked"]
        return asked

    @property
    def found(self) -> Mapping[str, Any]:
        """What was found out on the way."""
        found: Mapping[str, Any] = self.content["found"]
        return found

    @property
    def record(self) -> dict[str, Any]:
        """What each file of the output keeps of it."""
        return {name: self.content[name] for name in ("run_id", "columns", "asked", "found")}

    def write(self, folder: Folder) -> None:
        """Write it into a folder."""
        folder.write(MANIFEST, f"{to_json(self.content)}\n".encode())

    def with_found(self, notes: Mapping[str, Any]) -> Self:
        """The same with more that was found out."""
        return type(self)({**self.content, "found": {**self.found, **notes}})

    def completed(self, parts: Sequence[WrittenPart]) -> Self:
        """The same of an output that is complete."""
        facts = {
            "state": "complete",
            "rows": sum(part.rows for part in parts),
            "parts": [
                {name: value for name, value in asdict(part).items() if value is not None}
                for part in parts
            ],
        }
        return type(self)({**self.content, **facts})


def earlier_at(target: Folder) -> ExistingOutput | None:
    """The output of ours in a folder, by its files or, of an earlier version, by its manifest."""
    sink = sink_for(target.name)
    names = target.names()
    found = sink.found(target) if names else None
    if found is None and _FORMER in names:
        manifest = Manifest.at(target, _FORMER)
        if manifest is not None:  # its parts can't tell whose they are: they are written again
            columns = manifest.content["columns"]
            own = {_FORMER, REPLACEMENT, *(one for one in names if sink.owns(one, columns))}
            found = ExistingOutput(manifest.record, frozenset(own))
    if found is None or SUCCESS in names:
        return found
    return ExistingOutput(found.record, found.names)


def words_for_differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """What another command would do otherwise, in words."""
    found = differences(there, asked)
    return "; ".join(_WORDS.get(name, told) for name, told in found.items())
