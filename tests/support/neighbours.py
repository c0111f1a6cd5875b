"""Another process that stages rows: in a module that spawned processes can import."""

import dask
import numpy as np

from daskgmm.data.source import Block
from daskgmm.passes.cache.disk import DiskStage


def some_blocks(lengths=(700, 700, 33), dtype=np.float64, weighted=True, n_features=3):
    rng = np.random.default_rng(len(lengths))
    return [
        Block(rng.normal(size=(n_features, n)).astype(dtype), rng.random(n) if weighted else None)
        for n in lengths
    ]


def put(stage, position, blocks):
    entry = stage.entry(position)
    for block in blocks:
        entry.add(block)
    entry.finish()
    entry.discard()


def hold(token, place, said, wait):
    """Stage a part, say so, and keep it until told otherwise."""
    with dask.config.set({"temporary-directory": str(place)}):
        stage = DiskStage(token)
        put(stage, 0, some_blocks())
        said.set()
        wait.wait()
        stage.leave()
