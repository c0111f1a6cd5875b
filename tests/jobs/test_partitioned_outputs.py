"""Predictions in directories by the values of keys, which every common reader takes."""

from datetime import date
from uuid import uuid4

import dask
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from daskgmm import jobs, open_dataset
from daskgmm.data.sinks import partitions
from daskgmm.data.sinks.parquet_parts import PartWriter
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, DataError, OutputError
from tests.support.command import here
from tests.support.rows import NAMES, prepare

__all__ = ["here"]

KEYS = ["a b/c=ä", None, "50%", "x"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows in parts of 300, with keys of text, whole numbers and dates."""
    made = prepare(tmp_path_factory.mktemp("partitioned"))
    made.frame["key"] = [KEYS[i % 4] for i in range(1000)]
    made.frame["hour"] = np.arange(1000) // 200
    made.frame["day"] = [date(2026, 11, 20 + i // 500) for i in range(1000)]
    made.frame.to_parquet(made.folder / "keyed.parquet", row_group_size=300, index=False)
    return made


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def place(request, tmp_path):
    """A folder that isn't there yet."""
    if request.param == "local":
        return Folder.of(tmp_path / "out", {})
    if request.param == "memory":
        return Folder.of(f"memory://{uuid4().hex}/out", {})
    store = request.getfixturevalue("s3")
    return Folder.of(f"{store.url}/out", store.options)


@pytest.fixture
def predict(rows, place):
    def run(*keys, **options):
        store = dict(place.filesystem.storage_options) if place.local is None else {}
        return jobs.predict(
            str(rows.saved),
            str(rows.folder / "keyed.parquet"),
            place.name,
            partition_by=keys,
            storage_options=store,
            **options,
        )

    return run


def found(place, *columns):
    """The rows as our own reader finds them, by their identifiers."""
    store = dict(place.filesystem.storage_options) if place.local is None else {}
    dataset = open_dataset(place.name, columns=["id"], storage_options=store)
    tables = [
        block.kept.to_pandas()
        for part in dataset.select(keep=["id", *columns]).source().parts
        for block in part.read()
    ]
    return pd.concat(tables).sort_values("id").reset_index(drop=True)


@pytest.mark.slow
def test_each_row_is_in_the_directory_of_its_values(rows, place, predict):
    made = predict("key", "hour", keep=["id"])
    assert made["columns"] == ["id", "key", "hour", "label"]
    read = found(place, "key", "hour", "label")
    assert read["id"].tolist() == list(range(1000))
    assert [None if pd.isna(key) else key for key in read["key"]] == KEYS * 250
    assert read["hour"].tolist() == rows.frame["hour"].tolist()
    np.testing.assert_array_equal(read["label"], rows.model.predict(rows.frame[NAMES]))
    assert [name for name in place.names() if "=" not in name] == ["_SUCCESS"]
    assert made["rows"] == sum(part["rows"] for part in made["parts"]) == 1000
    assert {part["name"] for part in made["parts"]} == set(place.sizes()) - {"_SUCCESS"}


def test_the_same_command_does_nothing_and_others_are_refused(place, predict):
    assert not predict("hour")["already"]
    before = {name: place.modified(name) for name in place.sizes()}
    assert predict("hour")["already"]
    for keys in (("day",), ()):
        with pytest.raises(OutputError, match="differs in partition_by"):
            predict(*keys)
    assert {name: place.modified(name) for name in place.sizes()} == before
    assert not predict("day", force=True)["already"]
    assert place.names() == ["_SUCCESS", "day=2026-11-20", "day=2026-11-21"]
    assert not predict(force=True)["already"]
    assert place.names() == ["_SUCCESS", *(f"part-0000{n}.parquet" for n in range(4))]


def test_a_file_that_went_missing_is_written_again(place, predict):
    predict("hour", keep=["id"])
    place.remove("hour=3")
    assert not predict("hour", keep=["id"])["already"]
    assert len(found(place)) == 1000


@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_ours_is_never_replaced(place, predict, force):
    predict("hour")
    path = f"{place.root}/hour=3/precious.txt"
    place.filesystem.pipe_file(path, b"precious")
    with pytest.raises(OutputError, match="did not write, such as hour=3"):
        predict("day", force=force)
    assert place.filesystem.cat_file(path) == b"precious"


class Stop(BaseException):
    """A process ends in the middle."""


def test_what_was_begun_is_gone_on_with(rows, place, predict, monkeypatch):
    written, append = [], PartWriter.append

    def appending(self, table):
        if len(written) == most:
            raise Stop
        written.append(self.name)
        append(self, table)

    monkeypatch.setattr(PartWriter, "append", appending)
    most = 4  # one part has one file, another two, and the next one of two
    with monkeypatch.context() as patch:
        patch.setattr("dask.threaded.get", dask.local.get_sync)
        with pytest.raises(Stop):
            predict("hour", keep=["id"])
    assert place.names() == []
    written.clear()
    most = 99
    assert not predict("hour", keep=["id"])["already"]
    assert len(written) == 2 + 2
    assert len(found(place)) == 1000


@pytest.fixture
def local(rows, tmp_path):
    keys = ["hour", "day"]
    out = tmp_path / "out"
    jobs.predict(
        str(rows.saved), str(rows.folder / "keyed.parquet"), out, partition_by=keys, keep=["id"]
    )
    return out


READERS = {
    "pandas": pd.read_parquet,
    "pyarrow": lambda path: ds.dataset(path, partitioning="hive").to_table().to_pandas(),
    "Polars": lambda path: pl.read_parquet(path, hive_partitioning=True).to_pandas(),
    "DuckDB": lambda path: duckdb.read_parquet(f"{path}/**/*.parquet", hive_partitioning=True).df(),
}


@pytest.mark.parametrize("reader", READERS)
def test_common_readers_take_the_folder(rows, local, reader):
    read = READERS[reader](str(local)).sort_values("id")
    assert read["id"].tolist() == list(range(1000))
    assert read["hour"].astype(int).tolist() == rows.frame["hour"].tolist()
    assert read["day"].astype(str).tolist() == rows.frame["day"].astype(str).tolist()
    np.testing.assert_array_equal(read["label"], rows.model.predict(rows.frame[NAMES]))
    assert "hour" not in pq.read_schema(next(local.rglob("*.parquet"))).names


def test_our_reader_chooses_what_it_wrote(local):
    assert len(open_dataset(local, columns=["id"], where=["day=2026-11-21", "hour>3"])) == 200


def test_an_output_that_keys_can_not_cut_is_refused(rows, tmp_path):
    keyed = str(rows.folder / "keyed.parquet")
    with pytest.raises(ConfigurationError, match=r"out\.zarr is not a folder that keys can divide"):
        jobs.predict(str(rows.saved), keyed, tmp_path / "out.zarr", partition_by=["hour"])
    with pytest.raises(DataError, match=r"has no column 'hours'.*Did you mean 'hour'"):
        jobs.predict(str(rows.saved), keyed, tmp_path / "out", partition_by=["hours"])


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}])
def test_lists_and_records_are_no_keys(rows, tmp_path, value):
    keyed = tmp_path / "keyed.parquet"
    rows.frame.assign(nested=[value] * 1000).to_parquet(keyed)
    with pytest.raises(DataError, match=r"'nested' is .* directories are named by single values"):
        jobs.predict(str(rows.saved), str(keyed), tmp_path / "out", partition_by=["nested"])
    assert not (tmp_path / "out").exists()


def test_a_key_of_too_many_values_is_said(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(partitions, "_MOST_VALUES", 100)
    keyed = str(rows.folder / "keyed.parquet")
    with pytest.raises(DataError, match="more than 100 values of word"):
        jobs.predict(str(rows.saved), keyed, tmp_path / "out", partition_by=["word"])
    assert not (tmp_path / "out").exists()


def test_the_command_line_names_the_keys(here, rows, tmp_path):
    keyed, out = rows.folder / "keyed.parquet", tmp_path / "out"
    done = here("predict", rows.saved, keyed, "-o", out, "--partition-by", "day,hour")
    assert done.code == 0, done.err
    assert (out / "day=2026-11-21" / "hour=4").is_dir()
