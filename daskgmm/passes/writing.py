"""What is said of rows, written part by part where the rows are read.

Blocks in pieces of bounded size: what is said of rows takes memory too.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from dask._task_spec import DataNode, Task, TaskRef
from numpy.typing import NDArray

from daskgmm.data.sinks.base import OutputField, RowRange, Sink, Writer, WrittenPart, WrittenParts
from daskgmm.data.source import Block, Floats, Part, Source, text_at
from daskgmm.data.storage.retry import retried
from daskgmm.errors import DataError, OutputError
from daskgmm.model.nonfinite import Flaw
from daskgmm.model.prediction import Predictor
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.client import compute
from daskgmm.passes.engine.keys import Phase, token
from daskgmm.passes.engine.progress import announced

VALUES_AT_ONCE = 2**21


def windows(n_rows: int, n_values: int) -> Iterator[slice]:
    """Cut rows into windows, given the values that a row and what is said of it have.

    A log-density may hang in its last bit on the rows around it, so whoever compares those of
    two passes cuts rows in the same way in both.
    """
    size = max(VALUES_AT_ONCE // n_values, 1)
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


class OutputContent(Protocol):
    """What is written of each row."""

    @property
    def fields(self) -> tuple[OutputField, ...]:
        """What there is."""

    @property
    def n_values(self) -> int:
        """How many values a row and all that is computed of it have."""

    def of(self, rows: Floats) -> Mapping[str, NDArray[Any]]:
        """Columns (n,) for rows (n, D), named."""


@dataclass(frozen=True)
class Output:
    """What a model says of each row.

    Parameters
    ----------
    predictor : Predictor
    labels, probabilities, log_density : bool
        Which predictions.
    threshold : float or None
        Log-density (nats) below which a row is anomalous; ``None`` where nobody asks.
    """

    predictor: Predictor
    labels: bool = True
    probabilities: bool = False
    log_density: bool = False
    threshold: float | None = None

    @property
    def fields(self) -> tuple[OutputField, ...]:
        """The predictions that were asked for."""
        n_components = self.predictor.mixture.n_components
        shares = tuple(f"probability_{k}" for k in range(n_components))
        offered = (
            (self.labels, OutputField("label", np.dtype(np.int32), ("label",))),
            (
                self.probabilities,
                OutputField("probability", np.dtype(np.float64), shares, vector=True),
            ),
            (self.log_density, OutputField("log_density", np.dtype(np.float64), ("log_density",))),
            (self.threshold is not None, OutputField("anomaly", np.dtype(np.bool_), ("anomaly",))),
        )
        return tuple(field for wanted, field in offered if wanted)

    @property
    def n_values(self) -> int:
        """D + K."""
        return self.predictor.mixture.n_features + self.predictor.mixture.n_components

    def names(self) -> list[str]:
        """Names of the predictions' columns."""
        return [name for field in self.fields for name in field.columns]

    def of(self, rows: Floats) -> Mapping[str, NDArray[Any]]:
        """Predictions of rows (n, D), named.

        Raises
        ------
        NotFiniteError
            A value is not finite.
        """
        if self.names() == ["label"]:
            return {"label": self.predictor.labels(rows).astype(np.int32)}
        labels, probabilities, densities = self.predictor.everything(rows)
        found: list[NDArray[Any]] = [labels.astype(np.int32)] if self.labels else []
        if self.probabilities:
            found.extend(probabilities.astype(np.float64, copy=False))
        if self.log_density:
            found.append(densities.astype(np.float64, copy=False))
        if self.threshold is not None:
            found.append(densities.astype(np.float64) < self.threshold)
        return dict(zip(self.names(), found, strict=True))


@dataclass(frozen=True)
class Share:
    """The rows of a part of the output.

    Parameters
    ----------
    pieces : tuple of (Part, RowRange)
        In row order.
    """

    pieces: tuple[tuple[Part, RowRange], ...]

    @property
    def inputs(self) -> list[Hashable]:
        """Keys of what the parts are computed from, in order."""
        return [key for part, _ in self.pieces for key in part.inputs]

    def read(self, inputs: Sequence[Any]) -> Iterator[tuple[Part, int, Block]]:
        """Yield blocks, each with its part and the number of its first row in that one."""
        values = iter(inputs)
        for part, wanted in self.pieces:
            blocks = part.read(*(next(values) for _ in part.inputs))
            for first, block in _within(blocks, wanted):
                yield part, first, block


