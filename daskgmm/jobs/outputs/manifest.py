"""What an output tells of itself."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Self

from daskgmm.data.places import Place
from daskgmm.data.plain import from_json
from daskgmm.data.sinks import SINKS, Written
from daskgmm.jobs.folders import REPLACEMENT
from daskgmm.jobs.plain import differences, to_json

MANIFEST = "_manifest.json"
SUCCESS = "_SUCCESS"
"""Readers of Hadoop's and Spark's kind wait for this file, and skip all names like it."""

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
    def at(cls, folder: Place) -> Self | None:
        """The one in a folder, ``None`` where there is none that makes sense."""
        text = folder.read(MANIFEST)
        with suppress(ValueError, KeyError, TypeError):
            content = from_json(text or b"")
            content["run_id"], content["state"], content["columns"], SINKS[content["format"]]
            return cls(content)
        return None

    @property
    def run_id(self) -> str:
        """Of the run that writes it: the same for the same command."""
        return str(self.content["run_id"])

    @property
    def asked(self) -> Mapping[str, Any]:
        """All that determines the output."""
        asked: Mapping[str, Any] = self.content.get("asked", {})
        return asked

    def owns(self, name: str) -> bool:
        """Whether a file or folder in its folder belongs to it."""
        sink = SINKS[self.content["format"]]
        return name in (MANIFEST, SUCCESS, REPLACEMENT) or sink.owns(name, self.content["columns"])

    def is_complete(self, folder: Place) -> bool:
        """Whether all that it tells of is there."""
        if self.content["state"] != "complete":
            return False
        return SUCCESS in folder.names() and self.content["files"] == tally(folder)

    def write(self, folder: Place) -> None:
        """Write it into a folder."""
        folder.write(MANIFEST, f"{to_json(self.content)}\n".encode())

    def completed(self, folder: Place, parts: Sequence[Written]) -> Self:
        """The same of an output that is complete."""
        facts = {
            "state": "complete",
            "rows": sum(part.rows for part in parts),
            "files": tally(folder),
            "parts": [
                {name: value for name, value in asdict(part).items() if value is not None}
                for part in parts
            ],
        }
        return type(self)({**self.content, **facts})

    def differences(self, asked: Mapping[str, Any]) -> str:
        """What another command would do otherwise, in words."""
        found = differences(self.asked, asked)
        return "; ".join(_WORDS.get(name, told) for name, told in found.items())


def tally(folder: Place) -> dict[str, int]:
    """How many files hold an output's rows, and their bytes."""
    sizes = [size for name, size in folder.sizes().items() if not name.startswith(("_", "."))]
    return {"number": len(sizes), "bytes": sum(sizes)}
