"""The pass of the EM loop: moments of mixtures over all rows."""

from collections.abc import Iterator, Sequence

from daskgmm.data.source import Block, Part, Source
from daskgmm.model.expectation import Expectation, add, partial_moments
from daskgmm.model.moments import Moments
from daskgmm.passes.engine import compute, token
from daskgmm.passes.graph import map_groups
from daskgmm.passes.tree import tree


def _moments_of_stretch(
    stretch: Iterator[tuple[int, Part, Iterator[Block]]], expectation: Expectation
) -> list[Moments]:
    blocks = ((block.rows, block.weights) for _, _, part in stretch for block in part)
    return partial_moments(expectation, blocks)


def expect(source: Source, groups: Sequence[range], expectation: Expectation) -> list[Moments]:
    """One pass: each mixture's moments over all rows of `source`."""
    suffix = token()
    graph, leaves = map_groups(
        source, groups, _moments_of_stretch, expectation, f"gmm-pass-{suffix}"
    )
    sums, root = tree(leaves, add, suffix)
    return expectation.complete(compute(graph | sums, root))
