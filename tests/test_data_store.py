"""Rows in an object store, over real HTTP."""

import numpy as np
import pandas as pd

from daskgmm import open_dataset


def test_rows_of_an_object_store_are_read(s3):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["a", "b"])
    for number in range(3):
        with s3.filesystem.open(f"{s3.url}/rows/{number}.parquet", "wb") as file:
            frame.to_parquet(file)
    dataset = open_dataset(f"{s3.url}/rows", storage_options=s3.options)
    assert [file.bytes > 0 and file.etag is not None for file in dataset.files] == [True] * 3
    blocks = [block.rows.copy() for part in dataset.source().parts for block in part.read()]
    assert np.array_equal(np.concatenate(blocks, axis=1).T, np.tile(frame.to_numpy(), (3, 1)))
