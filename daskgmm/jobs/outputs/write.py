"""Write rows from a source into an output, for `predict` and `sample`."""

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
    writer: OutputWriter,
    target: Folder,
    keep: Sequence[str] = (),
) -> WrittenParts:
    """Write the parts that no attempt has written yet; return all of them.

    Parameters
    ----------
    source : Source
    content : OutputContent
    writer : OutputWriter
    target : Folder
        Target of the output; its name decides the format.
    keep : sequence of str
        Columns of the source to repeat.
    """
    kind = sink_for(target.name)
    layout = Layout(content.fields, len(source.parts), record=writer.manifest.record)
    if kind.needs_shape:
        kept = kept_columns(source) if keep else None
        layout = replace(layout, lengths=lengths_of(source), kept=kept)
    earlier = [kind(folder, layout) for folder in writer.earlier_attempts]
    return write_rows(source, content, kind(writer.attempt, layout), earlier)
