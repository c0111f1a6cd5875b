"""Rows from a source into an output: what `predict` and `sample` have in common."""

from collections.abc import Sequence
from dataclasses import replace

from daskgmm.data.places import Place
from daskgmm.data.sinks import Layout, Written, sink_for
from daskgmm.data.source import Source
from daskgmm.passes.output import Content, write_rows
from daskgmm.passes.shape import kept_columns, lengths_of


def write(
    source: Source,
    content: Content,
    folder: Place,
    target: Place,
    keep: Sequence[str] = (),
) -> Sequence[Written]:
    """Write what is not there yet; return all parts.

    Parameters
    ----------
    source : Source
    content : Content
    folder : Place
        Where the output is made.
    target : Place
        Where it goes in the end; the name tells its format.
    keep : sequence of str
        Columns of the source that are repeated.
    """
    kind = sink_for(target.name)
    layout = Layout(content.fields, len(source.parts))
    if kind.needs_shape:
        kept = kept_columns(source) if keep else None
        layout = replace(layout, lengths=lengths_of(source), kept=kept)
    sink = kind(folder, layout)
    return write_rows(source, content, sink)