def _within(blocks: Iterator[Block], wanted: RowRange) -> Iterator[tuple[int, Block]]:
    first = 0
    for block in blocks:
        after = first + block.rows.shape[1]
        stop = after if wanted.stop is None else min(wanted.stop, after)
        start = min(max(wanted.start, first), stop)
        yield start, _rows_of(block, slice(start - first, stop - first))
        first = after
        if stop < after:
            return


def _rows_of(block: Block, window: slice) -> Block:
    kept = block.kept
    if kept is not None:
        kept = kept.slice(window.start, window.stop - window.start)
    return replace(block, rows=block.rows[:, window], kept=kept)


def write_rows(
    source: Source, content: OutputContent, sink: Sink, earlier: Sequence[Sink] = ()
) -> WrittenParts:
    """Write the parts of an output that aren't there yet, in one pass.

    Parameters
    ----------
    source : Source
    content : OutputContent
    sink : Sink
        Where tasks write; no other attempt may write there.
    earlier : sequence of Sink
        Of attempts of the same run, whose whole parts are not written again.

    Raises
    ------
    DataError
        A value is not finite, or there are no rows.
    OutputError
        A part cannot be written, or workers write where this process doesn't see it.
    ClusterError
        Workers died under the tasks, or a store doesn't answer.
    """
    sink.begin()
    shares = [Share(tuple((source.parts[own.part], own) for own in cut)) for cut in sink.cut()]
    parts = {number: (own, part) for own in earlier for number, part in own.whole().items()}
    missing = [number for number in range(len(shares)) if number not in parts]
    suffix = token()
    note = announced("gmm-predict", suffix, len(missing)) if missing else None
    write = _write if note is None else partial(_write_and_note, note)
    name, shared = f"gmm-predict-{suffix}", f"gmm-predict-argument-{suffix}"
    graph: dict[Any, Any] = {**source.graph, shared: DataNode(shared, (content, sink))}
    keys = [(name, number) for number in missing]
    for key in keys:
        share = shares[key[1]]
        inputs = [TaskRef(wanted) for wanted in share.inputs]
        graph[key] = Task(key, write, source.columns, key[1], share, TaskRef(shared), *inputs)
    written = compute(graph, keys, Phase.PREDICTION) if missing else ()
    parts |= {number: (sink, part) for number, part in zip(missing, written, strict=True)}
    if not any(part.rows for _, part in parts.values()):
        raise DataError(
            "There are no rows to label.", "Check that the input holds the rows that it should."
        )
    _require_seen(sink, {number for number in missing if parts[number][1].rows})
    return WrittenParts(sink, parts)


def _require_seen(sink: Sink, numbers: set[int]) -> None:
    if not numbers <= sink.numbers():
        raise OutputError(
            f"The workers wrote parts of {sink.folder.name} that can't be seen from here.",
            "Choose an output that this machine shares with them.",
        )


@retried
def _write(
    columns: tuple[str, ...] | None,
    number: int,
    share: Share,
    shared: tuple[OutputContent, Sink],
    *inputs: Any,
) -> WrittenPart:
    content, sink = shared
    with one_thread(), sink.writer(number) as writer:
        for part, first, block in share.read(inputs):
            _require_finite(block.rows, part, first, columns)
            _write_block(block, content, writer)
    return writer.written()


def _write_and_note(
    note: Callable[[int], None], columns: tuple[str, ...] | None, number: int, *told: Any
) -> WrittenPart:
    written = _write(columns, number, *told)
    note(number)
    return written


def _write_block(block: Block, content: OutputContent, writer: Writer) -> None:
    for window in windows(block.rows.shape[1], content.n_values):
        own = _rows_of(block, window)
        writer.write(content.of(own.rows.T), own.kept)


def _require_finite(rows: Floats, part: Part, before: int, columns: tuple[str, ...] | None) -> None:
    flaw = Flaw.in_rows(rows)
    if flaw is not None:
        flaw = flaw.after(before)
        written = text_at(part, flaw.row, flaw.feature)
        raise flaw.error(part.label, columns, written=written)
