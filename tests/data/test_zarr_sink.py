"""Outputs in Zarr: whatever the parts of the input are, no task writes a chunk of another's."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgmm import jobs
from daskgmm.data.sinks.base import Layout, OutputField
from daskgmm.data.sinks.zarr import ZarrSink
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, DataError
from tests.support.command import here
from tests.support.rows import NAMES, prepare

zarr = pytest.importorskip("zarr")
__all__ = ["here"]

LABEL = OutputField("label", np.dtype(np.int32), ("label",))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("zarr"))


@pytest.mark.slow
@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=12).filter(any))
def test_parts_are_whole_chunks_and_hold_each_row_once(lengths):
    sink = ZarrSink(Folder.of("/nowhere.zarr", {}), Layout((LABEL,), len(lengths), tuple(lengths)))
    seen = [np.zeros(length, int) for length in lengths]
    sizes = []
    for cut in sink.cut():
        taken = 0
        for own in cut:
            seen[own.part][own.start : own.stop] += 1
            taken += len(seen[own.part][own.start : own.stop])
        sizes.append(taken)
    assert all((part == 1).all() for part in seen)
    assert all(size % sink.chunk == 0 for size in sizes[:-1])


@pytest.mark.parametrize("length", [16_384, 100_000, 1_048_576, 2_500_000, 5_000_000])
def test_parts_of_one_length_are_read_once_each(length):
    sink = ZarrSink(Folder.of("/nowhere.zarr", {}), Layout((LABEL,), 3, (length, length, 7)))
    assert [[own.part for own in cut] for cut in sink.cut()] == [[0], [1], [2]]
    assert sink.chunk <= 2**21


@pytest.mark.slow
def test_arrays_hold_what_the_model_says(rows, tmp_path, here):
    out = tmp_path / "out.zarr"
    kinds = ("--with", "labels,probabilities,log-density", "--keep", "id,a")
    done = here("predict", rows.saved, rows.parquet, "-o", out, *kinds)
    assert done.code == 0
    assert "columns: id, a, label, probability, log_density" in done.out
    group = zarr.open_group(out, mode="r")
    assert {name for name, _ in group.members()} == {
        "id", "a", "label", "probability", "log_density",
    }  # fmt: skip
    features = rows.frame[NAMES]
    np.testing.assert_array_equal(group["id"][:], rows.frame["id"])
    np.testing.assert_array_equal(group["label"][:], rows.model.predict(features))
    np.testing.assert_allclose(group["probability"][:], rows.model.predict_proba(features))
    np.testing.assert_allclose(group["log_density"][:], rows.model.score_samples(features))
    assert not (out / "_parts").exists()


@pytest.mark.slow
def test_uneven_parts_of_many_chunks_lose_no_row(rows, tmp_path, monkeypatch):
    monkeypatch.setattr("daskgmm.data.sinks.zarr._FEWEST_ROWS", 1)
    monkeypatch.setattr("daskgmm.data.sinks.zarr._VALUES_A_CHUNK", 40)
    lengths = [0, 7, 300, 1, 92, 600]
    edges = itertools.pairwise(np.cumsum([0, *lengths]))
    for number, (start, stop) in enumerate(edges):
        rows.frame[start:stop].to_parquet(tmp_path / f"{number}.parquet", index=False)
    out = tmp_path / "out.zarr"
    made = jobs.predict(str(rows.saved), str(tmp_path / "*.parquet"), str(out), keep=["id"])
    assert made["rows"] == 1000
    group = zarr.open_group(out, mode="r")
    assert group["id"].chunks == (20,)
    np.testing.assert_array_equal(group["id"][:], np.arange(1000))
    np.testing.assert_array_equal(group["label"][:], rows.model.predict(rows.frame[NAMES]))


def test_rows_whose_number_nobody_knows_are_counted_first(rows, tmp_path):
    out = tmp_path / "out.zarr"
    jobs.predict(str(rows.saved), str(rows.csv), str(out))
    found = zarr.open_group(out, mode="r")["label"][:]
    np.testing.assert_array_equal(found, rows.model.predict(rows.frame[NAMES]))


def test_text_is_not_kept_and_missing_numbers_neither(rows, tmp_path):
    with pytest.raises(ConfigurationError, match="'word' of string"):
        jobs.predict(str(rows.saved), str(rows.csv), str(tmp_path / "o.zarr"), keep=["word"])
    holes = rows.frame.assign(id=rows.frame["id"].astype("Int64").where(rows.frame["id"] != 700))
    holes.to_parquet(tmp_path / "holes.parquet", row_group_size=300)
    with pytest.raises(DataError, match="'id' has values missing"):
        jobs.predict(
            str(rows.saved), str(tmp_path / "holes.parquet"), str(tmp_path / "o.zarr"), keep=["id"]
        )
    assert [path.name for path in tmp_path.iterdir()] == ["holes.parquet"]


def test_nothing_can_be_opened_before_all_is_there(rows, tmp_path):
    sink = ZarrSink(Folder.of(tmp_path / "out.zarr", {}), Layout((LABEL,), 2, (100_000, 100_000)))
    sink.begin()
    with sink.writer(0) as writer:
        writer.write({"label": np.zeros(100_000, np.int32)}, None)
    with pytest.raises(FileNotFoundError):
        zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert sink.numbers() == {0}


def test_what_was_drawn_is_one_array_that_can_be_fitted(rows, tmp_path, here):
    out = tmp_path / "drawn.zarr"
    assert here("sample", rows.saved, "-n", 2000, "-o", out, "--seed", 1, "--with-labels").code == 0
    group = zarr.open_group(out, mode="r")
    assert group["rows"].shape == (2000, 2)
    assert group["rows"].attrs["columns"] == NAMES
    plain = tmp_path / "drawn"
    assert here("sample", rows.saved, "-n", 2000, "-o", plain, "--seed", 1).code == 0
    np.testing.assert_array_equal(group["rows"][:], pd.read_parquet(plain).to_numpy())
