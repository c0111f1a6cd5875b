"""Joined blocks are the same rows in the same order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daskgmm.model.joining import Joining

LENGTHS = st.lists(st.integers(0, 12), max_size=8)


def blocks_of(lengths, weighted, order):
    """Blocks whose memory is used again once the next is asked for, as those read ahead are."""
    memory, begin = np.empty((3, 12), order=order), 0
    for n in lengths:
        memory[:] = np.nan
        block = memory[:, :n]
        block[:] = np.arange(begin, begin + n)
        yield block, block[0].copy() if weighted else None
        begin += n


@given(parts=st.lists(LENGTHS, max_size=3), wanted=st.integers(0, 20), weighted=st.booleans())
@pytest.mark.parametrize("order", ["C", "F"])
def test_joined_blocks_are_the_same_rows_in_their_order(parts, wanted, weighted, order):
    join = Joining(wanted)
    for lengths in parts:
        found = [
            (rows.copy(), None if weights is None else weights.copy())
            for rows, weights in join(blocks_of(lengths, weighted, order))
        ]
        rows = np.concatenate([np.empty((3, 0)), *(own for own, _ in found)], axis=1)
        assert_array_equal(rows, np.tile(np.arange(sum(lengths)), (3, 1)))
        assert all((weights is not None) == weighted for _, weights in found)
        assert all(len(weights) == own.shape[1] for own, weights in found if weights is not None)
        sizes = [own.shape[1] for own, _ in found]
        # Of two that follow each other one was large, or both together would not fit.
        pairs = list(pairwise(sizes))
        assert all(max(2 * one, 2 * other, one + other) > wanted for one, other in pairs)


@given(
    kinds=st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from("fd"), st.sampled_from([None, "f", "d"])),
        max_size=8,
    ),
    wanted=st.integers(0, 20),
)
def test_blocks_of_other_types_are_not_joined(kinds, wanted):
    """Chunks of a dask collection may have types of their own, and some no weights."""
    blocks, begin = [], 0
    for n, dtype, weighted in kinds:
        values = np.arange(begin, begin + n)
        weights = None if weighted is None else values.astype(weighted)
        blocks.append((np.tile(values.astype(dtype), (2, 1)), weights))
        begin += n
    found = []
    for rows, weights in Joining(wanted)(iter(blocks)):
        found += [(*row, row[0] if weights is None else weights[i]) for i, row in enumerate(rows.T)]
    assert [row for row in found if len(row)] == [(i, i, i) for i in range(begin)]


def test_a_large_block_is_not_copied():
    rows = np.zeros((2, 60))
    ((found, _),) = Joining(100)([(rows, None)])
    assert found is rows
