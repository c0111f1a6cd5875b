"""Predictions or drawn rows, written part by part by the tasks that read the rows."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.containers.task_spec import DataNode, Task, TaskRef
from daskgmm.data.sinks.base import OutputField, RowRange, Sink, Writer, WrittenPart, WrittenParts
from daskgmm.data.source import Block, Floats, Part, Source, text_at
from daskgmm.data.storage.retry import retried
from daskgmm.errors import DataError, OutputError
from daskgmm.model.nonfinite import Flaw
from daskgmm.model.prediction import Predictor
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.execution import compute
from daskgmm.passes.engine.keys import Phase, shared_key, token
from daskgmm.passes.engine.progress import announced
from daskgmm.passes.explanation import Explanation

VALUES_AT_ONCE = 2**21
"""Most values of rows and their predictions that a task has in memory at a time."""


def windows(n_rows: int, n_values: int) -> Iterator[slice]:
    """Cut rows into windows of bounded memory, given the values of a row and its predictions.

    The last bit of a log-density may depend on the rows beside it, so passes whose log-densities
    are compared must cut rows in the same way.
    """
    size = max(VALUES_AT_ONCE // n_values, 1)
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


class OutputContent(Protocol):
    """The columns that are written for each row."""

    @property
    def takes_missing(self) -> bool:
        """Whether values of a row may be missing (NaN)."""

    @property
    def fields(self) -> tuple[OutputField, ...]:
        """Names and types of the columns."""

    @property
    def n_values(self) -> int:
        """Number of values of a row and of its predictions."""

    def of(self, rows: Floats) -> Mapping[str, NDArray[Any]]:
        """Columns (n,) by name, for rows (n, D)."""


@dataclass(frozen=True)
class Output:
    """The predictions that are written for each row.

    Parameters
    ----------
    predictor : Predictor
    labels, probabilities, log_density : bool
        Which predictions to write.
    threshold : float or None
        Log-density (nats) below which a row is an anomaly; ``None`` to write no such column.
    explanation : Explanation or None
        The most surprising columns; ``None`` to write none.
    """

    predictor: Predictor
    labels: bool = True
    probabilities: bool = False
    log_density: bool = False
    threshold: float | None = None
    explanation: Explanation | None = None

    @property
    def takes_missing(self) -> bool:
        """Whether values may be missing: nothing explains those."""
        return self.predictor.takes_missing and self.explanation is None

    @property
    def fields(self) -> tuple[OutputField, ...]:
        """Fields of the chosen predictions."""
        shares = tuple(f"probability_{label}" for label in self.predictor.label_names)
        offered = (
            (self.labels, OutputField("label", np.dtype(np.int32), ("label",))),
            (
                self.probabilities,
                OutputField("probability", np.dtype(np.float64), shares, vector=True),
            ),
            (self.log_density, OutputField("log_density", np.dtype(np.float64), ("log_density",))),
            (self.threshold is not None, OutputField("anomaly", np.dtype(np.bool_), ("anomaly",))),
        )
        explained = () if self.explanation is None else self.explanation.fields
        return (*(field for wanted, field in offered if wanted), *explained)

    @property
    def n_values(self) -> int:
        """D + K: a row and its probabilities, and that of noise."""
        mixture = self.predictor.mixture
        return mixture.n_features + mixture.n_components + (mixture.noise is not None)

    def names(self) -> list[str]:
        """Names of the predictions' columns."""
        return [name for field in self.fields for name in field.columns]

    def of(self, rows: Floats) -> Mapping[str, NDArray[Any]]:
        """Columns (n,) of predictions by name, for rows (n, D).

        Raises
        ------
        NotFiniteError
            A value is not finite.
        """
        if self.names() == ["label"]:
            return {"label": self.predictor.labels(rows).astype(np.int32)}
        labels, probabilities, densities = self.predictor.everything(rows)
        columns: list[NDArray[Any]] = [labels.astype(np.int32)] if self.labels else []
        if self.probabilities:
            columns.extend(probabilities.astype(np.float64, copy=False))
        if self.log_density:
            columns.append(densities.astype(np.float64, copy=False))
        if self.threshold is not None:
            columns.append(densities.astype(np.float64) < self.threshold)
        if self.explanation is not None:
            columns.extend(self.explanation.of(self.predictor, rows))
        return dict(zip(self.names(), columns, strict=True))


@dataclass(frozen=True)
class Share:
    """The pieces of input parts that make one part of the output.

    Parameters
    ----------
    pieces : tuple of (Part, RowRange)
        In row order.
    """

    pieces: tuple[tuple[Part, RowRange], ...]

    @property
    def inputs(self) -> list[Hashable]:
        """Keys of the chunks that the parts are read from, in order."""
        return [key for part, _ in self.pieces for key in part.inputs]

    def read(self, inputs: Sequence[Any]) -> Iterator[tuple[Part, int, Block]]:
        """Yield blocks, each with its part and the number of its first row in that part."""
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
    """Write the parts of an output that are not there yet, in one pass.

    Parameters
    ----------
    source : Source
    content : OutputContent
    sink : Sink
        The output of this attempt, where no other attempt writes.
    earlier : sequence of Sink
        Outputs of earlier attempts of the same run; their complete parts are not written again.

    Raises
    ------
    DataError
        A value is not finite, or there are no rows.
    OutputError
        A part cannot be written, or workers write where this process doesn't see it.
    ClusterError
        Workers died under the tasks, or a store does not answer.
    """
    sink.begin()
    shares = [Share(tuple((source.parts[own.part], own) for own in cut)) for cut in sink.cut()]
    parts = {number: (own, part) for own in earlier for number, part in own.whole().items()}
    missing = [number for number in range(len(shares)) if number not in parts]
    suffix = token()
    note = announced("gmm-predict", suffix, len(missing)) if missing else None
    write = _write if note is None else partial(_write_and_note, note)
    name, shared = f"gmm-predict-{suffix}", shared_key("gmm-predict", suffix)
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


@retried  # the whole task, as the output may lie in a store too
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
            _require_values(block.rows, content, part, first, columns)
            _write_block(block, content, writer)
    return writer.written()


def _write_and_note(
    note: Callable[[int], None], columns: tuple[str, ...] | None, number: int, *arguments: Any
) -> WrittenPart:
    written = _write(columns, number, *arguments)
    note(number)
    return written


def _write_block(block: Block, content: OutputContent, writer: Writer) -> None:
    for window in windows(block.rows.shape[1], content.n_values):
        own = _rows_of(block, window)
        writer.write(content.of(own.rows.T), own.kept)


def _require_values(
    rows: Floats, content: OutputContent, part: Part, before: int, columns: tuple[str, ...] | None
) -> None:
    flaw = Flaw.in_rows(rows, missing=content.takes_missing)
    if flaw is not None:
        flaw = flaw.after(before)
        written = text_at(part, flaw.row, flaw.feature)
        raise flaw.error(part.label, columns, written=written)
