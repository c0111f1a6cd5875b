"""Rows from a source into an output: what `predict` and `sample` have in common."""

from collections.abc import Sequence
from dataclasses import replace

from daskgmm.data.sinks import Layout, WrittenParts, sink_for
from daskgmm.data.source import Source
from daskgmm.data.storage.folder import Folder
from daskgmm.jobs.outputs import OutputWriter
from daskgmm.passes.lengths import kept_columns, lengths_of
from daskgmm.passes.writing import OutputContent, write_rows


def write(
    source: Source,
    content: OutputContent,
    desk: OutputWriter,
    target: Folder,
    keep: Sequence[str] = (),
) -> WrittenParts:
    """Write parts that no attempt has written yet; return all of them.

    Parameters
    ----------
    source : Source
    content : OutputContent
    desk : OutputWriter
        The attempt.
    target : Folder
        Where the output goes in the end; the name tells its format.
    keep : sequence of str
        Columns of the source that are repeated.
    """
    kind = sink_for(target.name)
    layout = Layout(content.fields, len(source.parts), record=desk.manifest.record)
    if kind.needs_shape:
        kept = kept_columns(source) if keep else None
        layout = replace(layout, lengths=lengths_of(source), kept=kept)
    earlier = [kind(place, layout) for place in desk.earlier]
    return write_rows(source, content, kind(desk.place, layout), earlier)
