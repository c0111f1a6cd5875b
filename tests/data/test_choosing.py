"""Choosing columns by exclusion or by kind, and a first look at a dataset."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from daskgmm import GaussianMixture, open_dataset
from daskgmm.errors import ConfigurationError, DataError, InputTypeError
from tests.support.command import here

__all__ = ["here"]

ROWS = pd.DataFrame(
    {
        "id": np.arange(60),
        "a": np.random.default_rng(0).normal(size=60),
        "name": ["x"] * 60,
        "b": np.random.default_rng(1).normal(size=60),
        "w": np.full(60, 2.0),
    }
)


@pytest.fixture(params=["parquet", "csv"])
def path(request, tmp_path):
    where = tmp_path / f"rows.{request.param}"
    ROWS.to_csv(where, index=False) if request.param == "csv" else ROWS.to_parquet(where)
    return where


def test_columns_are_left_out_by_name_or_by_kind(path):
    assert open_dataset(path, numeric=True).columns == ("id", "a", "b", "w")
    assert open_dataset(path, exclude=["name", "id"]).columns == ("a", "b", "w")
    chosen = open_dataset(path, exclude=["id"], numeric=True, sample_weight="w")
    assert chosen.columns == ("a", "b")
    assert chosen.select(columns=["id"]).columns == ("id",)


def test_numeric_takes_vectors_too(tmp_path):
    vectors = pa.array([[1.0, 2.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"v": vectors, "t": ["x"], "x": [1]}), tmp_path / "v.parquet")
    assert open_dataset(tmp_path, numeric=True).columns == ("v[0]", "v[1]", "x")


def test_columns_of_arrays_are_left_out_by_position(tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(12.0).reshape(4, 3))
    assert open_dataset(tmp_path / "rows.npy", exclude=[1]).columns == ("0", "2")


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"exclude": ["nmae"]}, DataError, "no column 'nmae'.*Did you mean 'name'"),
        ({"columns": ["a"], "exclude": ["b"]}, ConfigurationError, "Both columns and exclude"),
        ({"columns": ["a"], "numeric": True}, ConfigurationError, "Both columns and numeric"),
        ({}, InputTypeError, "'name' .*of 'id', 'a', 'b', 'w'; take all of them with numeric="),
        ({"columns": ["name"]}, InputTypeError, r"exclude= \(--exclude\)"),
        ({"exclude": "name"}, ConfigurationError, "is one string"),
    ],
)
def test_a_wrong_choice_is_said_with_the_right_ones(path, options, kind, said):
    with pytest.raises(kind, match=said):
        open_dataset(path, **options)


def test_where_no_column_is_numeric_that_is_said(tmp_path):
    ROWS[["name"]].to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(InputTypeError, match="No column is numeric"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match="no columns for features"):
        open_dataset(tmp_path, numeric=True)


def test_frames_name_their_numeric_columns_too():
    with pytest.raises(InputTypeError, match="numeric are 'id', 'a', 'b', 'w'"):
        GaussianMixture().fit(ROWS)


@pytest.mark.slow
def test_the_command_line_chooses_them(here, path):
    run = path.parent / "run"
    plain = here("fit", path, "-k", 1, "-o", run)
    assert plain.code == 65
    assert "take all of them with --numeric; or leave this one out with --exclude" in plain.err
    chosen = ("--exclude", "id,w", "--numeric")
    assert here("fit", path, "-k", 1, "-o", run, *chosen).code == 0
    again = here("fit", path, "-k", 1, "-o", run, *chosen)
    assert "already complete" in again.err
    assert here("fit", path, "-k", 1, "-o", run, "--exclude", "id,name").code == 73
    assert here("score", run, path).code == 0
    assert here("score", run, path, "--numeric").code == 0


def test_head_shows_the_first_rows_with_weights_and_kept_columns(path):
    dataset = open_dataset(path, columns=["b", "a"], sample_weight="w").select(keep=["name", "id"])
    found = dataset.head()
    assert list(found.columns) == ["b", "a", "w", "name", "id"]
    assert_array_equal(found[["b", "a", "w"]], ROWS[["b", "a", "w"]][:5])
    assert found["name"].tolist() == ["x"] * 5
    assert len(dataset.head(100)) == 60
    assert dataset.head(0).shape[0] == 0
    with pytest.raises(ConfigurationError, match="n=-1"):
        dataset.head(-1)


def test_head_reads_on_over_parts_without_rows(tmp_path):
    for number, rows in enumerate((2, 0, 3)):
        ROWS[["a", "b"]][:rows].to_parquet(tmp_path / f"{number}.parquet")
    found = open_dataset(tmp_path).head(4)
    assert_array_equal(found["a"], ROWS["a"].iloc[[0, 1, 0, 1]])
    assert found.index.tolist() == [0, 1, 2, 3]


def test_head_of_an_array_goes_by_position(tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(12.0).reshape(4, 3))
    found = open_dataset(tmp_path / "rows.npy").head(2)
    assert list(found.columns) == ["0", "1", "2"]
    assert_array_equal(found, np.arange(6.0).reshape(2, 3))


def test_the_length_is_known_where_the_metadata_have_it(path):
    dataset = open_dataset(path, columns=["a"])
    assert dataset
    if path.suffix == ".csv":
        with pytest.raises(TypeError, match="known only when they have been read"):
            len(dataset)
    else:
        assert len(dataset) == 60
