"""Predictions as rows of a Delta table: one commit a run, and none for the same run again."""

from datetime import date, datetime

import dask
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from daskgmm import errors, jobs, open_dataset
from daskgmm.data.lakes.delta import store_options
from daskgmm.data.sinks.parquet_parts import PartWriter
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, DataError, OutputError
from daskgmm.jobs.outputs import table as outputs_table
from tests.support.command import here
from tests.support.rows import NAMES, prepare

__all__ = ["here"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    made = prepare(tmp_path_factory.mktemp("delta"))
    made.frame["day"] = [date(2026, 11, 20 + i // 500) for i in range(1000)]
    made.frame["key"] = [["a b", None, "50%", "ä/="][i % 4] for i in range(1000)]
    made.frame["time"] = [datetime(2026, 11, 20, i // 500) for i in range(1000)]
    made.frame.to_parquet(made.folder / "keyed.parquet", row_group_size=300, index=False)
    made.frame.to_parquet(made.folder / "other.parquet", row_group_size=500, index=False)
    return made


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def place(request, tmp_path):
    """A folder that isn't there yet."""
    if request.param == "local":
        return Folder.of(tmp_path / "out.delta", {})
    store = request.getfixturevalue("s3")
    return Folder.of(f"{store.url}/out.delta", store.options)


@pytest.fixture
def predict(rows, place):
    def run(name="keyed.parquet", **options):
        store = dict(place.filesystem.storage_options) if place.local is None else {}
        inputs = str(rows.folder / name)
        return jobs.predict(str(rows.saved), inputs, place.name, storage_options=store, **options)

    return run


def table(place):
    options = dict(place.filesystem.storage_options) if place.local is None else {}
    return DeltaTable(place.name, storage_options=store_options(place.name, options))


def read(place):
    """What a reader who knows nothing of us finds, by identifier."""
    found = pa.table(table(place).scan()).to_pandas()
    return found.sort_values("id", ignore_index=True)


@pytest.mark.slow
def test_a_new_table_has_the_rows_in_one_commit(rows, place, predict):
    made = predict(keep=["id", "word"], with_=["labels", "log-density"])
    assert (made["format"], made["rows"], made["already"]) == ("delta", 1000, False)
    assert table(place).version() == 0
    found = read(place)
    assert set(found.columns) == {"id", "word", "label", "log_density"}
    assert found["word"].tolist() == rows.frame["word"].tolist()
    np.testing.assert_array_equal(found["label"], rows.model.predict(rows.frame[NAMES]))


def test_the_same_run_again_adds_nothing_and_another_its_rows(place, predict):
    first = predict(keep=["id"])
    again = predict(keep=["id"])
    assert again["already"]
    assert (again["rows"], again["parts"]) == (1000, first["parts"])
    assert table(place).version() == 0
    assert not predict("other.parquet", keep=["id"])["already"]
    assert len(read(place)) == 2000
    assert table(place).version() == 1
    assert predict(keep=["id"])["already"]
    assert predict("other.parquet", keep=["id"])["already"]
    assert table(place).version() == 1


def test_force_replaces_all_rows_and_the_replaced_run_can_come_again(place, predict):
    predict(keep=["id"])
    predict("other.parquet", keep=["id"], force=True)
    assert len(read(place)) == 1000
    assert predict("other.parquet", keep=["id"])["already"]
    assert not predict(keep=["id"])["already"]
    assert len(read(place)) == 2000
    assert predict(keep=["id"])["already"]


@pytest.mark.parametrize("keys", [["day"], ["key", "day"], ["time"]])
def test_keys_are_the_tables_partitions(rows, place, predict, keys):
    predict(keep=["id"], partition_by=keys)
    assert table(place).metadata().partition_columns == keys
    found = read(place)
    expected = rows.frame[keys].astype(object).where(rows.frame[keys].notna(), None)
    for key in keys:
        got = found[key].astype(object).where(found[key].notna(), None)
        assert [str(one) for one in got] == [str(one) for one in expected[key]], key
    np.testing.assert_array_equal(found["label"], rows.model.predict(rows.frame[NAMES]))
    assert predict(keep=["id"], partition_by=keys)["already"]


def test_our_own_reader_finds_the_partitions(place, predict):
    predict(keep=["id"], partition_by=["day"])
    store = dict(place.filesystem.storage_options) if place.local is None else {}
    dataset = open_dataset(place.name, where="day=2026-11-21", storage_options=store)
    assert (dataset.columns, len(dataset)) == (("id", "label"), 500)


class Stop(BaseException):
    """A process ends in the middle."""


def test_what_was_begun_is_gone_on_with(place, predict, monkeypatch):
    written, append = [], PartWriter.append

    def appending(self, rows):
        if len(written) == most:
            raise Stop
        written.append(self.name)
        append(self, rows)

    monkeypatch.setattr(PartWriter, "append", appending)
    most = 2
    with monkeypatch.context() as patch:
        patch.setattr("dask.threaded.get", dask.local.get_sync)
        with pytest.raises(Stop):
            predict(keep=["id"])
    assert place.names() == []
    most = 99
    assert not predict(keep=["id"])["already"]
    assert len(written) == 4
    assert len(read(place)) == 1000


def test_files_without_their_commit_are_no_rows_and_go(place, predict, monkeypatch):
    def stopping(*_arguments, **_options):
        raise Stop

    predict("other.parquet", keep=["id"])
    with monkeypatch.context() as patch:
        patch.setattr(outputs_table, "commit", stopping)
        with pytest.raises(Stop):
            predict(keep=["id"])
    assert len(read(place)) == 1000
    assert len(place.names()) == 3
    assert not predict(keep=["id"])["already"]
    assert len(read(place)) == 2000
    assert len(place.names()) == 3


def test_a_first_run_that_stopped_before_its_commit_goes_on(place, predict, monkeypatch):
    def stopping(*_arguments, **_options):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(outputs_table, "commit", stopping)
        with pytest.raises(Stop):
            predict(keep=["id"])
    assert not predict(keep=["id"])["already"]
    assert len(read(place)) == 1000


@pytest.fixture
def local(tmp_path):
    return tmp_path / "labels"


def keyed(rows):
    return str(rows.folder / "keyed.parquet")


def test_a_table_of_another_tool_gets_the_rows_whatever_its_name(rows, local):
    there = pa.table({"label": pa.array([7], pa.int32()), "id": [-1]})
    write_deltalake(str(local), there)
    made = jobs.predict(str(rows.saved), keyed(rows), local, keep=["id"])
    assert made["format"] == "delta"
    assert len(pa.table(DeltaTable(str(local)).scan())) == 1001
    DeltaTable(str(local)).optimize.compact()
    assert jobs.predict(str(rows.saved), keyed(rows), local, keep=["id"])["already"]


@pytest.mark.parametrize(
    ("there", "options", "said"),
    [
        ({"label": pa.int32()}, {"keep": ["id"]}, "has the columns label, and the output"),
        (
            {"id": pa.string(), "label": pa.int32()},
            {"keep": ["id"]},
            "'id' of the table .* is string",
        ),
        ({"id": pa.int64(), "label": pa.int32()}, {"partition_by": ["id"]}, "by nothing, and the"),
    ],
)
def test_a_table_that_does_not_fit_is_left_as_it_is(rows, local, there, options, said):
    DeltaTable.create(str(local), pa.schema(there))
    with pytest.raises(OutputError, match=said):
        jobs.predict(str(rows.saved), keyed(rows), local, **options)
    assert DeltaTable(str(local)).version() == 0


def test_what_is_no_table_is_never_replaced(rows, tmp_path):
    (tmp_path / "out.delta").mkdir()
    (tmp_path / "out.delta" / "precious.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"is not a Delta table: it holds precious\.txt"):
        jobs.predict(str(rows.saved), keyed(rows), tmp_path / "out.delta", force=True)


def test_types_that_delta_lacks_are_widened_or_refused(rows, tmp_path):
    frame = rows.frame[NAMES].assign(small=np.uint32(2**32 - 1), half=np.float16(0.5))
    frame["word"] = pd.Categorical(rows.frame["word"])
    frame.to_parquet(tmp_path / "odd.parquet")
    odd, out = str(tmp_path / "odd.parquet"), tmp_path / "out.delta"
    jobs.predict(str(rows.saved), odd, out, keep=["small", "half", "word"])
    found = pa.table(DeltaTable(str(out)).scan()).to_pandas()
    assert (found["small"].min(), found["half"].max()) == (2**32 - 1, 0.5)
    assert sorted(found["word"]) == sorted(rows.frame["word"])
    frame["clock"] = datetime(2026, 11, 20).time()
    frame.to_parquet(tmp_path / "odd.parquet")
    with pytest.raises(DataError, match=r"'clock' is time64.*, which Delta tables don't hold"):
        jobs.predict(str(rows.saved), odd, tmp_path / "other.delta", keep=["clock"])


def test_a_run_in_a_log_that_is_damaged_is_not_said_to_be_there(rows, tmp_path):
    out = tmp_path / "out.delta"
    jobs.predict(str(rows.saved), keyed(rows), out)
    (commit,) = (out / "_delta_log").glob("*.json")
    lines = commit.read_text().splitlines()
    commit.write_text("\n".join(line for line in lines if '"metaData"' not in line))
    with pytest.raises(OutputError, match=r"The Delta table .* can't be read"):
        jobs.predict(str(rows.saved), keyed(rows), out)


def test_times_keep_their_digits_or_are_refused(rows, tmp_path):
    frame = rows.frame[NAMES].assign(when=np.datetime64("2026-11-20T01:02:03.000004", "ns"))
    frame.to_parquet(tmp_path / "times.parquet")
    times, out = str(tmp_path / "times.parquet"), tmp_path / "out.delta"
    jobs.predict(str(rows.saved), times, out, keep=["when"])
    found = pa.table(DeltaTable(str(out)).scan()).to_pandas()
    assert (found["when"] == frame["when"][0]).all()
    frame.loc[7, "when"] += np.timedelta64(1, "ns")
    frame.to_parquet(tmp_path / "times.parquet")
    with pytest.raises(DataError, match=r"'when' is timestamp\[ns\].*would lose digits"):
        jobs.predict(str(rows.saved), times, tmp_path / "other.delta", keep=["when"])


def test_a_missing_package_is_named_with_its_extra(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(errors, "find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"deltalake.*daskgmm\[delta\]"):
        jobs.predict(str(rows.saved), keyed(rows), tmp_path / "out.delta")
    assert not (tmp_path / "out.delta").exists()


def test_the_command_line_writes_tables(here, rows, tmp_path):
    command = ("predict", rows.saved, keyed(rows), "-o", tmp_path / "out.delta", "--keep", "id")
    first, again = here(*command), here(*command)
    assert first.code == again.code == 0, first.err
    assert "1,000 rows in 1 part:" in first.out
    assert "already complete" in again.err
    drawn = here("sample", rows.saved, "-n", 50, "-o", tmp_path / "drawn.delta", "--seed", 0)
    assert drawn.code == 0, drawn.err
    assert len(open_dataset(tmp_path / "drawn.delta")) == 50
