"""One attempt at writing an output's parts, for `predict` and `sample`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from daskgmm.data.sinks import Layout, WrittenParts, sink_for
from daskgmm.data.source import Source
from daskgmm.data.storage.folder import Folder
from daskgmm.jobs.outputs.manifest import Manifest
from daskgmm.passes.lengths import kept_columns, lengths_of
from daskgmm.passes.writing import OutputContent, write_rows


@dataclass
class OutputWriter:
    """One attempt at an output: its folders and its manifest.

    Parameters
    ----------
    target : Folder
        Target of the output; its name decides the format.
    folder : Folder
        Folder of the run, for all its attempts.
    manifest : Manifest
    """

    target: Folder
    folder: Folder
    manifest: Manifest

    def __post_init__(self) -> None:
        self.earlier_attempts = tuple(map(self.folder.inside, attempts_in(self.folder)))
        """Folders of attempts before this one, some of whose tasks may still write there."""
        self.attempt = self.folder.inside(f"attempt-{uuid4().hex}")
        """Folder that only tasks of this attempt write into."""

    @property
    def interim(self) -> Mapping[str, Any]:
        """Interim results of this attempt and of earlier ones."""
        return self.manifest.interim

    def keep_interim(self, **results: Any) -> None:
        """Store interim results, so that a later attempt need not compute them again."""
        self.manifest = self.manifest.with_interim(results)
        self.manifest.write(self.folder)

    def write(
        self,
        source: Source,
        content: OutputContent,
        keep: Sequence[str] = (),
        partition_by: Sequence[str] = (),
    ) -> WrittenParts:
        """Write the parts that no attempt has written yet; return all of them.

        Parameters
        ----------
        source : Source
        content : OutputContent
        keep : sequence of str
            Columns of the source to repeat.
        partition_by : sequence of str
            Those of them whose values choose the directories that rows go to.
        """
        kind = sink_for(self.target)
        layout = Layout(
            content.fields,
            len(source.parts),
            record=self.manifest.record,
            partition_by=tuple(partition_by),
        )
        if kind.needs_shape:
            kept = kept_columns(source) if keep else None
            layout = replace(layout, lengths=lengths_of(source), kept=kept)
        earlier = [kind(folder, layout) for folder in self.earlier_attempts]
        return write_rows(source, content, kind(self.attempt, layout), earlier)


def attempts_in(folder: Folder) -> list[str]:
    """Names of the folders of attempts in a run's folder."""
    return [name for name in folder.names() if name.startswith("attempt-")]
