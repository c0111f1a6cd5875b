"""How parts are grouped into the tasks of a pass, and tiny parts bundled into larger ones.

Dask's cost follows the number of tasks (about 3 ms each on a busy scheduler), so a task takes
several parts until it is worth its overhead; and a part costs more than a few rows do, so tiny
adjacent parts are read as one block. Both follow from the data alone, never from the workers
that happen to be alive: sums keep their shape on one worker or twenty.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from daskgmm.data.source import Block, Part, Source, labels_of
from daskgmm.passes.cache.memory import copied

SECONDS_A_TASK = 0.1
"""Arithmetic that makes a task worth its overhead."""

SECONDS_A_TASK_IN_MEMORY = 0.004
"""The same for rows in memory: threads of one process start a task in a tenth of a millisecond."""

FEWEST_TASKS = 128
MOST_TASKS = 4096
MOST_TASKS_UNMEASURED = 512

_USUAL_ROWS = 10_000
"""Taken for a part's rows where its length is not known, so that the groups are the same."""


def group_unmeasured(n_parts: int) -> list[range]:
    """Groups of equally many parts, for parts whose lengths are not known yet."""
    return _even(n_parts, min(n_parts, MOST_TASKS_UNMEASURED))


def group_measured(
    lengths: Sequence[int], cost_a_row: float, *, fewest_rows: int = 1, in_memory: bool = False
) -> list[range]:
    """Groups of adjacent parts of about equal cost, each worth a task's overhead.

    A task has about `fewest_rows` at the least.
    """
    seconds = [length * cost_a_row for length in lengths]
    each = SECONDS_A_TASK_IN_MEMORY if in_memory else SECONDS_A_TASK
    # The cost of reading a part is unknown: make a few more tasks than the arithmetic is worth.
    fewest = 1 if in_memory else min(FEWEST_TASKS, len(lengths))
    wanted = int(np.clip(np.ceil(sum(seconds) / each), fewest, MOST_TASKS))
    wanted = max(min(wanted, sum(lengths) // fewest_rows), 1)
    if in_memory and wanted > 1:  # parts are even, and so are groups of as many each
        return _even(len(lengths), _divisor(len(lengths), wanted))
    share = sum(seconds) / wanted
    if share == 0:
        return _even(len(lengths), min(len(lengths), wanted))
    # A part belongs to the group in which its middle lies.
    middles = [end - own / 2 for end, own in zip(accumulate(seconds), seconds, strict=True)]
    owners = [min(int(middle / share), wanted - 1) for middle in middles]
    starts = [i for i, owner in enumerate(owners) if i == 0 or owner != owners[i - 1]]
    return [range(a, b) for a, b in zip(starts, [*starts[1:], len(lengths)], strict=True)]


def _divisor(number: int, least: int) -> int:
    """The smallest divisor of a number that is as large as this, but not twice as large.

    Where there is none, this itself: small tasks cost more than tasks that are not alike.
    """
    most = min(number, 2 * least)
    return next((one for one in range(least, most + 1) if number % one == 0), min(least, number))


def group_by_cost(source: Source, cost_a_row: float) -> list[range]:
    """Groups of a source's parts for one pass, also where their lengths are not known.

    Parameters
    ----------
    source : Source
    cost_a_row : float
        Cost of a row in the pass, in seconds.
    """
    lengths = source.lengths or (_USUAL_ROWS,) * len(source.parts)
    return group_measured(lengths, cost_a_row, in_memory=source.in_memory)


def _even(n_parts: int, n_groups: int) -> list[range]:
    edges = [round(i * n_parts / n_groups) for i in range(n_groups + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


_BUNDLE_BYTES = 2**20
_BUNDLE_ROWS = 2**14


@dataclass(frozen=True)
class Bundle:
    """Adjacent parts whose rows are read as one block.

    Parameters
    ----------
    parts : tuple of Part
        Two or more.
    """

    parts: tuple[Part, ...]

    @property
    def inputs(self) -> Sequence[Hashable]:
        """Keys of all parts' chunks, in order."""
        return [key for part in self.parts for key in part.inputs]

    @property
    def label(self) -> str:
        """Labels of the first and the last part."""
        return f"{self.parts[0].label} to {self.parts[-1].label}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of all parts, in order."""
        return tuple(label for part in self.parts for label in labels_of(part))

    def read(self, *inputs: Any) -> Iterator[Block]:
        """Yield all rows as one block; none if there are no rows."""
        values = iter(inputs)
        blocks: list[Block] = []
        lengths: list[int] = []
        for part in self.parts:
            own = part.read(*(next(values) for _ in part.inputs))
            # A part may overwrite a block's arrays when it reads the next block.
            found = [copied(block) for block in own if block.rows.shape[1] > 0]
            lengths.append(sum(block.rows.shape[1] for block in found))
            blocks += found
        if blocks:
            yield _joined(blocks, tuple(lengths))


def _joined(blocks: Sequence[Block], lengths: tuple[int, ...]) -> Block:
    """The rows of several blocks as one block, of parts of these lengths."""
    weights = None
    if any(block.weights is not None for block in blocks):
        weights = np.concatenate([_weights(block) for block in blocks])
    rows = np.concatenate([block.rows for block in blocks], axis=1)
    return Block(rows, weights, lengths=lengths)


def _weights(block: Block) -> Any:
    return np.ones(block.rows.shape[1]) if block.weights is None else block.weights


def bundled(source: Source, lengths: Sequence[int]) -> Source:
    """The same rows with tiny adjacent parts bundled, with the lengths of the new parts.

    A bundle takes at most 16,384 rows and 1 MiB, and so few parts that at least `FEWEST_TASKS`
    tasks remain, because the cost of reading a part is not known. Parts that are bundled already
    stay as they are.
    """
    if any(len(labels_of(part)) > 1 for part in source.parts):
        return replace(source, lengths=lengths_together(source, lengths))
    most_rows = min(_BUNDLE_ROWS, _BUNDLE_BYTES // (source.n_features * source.dtype.itemsize))
    most_parts = -(-len(lengths) // FEWEST_TASKS)
    runs = list(_runs(lengths, most_rows, most_parts))
    return replace(
        source,
        parts=[_as_one(source.parts[run.start : run.stop]) for run in runs],
        lengths=tuple(sum(lengths[run.start : run.stop]) for run in runs),
    )


def lengths_together(source: Source, lengths: Sequence[int]) -> tuple[int, ...]:
    """Rows of a source's parts, given those of all that they join."""
    if len(lengths) == len(source.parts):
        return tuple(lengths)
    values = iter(lengths)
    return tuple(sum(next(values) for _ in labels_of(part)) for part in source.parts)


def _as_one(parts: Sequence[Part]) -> Part:
    return parts[0] if len(parts) == 1 else Bundle(tuple(parts))


def _runs(lengths: Sequence[int], most_rows: int, most_parts: int) -> Iterator[range]:
    start, rows = 0, 0
    for end, length in enumerate(lengths):
        if end > start and (rows + length > most_rows or end - start == most_parts):
            yield range(start, end)
            start, rows = end, 0
        rows += length
    yield range(start, len(lengths))


def laid_out(
    source: Source, lengths: Sequence[int], cost_a_row: float, fewest_rows: int
) -> tuple[Source, list[range]]:
    """Bundle a source's tiny parts, and group its parts into the tasks of a fit's passes.

    Parameters
    ----------
    source : Source
    lengths : sequence of int
        Rows of each part, which the source itself may not know.
    cost_a_row : float
        Cost of a row in a pass, in seconds.
    fewest_rows : int
        Fewest rows of a task, about.
    """
    cut = bundled(source, lengths)
    groups = group_measured(
        cut.lengths or (), cost_a_row, fewest_rows=fewest_rows, in_memory=cut.in_memory
    )
    return cut, groups
