"""How fast this machine makes passes, from a few short ones."""

import time
from collections.abc import Sequence

import dask

from daskgmm.data.source import Block, Floats, Source
from daskgmm.model.expectation import Expectation
from daskgmm.passes.engine.client import running_on
from daskgmm.passes.engine.persist import DecodedPart
from daskgmm.passes.expectation import expect

_PASSES = 5


def measured_seconds_a_row(expectation: Expectation, blocks: Sequence[Floats]) -> float:
    """The least of a few passes over blocks (D, n) in memory, in one thread of this process."""
    part = DecodedPart("generated rows", tuple(map(Block, blocks)))
    rows: int = sum(block.shape[1] for block in blocks)
    n_features, dtype = len(blocks[0]), blocks[0].dtype
    source = Source((part,), n_features, dtype, lengths=(rows,), in_memory=True)

    def seconds() -> float:
        began = time.thread_time()  # the processor's: others may use it meanwhile
        expect(source, [range(1)], expectation)
        return time.thread_time() - began

    with running_on(None), dask.config.set(scheduler="sync"):
        seconds()  # which brings in the compiled loop and its work arrays
        fastest = min(seconds() for _ in range(_PASSES))
    return fastest / rows
