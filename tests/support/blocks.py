"""Blocks that outlive the next one."""

from dataclasses import replace

import numpy as np

from daskgmm.data.source import Block, Source


def copy(block: Block) -> Block:
    """The block with rows of its own."""
    return replace(block, rows=block.rows.copy())


def all_rows(source: Source) -> np.ndarray:
    """Rows as (n, D), however they are cut."""
    blocks = [block.rows.copy() for part in source.parts for block in part.read()]
    return np.concatenate([np.empty((source.n_features, 0)), *blocks], axis=1).T
