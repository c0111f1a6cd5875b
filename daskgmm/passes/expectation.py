"""The pass of the EM loop: moments of mixtures over all rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from weakref import WeakKeyDictionary

from daskgmm.data.source import Block, Part, Source
from daskgmm.model.expectation import Accumulator, Expectation, add
from daskgmm.model.moments import Moments
from daskgmm.passes.engine.client import compute
from daskgmm.passes.engine.graph import Group, pass_graph
from daskgmm.passes.engine.keys import Phase, token
from daskgmm.passes.engine.work import OnPart, Work

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
