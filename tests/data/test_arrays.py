"""Rows in memory: NumPy arrays, pandas and Polars frames."""

import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal

from daskgmm.data.containers.arrays import from_numpy
from daskgmm.data.containers.frames import from_frame
from daskgmm.errors import DataError, InputTypeError


def blocks(source):
    return [block for part in source.parts for block in part.read()]


def all_rows(source):
    """Rows as (n, D), however they are cut."""
    return np.concatenate([block.rows for block in blocks(source)], axis=1).T


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    X=arrays(
        st.sampled_from([np.float32, np.float64, np.int16, np.uint8, np.bool_]),
        st.tuples(st.integers(0, 40), st.integers(1, 4)),
    )
)
def test_all_rows_come_back_in_order(X):
    source = from_numpy(X)
    assert_array_equal(all_rows(source), X.astype(source.dtype))
    assert sum(source.lengths) == len(X)


@pytest.mark.parametrize(
    ("given_type", "read_as"),
    [("f4", "f4"), ("f8", "f8"), ("f2", "f8"), (">f8", "f8"), ("i8", "f8"), ("?", "f8")],
)
def test_floats_stay_and_other_numbers_become_float64(given_type, read_as):
    source = from_numpy(np.ones((3, 2), given_type))
    assert source.dtype == np.dtype(read_as)
    assert blocks(source)[0].rows.dtype == np.dtype(read_as)


def test_blocks_of_an_array_are_views_of_it():
    X = np.zeros((10, 3))
    assert np.shares_memory(blocks(from_numpy(X))[0].rows, X)


@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        ((500_000, 1), 2),  # of 2**18 rows at the most
        ((700_000, 1), 4),
        ((3000, 2**15), 12),  # 256
        ((18_000, 128), 4),  # 6144
        ((9000, 1000), 8),  # 2048
    ],
)
def test_parts_are_even_and_few_and_threads_can_share_them(shape, parts):
    lengths = from_numpy(np.broadcast_to(np.float32(0), shape)).lengths
    assert max(lengths) - min(lengths) <= (256 if lengths[0] % 64 == 0 else 1)
    assert len(lengths) == parts
    assert sum(lengths) == shape[0]


def test_long_parts_are_of_odd_numbers_of_lines():
    lengths = np.array(from_numpy(np.broadcast_to(0.0, (50_000, 200))).lengths)
    assert (lengths[:-1] % 128 == 64).all()
    assert lengths.min() > 0.9 * lengths.max()


def test_a_pickled_part_holds_its_own_rows_only():
    source = from_numpy(np.random.default_rng(0).random((360_000, 8)))
    parts = [pickle.loads(pickle.dumps(part)) for part in source.parts]  # noqa: S301
    assert len(pickle.dumps(source.parts[0])) < 1.01 * 3 * 2**21
    assert_array_equal(next(parts[1].read()).rows, next(source.parts[1].read()).rows)


def test_an_array_without_rows_is_one_empty_part():
    source = from_numpy(np.empty((0, 2)))
    assert source.lengths == (0,)
    assert all_rows(source).shape == (0, 2)


def test_a_part_is_labelled_by_its_rows():
    assert from_numpy(np.zeros((5, 2))).parts[0].label == "rows 0 to 4"


def test_weights_are_cut_like_the_rows():
    weights = np.arange(300_000)
    source = from_numpy(np.zeros((300_000, 2)), weights)
    assert_array_equal(np.concatenate([block.weights for block in blocks(source)]), weights)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_wrong_weight_is_named_with_its_row(bad):
    with pytest.raises(DataError, match=rf"row 2: the sample weight is {bad}"):
        from_numpy(np.zeros((4, 1)), [1, 1, bad, 1])


def test_weights_of_another_length_are_refused():
    with pytest.raises(DataError, match=r"shape \(3,\), and X has 4 rows"):
        from_numpy(np.zeros((4, 1)), [1, 1, 1])


def test_weights_that_are_no_numbers_are_refused():
    with pytest.raises(InputTypeError, match="sample_weight"):
        from_numpy(np.zeros((1, 1)), ["heavy"])


@pytest.mark.parametrize("values", [["a"], [None], [1j], [np.datetime64("2020-01-01")]])
def test_an_array_of_anything_but_real_numbers_is_refused(values):
    with pytest.raises(InputTypeError, match="X is an array of"):
        from_numpy(np.array([values]))


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_masked_numbers_become_nan(dtype):
    masked = np.ma.masked_equal(np.eye(2, dtype=dtype), 0)
    for X in (masked, list(masked)):
        (block,) = from_numpy(X).parts[0].blocks()
        assert_array_equal(block.rows, [[1, np.nan], [np.nan, 1]])
        assert block.rows.dtype == (np.float32 if dtype is np.float32 else np.float64)


