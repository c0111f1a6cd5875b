"""Columns of lists of numbers: each element is a feature."""

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from numpy.testing import assert_array_equal

from daskgmm import GaussianMixture, open_dataset
from daskgmm.errors import ConfigurationError, DataError, InputTypeError
from tests.support.command import here

__all__ = ["here"]

V = np.arange(12.0).reshape(4, 3)
KINDS = {
    "lists": pa.list_(pa.float64()),
    "large lists": pa.large_list(pa.float32()),
    "fixed lists": pa.list_(pa.float64(), 3),
    "fixed lists of single precision": pa.list_(pa.float32(), 3),
    "lists of whole numbers": pa.list_(pa.int16()),
}
SPARK = pa.struct(
    {
        "type": pa.int8(),
        "size": pa.int32(),
        "indices": pa.list_(pa.int32()),
        "values": pa.list_(pa.float64()),
    }
)


def all_rows(dataset):
    return np.concatenate(
        [block.rows.T.copy() for part in dataset.source().parts for block in part.read()]
    )


def written(path, lists, kind=KINDS["lists"], **others):
    rows = pa.table({**others, "v": pa.array(lists, kind)})
    pq.write_table(rows, path, row_group_size=3)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_elements_are_features_in_their_order(tmp_path, kind):
    path = written(tmp_path / "a.parquet", V.tolist(), KINDS[kind], x=[9.0, 8, 7, 6])
    dataset = open_dataset(path, columns=["v", "x"])
    assert dataset.columns == ("v[0]", "v[1]", "v[2]", "x")
    assert_array_equal(all_rows(dataset), np.c_[V, [9, 8, 7, 6]])
    assert open_dataset(path).columns == ("x", "v[0]", "v[1]", "v[2]")
    single = "float32" if pa.types.is_float32(KINDS[kind].value_type) else "float64"
    assert open_dataset(path, columns=["v"]).source().dtype == single


def test_elements_are_chosen_one_by_one(tmp_path):
    path = written(tmp_path / "a.parquet", V.tolist())
    dataset = open_dataset(path, columns=["v[2]", "v[0]"]).select(keep=["v"])
    assert dataset.columns == ("v[2]", "v[0]")
    assert_array_equal(all_rows(dataset), V[:, [2, 0]])


def test_a_column_with_the_name_of_an_element_comes_first(tmp_path):
    path = written(tmp_path / "a.parquet", V.tolist(), **{"v[0]": [5.0] * 4})
    assert_array_equal(all_rows(open_dataset(path, columns=["v[0]"])), np.full((4, 1), 5))


OLD_ARROW = pytest.mark.skipif(
    int(pa.__version__.split(".")[0]) < 26, reason="before, Arrow read no fixed-size list of null"
)


@pytest.mark.parametrize("kind", ["lists", pytest.param("fixed lists", marks=OLD_ARROW)])
def test_a_missing_list_has_missing_elements(tmp_path, kind):
    lists = [None, [1, None, 3], None, [4, 5, 6], None]
    found = all_rows(open_dataset(written(tmp_path / "a.parquet", lists, KINDS[kind])))
    n = np.nan
    assert_array_equal(found, [[n, n, n], [1, n, 3], [n, n, n], [4, 5, 6], [n, n, n]])


def test_a_list_of_another_length_is_named_by_its_row(tmp_path):
    dataset = open_dataset(written(tmp_path / "a.parquet", [[1, 2], [3, 4], [5, 6], [7, 8], [9]]))
    with pytest.raises(
        DataError, match=r"row group 1, column 'v', row 1: the list has 1 values.* 2"
    ):
        all_rows(dataset)


def test_fixed_lists_of_other_lengths_are_refused_at_once(tmp_path):
    written(tmp_path / "a.parquet", [[1, 2]], pa.list_(pa.float64(), 2))
    written(tmp_path / "b.parquet", [[1, 2, 3]], pa.list_(pa.float64(), 3))
    with pytest.raises(DataError, match=r"b\.parquet holds lists of 3 values, and others of 2"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("columns", "kind", "said"),
    [
        (["v[3]"], DataError, r"has no 'v\[3\]': the lists of 'v' have 3 values"),
        (["v", "v[1]"], ConfigurationError, r"'v\[1\]' twice"),
        (["text"], InputTypeError, "not numeric: it holds lists"),
    ],
)
def test_what_is_no_element_is_said(tmp_path, columns, kind, said):
    path = written(tmp_path / "a.parquet", V.tolist(), text=[["a"]] * 4)
    with pytest.raises(kind, match=said):
        open_dataset(path, columns=columns)


