"""The pass of the EM loop: moments of mixtures over all rows.

A pass over rows that nobody has looked at: moments, and whether they mean anything.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np

from daskgmm.data.source import Block, Part, Source
from daskgmm.model.expectation import Accumulator, Expectation, add
from daskgmm.model.frame import scatter
from daskgmm.model.moments import Moments
from daskgmm.model.nonfinite import Flaw
from daskgmm.model.typing import Doubles
from daskgmm.passes.engine.client import compute
from daskgmm.passes.engine.graph import Group, pass_graph
from daskgmm.passes.engine.grouping import group_measured
from daskgmm.passes.engine.keys import Phase, token
from daskgmm.passes.engine.work import OnPart, Work
from daskgmm.passes.survey import FlawedPart

_idle: WeakKeyDictionary[Expectation, list[Accumulator]] = WeakKeyDictionary()


@contextmanager
def accumulator(expectation: Expectation) -> Iterator[Accumulator]:
    """Lend an accumulator: tasks of one pass reuse its work arrays, which go when the pass ends."""
    idle = _idle.setdefault(expectation, [])
    try:
        found = idle.pop()
    except IndexError:
        found = Accumulator(expectation)
    yield found
    idle.append(found)


def _add_part(
    position: int, part: Part, blocks: Iterator[Block], expectation: Expectation
) -> list[Moments]:
    del position, part
    with accumulator(expectation) as accumulate:
        return accumulate((block.rows, block.weights) for block in blocks)


def _begin(expectation: Expectation) -> OnPart:
    return partial(_add_part, expectation=expectation)


def expect(source: Source, groups: Sequence[Group], expectation: Expectation) -> list[Moments]:
    """One pass: each mixture's moments over all rows of `source`."""
    work = Work(_begin, add, expectation)
    graph, root = pass_graph(source, groups, work, "gmm-pass", token())
    return expectation.complete(compute(graph, root, Phase.PASS))


_USUAL_ROWS = 10_000


@dataclass(frozen=True, eq=False)
class Checked:
    """What was found.

    Parameters
    ----------
    lengths : tuple of int
        Rows of each part, in order; of a flawed one those in the blocks before.
    flawed : FlawedPart or None
        The first part with a value that is not finite.
    moments : list of Moments
        Each mixture's, over the rows that were read.
    scatter : ndarray of shape (D, D) or empty
        The same rows' second moments about the frame's origin, where they are needed.
    """

    lengths: tuple[int, ...]
    flawed: FlawedPart | None
    moments: list[Moments]
    scatter: Doubles

    def __add__(self, other: "Checked") -> "Checked":
        return Checked(
            self.lengths + other.lengths,
            self.flawed or other.flawed,
            add(self.moments, other.moments),
            self.scatter + other.scatter,
        )


def _check_part(
    position: int, part: Part, blocks: Iterator[Block], expectation: Expectation
) -> Checked:
    length, flawed = 0, None
    side = len(expectation.frame.origin) if expectation.needs_scatter else 0
    second = np.zeros((side, side))
    with accumulator(expectation) as accumulate:
        moments = accumulate(())
        for block in blocks:
            flaw = Flaw.in_rows(block.rows)
            if flaw is not None:
                flawed = FlawedPart.of(part, position, flaw.after(length))
                break
            moments = add(moments, accumulate([(block.rows, block.weights)]))
            if side:
                second += scatter(block.rows, block.weights, expectation.frame)
            length += block.rows.shape[1]
    return Checked((length,), flawed, moments, second)


def _begin_checked(expectation: Expectation) -> OnPart:
    return partial(_check_part, expectation=expectation)


def expect_checked(source: Source, expectation: Expectation, cost_a_row: float) -> list[Moments]:
    """One pass: each mixture's moments over all rows of `source`, each value looked at.

    Parameters
    ----------
    source : Source
    expectation : Expectation
    cost_a_row : float
        Of the arithmetic, in seconds, for the grouping.

    Raises
    ------
    DataError
        A value is not finite.
    """
    # Lengths may be unknown: these stand for them, so that the grouping is always the same.
    lengths = source.lengths or (_USUAL_ROWS,) * len(source.parts)
    groups = group_measured(lengths, cost_a_row, in_memory=source.in_memory)
    work = Work(_begin_checked, Checked.__add__, expectation)
    graph, root = pass_graph(source, groups, work, "gmm-pass", token())
    found: Checked = compute(graph, root, Phase.PASS)
    if found.flawed is not None:
        raise found.flawed.error(source.columns, found.lengths)
    return replace(expectation, scatter=found.scatter).complete(found.moments)
