"""Rows from a source into an output: what `predict` and `sample` have in common."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from daskgmm.data.places import Place
from daskgmm.data.sinks import Layout, Written, sink_for
from daskgmm.data.source import Source
from daskgmm.jobs.events import Listener, Parts
from daskgmm.passes.output import Content, write_rows
from daskgmm.passes.shape import kept_columns, lengths_of

_SECONDS_BETWEEN_LOOKS = 1.0


def write(
    source: Source,
    content: Content,
    folder: Place,
    target: Place,
    listener: Listener,
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
    listener : Listener
    keep : sequence of str
        Columns of the source that are repeated.
    """
    kind = sink_for(target.name)
    layout = Layout(content.fields, len(source.parts))
    if kind.needs_shape:
        kept = kept_columns(source) if keep else None
        layout = replace(layout, lengths=lengths_of(source), kept=kept)
    sink = kind(folder, layout)
    listener.watch(Parts(len(sink.cut()), _seldom(lambda: len(sink.numbers()))))
    return write_rows(source, content, sink)


def _seldom(look: Callable[[], int]) -> Callable[[], int]:
    """Look again only when a while has passed: a store takes its time."""
    last: dict[str, Any] = {"at": -_SECONDS_BETWEEN_LOOKS, "seen": 0}

    def seen() -> int:
        now = time.monotonic()
        if now - last["at"] >= _SECONDS_BETWEEN_LOOKS:
            last.update(at=now, seen=look())
        return int(last["seen"])

    return seen