@pytest.mark.parametrize("shape", [(3,), (1, 2, 3), ()])
def test_an_array_must_have_two_dimensions(shape):
    with pytest.raises(DataError, match="shape"):
        from_numpy(np.zeros(shape))


def test_an_array_must_have_a_column():
    with pytest.raises(DataError, match="no columns"):
        from_numpy(np.zeros((3, 0)))


@pytest.mark.parametrize("library", [pd, pl])
def test_a_frame_gives_its_columns_in_order(library):
    source = from_frame(library.DataFrame({"b": [1.5, 2.5], "a": [3, 4]}))
    assert source.columns == ("b", "a")
    assert source.n_features == 2
    block = blocks(source)[0].rows
    assert_array_equal(block, [[1.5, 2.5], [3, 4]])
    assert block.flags.c_contiguous


@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, None], "Int64"),
        pd.array([1, None], "Float64"),
        pd.array([True, None], "boolean"),
        pd.array([1.0, None], "double[pyarrow]"),
        pd.array([True, None], "bool[pyarrow]"),
        [1, None],
    ],
)
def test_missing_numbers_of_pandas_become_nan(column):
    assert_array_equal(all_rows(from_frame(pd.DataFrame({"x": column}))), [[1], [np.nan]])


@pytest.mark.parametrize("values", [[1, None], [1.0, None], [True, None], [Decimal(1), None]])
def test_missing_numbers_of_polars_become_nan(values):
    assert_array_equal(all_rows(from_frame(pl.DataFrame({"x": values}))), [[1], [np.nan]])


def test_a_frame_is_float32_only_if_all_its_columns_are():
    single = pd.DataFrame({"a": [1, 2], "b": [3, 4]}, dtype="float32")
    assert from_frame(single).dtype == np.float32
    assert from_frame(single.astype({"b": "float64"})).dtype == np.float64
    assert from_frame(pl.DataFrame(single)).dtype == np.float32


def test_names_that_are_no_text_are_dropped():
    assert from_frame(pd.DataFrame(np.eye(2))).columns is None


def test_columns_of_one_name_are_read_each():
    frame = pd.DataFrame([[1, 2]], columns=["x", "x"])
    assert_array_equal(all_rows(from_frame(frame)), [[1, 2]])


def test_a_frame_takes_weights():
    source = from_frame(pd.DataFrame({"x": [1, 2]}), sample_weight=pd.Series([1, 3]))
    assert_array_equal(blocks(source)[0].weights, [1, 3])


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (["a", "b"], "str"),
        ([1, "a"], "object"),
        (pd.to_datetime(["2020", "2021"]), "datetime64"),
        (pd.Categorical([1, 2]), "category"),
        ([1j, 2], "complex128"),
    ],
)
def test_a_pandas_column_of_no_numbers_is_named_with_its_type(column, kind):
    with pytest.raises(InputTypeError, match=rf"'odd'.*{kind}.*Convert"):
        from_frame(pd.DataFrame({"fine": [1, 2], "odd": column}))


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (["a", "b"], "String"),
        (pl.Series([1, 2]).cast(pl.Date), "Date"),
        (pl.Series(["a", "b"], dtype=pl.Categorical), "Categorical"),
        ([[1], [2]], "List"),
    ],
)
def test_a_polars_column_of_no_numbers_is_named_with_its_type(column, kind):
    with pytest.raises(InputTypeError, match=rf"'odd'.*{kind}.*Convert"):
        from_frame(pl.DataFrame({"fine": [1, 2], "odd": column}))


def test_a_lazy_frame_is_refused_with_a_remedy():
    with pytest.raises(InputTypeError, match=r"LazyFrame.*\.collect\(\), or open_dataset"):
        from_frame(pl.LazyFrame({"x": [1]}))


@pytest.mark.parametrize("thing", [[1, 2], pd.Series([1]), pl.Series([1]), object()])
def test_what_is_no_frame_is_refused(thing):
    with pytest.raises(InputTypeError, match=type(thing).__name__):
        from_frame(thing)


def test_a_frame_must_have_a_column():
    with pytest.raises(DataError, match="no columns"):
        from_frame(pd.DataFrame(index=[0, 1]))
