"""All rows of a dataset, as tests of tables compare them."""

import numpy as np
import pyarrow as pa


def rows_of(dataset):
    """All rows of a dataset (n, D), sorted by the first feature."""
    blocks = [block.rows.T.copy() for part in dataset.source().parts for block in part.read()]
    rows = np.concatenate(blocks)
    assert len(rows) == sum(dataset.source().lengths) == sum(dataset.table.rows)
    return rows[np.argsort(rows[:, 0])]


def numbers(dataset):
    """The first feature of all rows, sorted."""
    return rows_of(dataset)[:, 0].tolist()


def kept(dataset):
    """The kept columns of all rows."""
    tables = [block.kept for part in dataset.source().parts for block in part.read()]
    return pa.concat_tables(tables).to_pylist()
