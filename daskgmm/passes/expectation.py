"""The pass of the EM loop: moments of mixtures over all rows."""

from collections.abc import Iterator, Sequence

from daskgmm.data.source import Block, Part, Source
from daskgmm.model.expectation import Accumulator, Expectation, add
from daskgmm.model.moments import Moments
from daskgmm.passes.engine import compute, token
from daskgmm.passes.graph import Group, OnPart, Work, pass_graph


def _begin(expectation: Expectation) -> OnPart:
    accumulate = Accumulator(expectation)

    def on_part(position: int, part: Part, blocks: Iterator[Block]) -> list[Moments]:
        del position, part
        return accumulate((block.rows, block.weights) for block in blocks)

    return on_part


def expect(source: Source, groups: Sequence[Group], expectation: Expectation) -> list[Moments]:
    """One pass: each mixture's moments over all rows of `source`."""
    work = Work(_begin, add, expectation)
    graph, root = pass_graph(source, groups, work, "gmm-pass", token())
    return expectation.complete(compute(graph, root))
