"""The manifest of an output: the configuration that determines it, and its parts."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Self

from daskgmm.data.sinks import SINKS, ExistingOutput, WrittenPart, sink_for
from daskgmm.data.storage.folder import Folder
from daskgmm.data.storage.json import from_json
from daskgmm.jobs.inputs import OTHER_INPUTS
from daskgmm.jobs.json_values import differences, to_json
from daskgmm.jobs.outputs.committer import SUCCESS
from daskgmm.jobs.runs.directory import REPLACEMENT

MANIFEST = "manifest.json"
"""File in the folder of an unfinished run."""

_FORMER = "_manifest.json"
"""File in outputs of daskgmm 0.1.0; Polars takes it for a part."""

_WORDS = {"model_sha256": "the model", "inputs_sha256": OTHER_INPUTS}
"""Descriptions of settings that are digests, which mean nothing to users."""


@dataclass(frozen=True)
class Manifest:
    """The manifest of an output, complete or not.

    In JSON the configuration is called ``asked`` and the interim results ``found``.

    Parameters
    ----------
    content : mapping
        Plain values.
    """

    content: Mapping[str, Any]

    @classmethod
    def at(cls, folder: Folder, name: str = MANIFEST) -> Self | None:
        """The manifest in a folder, ``None`` where there is none or it is damaged."""
        text = folder.read(name)
        with suppress(ValueError, KeyError, TypeError):
            content = from_json(text or b"")
            content["run_id"], content["state"], content["columns"], SINKS[content["format"]]
            dict(content["asked"]), dict(content["found"])
            return cls(content)
        return None

    @property
    def run_id(self) -> str:
        """Id of the run that writes the output: the same for the same command."""
        return str(self.content["run_id"])

    @property
    def configuration(self) -> Mapping[str, Any]:
        """All that determines the output."""
        configuration: Mapping[str, Any] = self.content["asked"]
        return configuration

    @property
    def interim(self) -> Mapping[str, Any]:
        """Results of earlier passes that later attempts need not compute again."""
        interim: Mapping[str, Any] = self.content["found"]
        return interim

    @property
    def record(self) -> dict[str, Any]:
        """The part of the manifest that each file of the output repeats in its metadata."""
        return {name: self.content[name] for name in ("run_id", "columns", "asked", "found")}

    def write(self, folder: Folder) -> None:
        """Write the manifest into a folder."""
        folder.write(MANIFEST, f"{to_json(self.content)}\n".encode())

    def with_interim(self, results: Mapping[str, Any]) -> Self:
        """The same manifest with more interim results."""
        return type(self)({**self.content, "found": {**self.interim, **results}})

    def completed(self, parts: Sequence[WrittenPart]) -> Self:
        """The same manifest for the complete output."""
        facts = {
            "state": "complete",
            "rows": sum(part.rows for part in parts),
            "parts": [
                {name: value for name, value in asdict(part).items() if value is not None}
                for part in parts
            ],
        }
        return type(self)({**self.content, **facts})


def earlier_at(target: Folder, run_id: str | None = None) -> ExistingOutput | None:
    """The output of daskgmm in a folder, known by its files or, from 0.1.0, by its manifest.

    Where several runs share an output, it is that of `run_id`, or by default of the newest.
    """
    sink = sink_for(target)
    names = target.names()
    earlier = sink.found(target, run_id) if names else None
    if earlier is None and _FORMER in names:
        manifest = Manifest.at(target, _FORMER)
        if manifest is not None:  # its parts hold no run id, so they are written again
            columns = manifest.content["columns"]
            own = {_FORMER, REPLACEMENT, *(name for name in names if sink.owns(name, columns))}
            earlier = ExistingOutput(manifest.record, frozenset(own))
    if earlier is None or sink.shared or SUCCESS in names:
        return earlier
    return ExistingOutput(earlier.record, earlier.names)


def list_differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Differences of a command's configuration from that of an earlier output, as text."""
    found = differences(earlier, now)
    return "; ".join(_WORDS.get(name, text) for name, text in found.items())