def test_lists_are_no_weights_and_missing_ones_have_no_length(tmp_path):
    path = written(tmp_path / "a.parquet", V.tolist(), x=[1.0] * 4)
    with pytest.raises(InputTypeError, match=r"'v' of .* is not numeric: it holds lists"):
        open_dataset(path, columns=["x"], sample_weight="v")
    with pytest.raises(DataError, match="no list whose length"):
        open_dataset(written(tmp_path / "b.parquet", [None, None]))


def test_sparks_vectors_are_features_dense_or_sparse(tmp_path):
    vectors = [
        {"type": 1, "size": None, "indices": None, "values": [1.0, 2, 3]},
        {"type": 0, "size": 3, "indices": [0, 2], "values": [5.0, 7]},
        None,
        {"type": 0, "size": 3, "indices": [], "values": []},
        {"type": 1, "size": None, "indices": None, "values": [4.0, 5, 6]},
    ]
    path = written(tmp_path / "a.parquet", vectors, SPARK)
    n = np.nan
    expected = [[1, 2, 3], [5, 0, 7], [n, n, n], [0, 0, 0], [4, 5, 6]]
    assert_array_equal(all_rows(open_dataset(path)), expected)
    first = [vectors[1], {**vectors[0], "values": [1.0, 2]}]
    with pytest.raises(DataError, match="row 1: the list has 2 values, and others have 3"):
        all_rows(open_dataset(written(tmp_path / "b.parquet", first, SPARK)))


NO_VECTORS = {
    "another type": {"type": 7},
    "no type": {"type": None},
    "no size": {"size": None},
    "no values": {"values": None},
    "no indices": {"indices": None},
    "dense without values": {"type": 1, "values": None},
    "an index beyond": {"indices": [0, 3]},
    "an index below": {"indices": [-1, 0]},
    "an index twice": {"indices": [1, 1]},
    "a null for an index": {"indices": [None, 1]},
    "an index more": {"indices": [0, 1, 2]},
    "an index less": {"indices": [0]},
}


@pytest.mark.parametrize("what", NO_VECTORS)
def test_what_is_no_vector_of_sparks_is_refused_by_its_row(tmp_path, what):
    right = {"type": 0, "size": 3, "indices": [0, 2], "values": [5.0, 7]}
    wrong = {**right, **NO_VECTORS[what]}
    path = written(tmp_path / "a.parquet", [right, None, right, None, wrong], SPARK)
    with pytest.raises(
        DataError, match=r"row group 1, column 'v', row 1: .* is not a vector of Sp"
    ):
        all_rows(open_dataset(path))
    first = written(tmp_path / "b.parquet", [wrong, right], SPARK)
    with pytest.raises(DataError, match=r"is not a vector of Spark's|no list whose length"):
        all_rows(open_dataset(first))


def test_vectors_of_billions_are_refused_without_names_for_them(tmp_path):
    vector = {"type": 0, "size": 2**31 - 1, "indices": [2], "values": [1.0]}
    with pytest.raises(DataError, match="have 2147483647 values, and 1000000 are the most"):
        open_dataset(written(tmp_path / "a.parquet", [vector], SPARK))


def test_what_polars_and_duckdb_write_is_read(tmp_path):
    frame = pl.DataFrame({"v": pl.Series(V, dtype=pl.Array(pl.Float32, 3))})
    frame.write_parquet(tmp_path / "polars.parquet")
    vectors = duckdb.sql("SELECT [i, i + 1, i + 2]::FLOAT[3] v FROM range(0, 12, 3) t(i)")
    vectors.write_parquet(str(tmp_path / "duckdb.parquet"))
    for name in ("polars", "duckdb"):
        assert_array_equal(all_rows(open_dataset(tmp_path / f"{name}.parquet")), V, err_msg=name)


@pytest.mark.slow
def test_a_table_with_vectors_is_fitted_and_labelled(tmp_path, here):
    X = np.random.default_rng(0).normal(size=(80, 3))
    table = tmp_path / "table"
    write_deltalake(str(table), pa.table({"v": pa.array(X.tolist(), pa.list_(pa.float64()))}))
    expected = GaussianMixture(2, random_state=0).fit(X)
    found = GaussianMixture(2, random_state=0).fit(open_dataset(table))
    assert list(found.feature_names_in_) == ["v[0]", "v[1]", "v[2]"]
    np.testing.assert_allclose(found.means_, expected.means_, rtol=1e-9)
    columns = ("--columns", "v")
    assert here("fit", table, "-k", 2, "-o", tmp_path / "run", "--seed", 0, *columns).code == 0
    for extra in (columns, ()):
        done = here(
            "predict", tmp_path / "run", table, "-o", tmp_path / "labels", *extra, "--force"
        )
        assert done.code == 0, done.err
    labels = pq.read_table(tmp_path / "labels")["label"].to_numpy()
    assert_array_equal(labels, expected.predict(X))
