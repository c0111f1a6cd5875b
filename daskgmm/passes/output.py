"""What a model says of rows, written part by part where the rows are read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from dask._task_spec import DataNode, Task, TaskRef
from numpy.typing import NDArray

from daskgmm.data.sinks import as_table, part_writer, parts_in, write_empty
from daskgmm.data.source import Block, Floats, Part, Source
from daskgmm.errors import DataError, OutputError
from daskgmm.model.flaws import Flaw
from daskgmm.model.prediction import Predictor
from daskgmm.passes.blas import one_thread
from daskgmm.passes.compiling import readied
from daskgmm.passes.engine import compute, token

_VALUES_AT_ONCE = 2**21


@dataclass(frozen=True)
class Output:
    """What is written of each row, and where.

    Parameters
    ----------
    predictor : Predictor
    folder : Path
        That all workers see.
    labels, probabilities, log_density : bool
        Which predictions.
    """

    predictor: Predictor
    folder: Path
    labels: bool = True
    probabilities: bool = False
    log_density: bool = False

    def names(self) -> list[str]:
        """Names of the predictions' columns."""
        n_components = self.predictor.mixture.n_components
        probabilities = range(n_components if self.probabilities else 0)
        return [
            *(["label"] if self.labels else []),
            *(f"probability_{k}" for k in probabilities),
            *(["log_density"] if self.log_density else []),
        ]

    def of(self, rows: Floats) -> Mapping[str, NDArray[Any]]:
        """Predictions of rows (n, D), named.

        Raises
        ------
        NotFiniteError
            A value is not finite.
        """
        if not (self.probabilities or self.log_density):
            return {"label": self.predictor.labels(rows).astype(np.int32)}
        labels, probabilities, densities = self.predictor.everything(rows)
        found: list[NDArray[Any]] = [labels.astype(np.int32)] if self.labels else []
        if self.probabilities:
            found.extend(probabilities.astype(np.float64, copy=False))
        if self.log_density:
            found.append(densities.astype(np.float64, copy=False))
        return dict(zip(self.names(), found, strict=True))


def write_predictions(source: Source, output: Output) -> int:
    """Write a Parquet file for each part, in one pass; return the number of rows.

    Raises
    ------
    DataError
        A value is not finite, or there are no rows.
    OutputError
        A file cannot be written, or workers write where this process doesn't see it.
    """
    output = replace(output, predictor=readied(output.predictor, source))
    suffix = token()
    name, shared = f"gmm-predict-{suffix}", f"gmm-predict-argument-{suffix}"
    graph: dict[Any, Any] = {**source.graph, shared: DataNode(shared, output)}
    keys = [(name, position) for position in range(len(source.parts))]
    for key, part in zip(keys, source.parts, strict=True):
        inputs = [TaskRef(wanted) for wanted in part.inputs]
        graph[key] = Task(key, _write_part, source.columns, key[1], part, TaskRef(shared), *inputs)
    rows = compute(graph, keys)
    if sum(rows) == 0:
        raise DataError(
            "There are no rows to label.", "Check that the input holds the rows that it should."
        )
    _complete(output.folder, rows)
    return int(sum(rows))


def _complete(folder: Path, rows: list[int]) -> None:
    if len(parts_in(folder)) < sum(count > 0 for count in rows):
        raise OutputError(
            f"The workers wrote files into {folder} that can't be seen from here.",
            "Choose an output in a folder that this machine shares with them.",
        )
    write_empty(folder, [position for position, count in enumerate(rows) if count == 0])


def _write_part(
    columns: tuple[str, ...] | None, position: int, part: Part, output: Output, *inputs: Any
) -> int:
    with one_thread(), part_writer(output.folder, position) as writer:
        for block in part.read(*inputs):
            _require_finite(block.rows, part, writer.rows, columns)
            for window in _windows(block, output):
                kept = None
                if block.kept is not None:
                    kept = block.kept.slice(window.start, window.stop - window.start)
                writer.write(as_table(output.of(block.rows[:, window].T), kept))
        return writer.rows


def _windows(block: Block, output: Output) -> Iterator[slice]:
    n_features, n_rows = block.rows.shape
    n_values = n_features + output.predictor.mixture.n_components
    size = max(_VALUES_AT_ONCE // n_values, 1)
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def _require_finite(rows: Floats, part: Part, before: int, columns: tuple[str, ...] | None) -> None:
    flaw = Flaw.in_rows(rows)
    if flaw is not None:
        raise flaw.after(before).error(part.label, columns)
