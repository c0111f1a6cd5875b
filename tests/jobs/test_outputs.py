"""The life of an output, in a local folder and in stores: complete or not, never half."""

import json
import os
import platform
import re
from uuid import uuid4

import dask
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daskgmm import jobs, open_dataset
from daskgmm.data.sinks import Layout, WrittenParts
from daskgmm.data.sinks.parquet import ParquetSink
from daskgmm.data.sinks.parquet_parts import PartWriter
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import DataError, OutputError
from daskgmm.jobs.outputs import OutputRequest, make_output
from tests.support.rows import NAMES, prepare
from tests.support.stores import s3, s3_server

__all__ = ["s3", "s3_server"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("outputs"))


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
    """Write predictions there."""

    def run(inputs=None, **options):
        stored = dict(place.filesystem.storage_options) if place.local is None else {}
        return jobs.predict(
            str(rows.saved),
            str(inputs or rows.parquet),
            place.name,
            storage_options=stored,
            **options,
        )

    return run


def stored(place):
    """The options that open its store."""
    return dict(place.filesystem.storage_options) if place.local is None else {}


def labels(place):
    """What a reader who knows nothing of us finds."""
    names = [name for name in place.names() if not name.startswith("_")]
    tables = []
    for name in names:
        with place.open(name) as stream:
            tables.append(pd.read_parquet(stream))
    return pd.concat(tables)["label"].to_numpy()


def parts(place):
    return [name for name in place.names() if name.startswith("part-")]


def beside(place):
    """Files that lie beside it."""
    folder = Folder.of(place.name.rpartition("/")[0], stored(place))
    return [name for name in folder.sizes() if not name.startswith("out/")]


def times(place):
    """When each part was written."""
    return {name: place.modified(name) for name in parts(place)}


def test_all_of_it_is_there_and_told_of(rows, place, predict):
    made = predict(with_=["labels", "log-density"])
    assert place.names() == [
        "_SUCCESS",
        *(f"part-{i:05}.parquet" for i in range(4)),
    ]
    assert (made["state"], made["rows"]) == ("complete", 1000)
    assert [part["rows"] for part in made["parts"]] == [250, 250, 100, 400]
    assert [part["bytes"] for part in made["parts"]] == [
        place.sizes()[name] for name in parts(place)
    ]
    assert [file["bytes"] for file in made["inputs"]["files"]] == [
        path.stat().st_size for path in sorted(rows.parquet.iterdir())
    ]
    np.testing.assert_array_equal(labels(place), rows.model.predict(rows.frame[NAMES]))


def test_our_own_reader_finds_the_rows_and_nothing_else(rows, place, predict):
    predict(keep=NAMES)
    dataset = open_dataset(place.name, storage_options=stored(place))
    assert dataset.columns == (*NAMES, "label")
    assert sum(file.rows for file in dataset.files) == 1000


def test_the_same_command_again_does_nothing(place, predict):
    assert not predict()["already"]
    before = times(place)
    assert predict()["already"]
    assert times(place) == before


def test_another_command_is_refused_and_leaves_what_is_there(place, predict):
    predict()
    before = times(place)
    with pytest.raises(OutputError, match="differs in with"):
        predict(with_=["log-density"])
    assert times(place) == before
    assert "_SUCCESS" in place.names()


def test_force_replaces_what_is_there_and_leaves_nothing_of_it(rows, place, predict):
    predict()
    predict(rows.csv, force=True)
    assert place.names() == ["_SUCCESS", "part-00000.parquet"]
    assert beside(place) == []
    np.testing.assert_array_equal(labels(place), rows.model.predict(rows.frame[NAMES]))


class Stop(BaseException):
    """A process ends in the middle."""


def fail_after(monkeypatch, count, error):
    """Let no part be written after some."""
    written = []
    append = PartWriter.append

    def appending(self, table):
        if len(written) >= count:
            raise error
        written.append(self.name)
        append(self, table)

    monkeypatch.setattr(PartWriter, "append", appending)
    return written


def test_what_was_begun_is_gone_on_with(rows, place, predict, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("dask.threaded.get", dask.local.get_sync)
        fail_after(patch, 2, Stop())
        with pytest.raises(Stop):
            predict()
    assert "_SUCCESS" not in place.names()
    with monkeypatch.context() as patch:
        written = fail_after(patch, 99, Stop())
        assert not predict()["already"]
    assert len(written) == 2
    np.testing.assert_array_equal(labels(place), rows.model.predict(rows.frame[NAMES]))


def test_the_old_stays_until_the_new_is_complete(rows, place, predict, monkeypatch):
    predict()
    before = labels(place)
    with monkeypatch.context() as patch:
        patch.setattr("dask.threaded.get", dask.local.get_sync)
        fail_after(patch, 2, Stop())
        with pytest.raises(Stop):
            predict(force=True, with_=["labels", "log-density"])
    assert "_SUCCESS" in place.names()
    np.testing.assert_array_equal(labels(place), before)
    assert predict()["already"]
    written = fail_after(monkeypatch, 99, Stop())
    made = predict(force=True, with_=["labels", "log-density"])
    assert len(written) == 2
    assert made["columns"] == ["label", "log_density"]
    assert place.names() == ["_SUCCESS", *parts(place)]
    assert beside(place) == []


def test_a_part_that_went_missing_is_written_again(rows, place, predict):
    predict()
    place.remove("part-00001.parquet")
    assert not predict()["already"]
    np.testing.assert_array_equal(labels(place), rows.model.predict(rows.frame[NAMES]))
    assert predict()["already"]


def test_wrong_rows_leave_nothing(rows, place, predict, tmp_path):
    flawed = rows.frame.assign(b=rows.frame["b"].where(rows.frame["id"] != 700))
    flawed.to_parquet(tmp_path / "rows.parquet", row_group_size=100, index=False)
    with pytest.raises(DataError, match="row group 7, row 0, column 'b'"):
        predict(tmp_path / "rows.parquet")
    assert place.names() == []


@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_ours_is_never_replaced(place, predict, force):
    place.make()
    place.write("part-00000.parquet", b"precious")
    with pytest.raises(OutputError, match="files that daskgmm did not write"):
        predict(force=force)
    assert place.read("part-00000.parquet") == b"precious"


@pytest.mark.parametrize("force", [False, True])
def test_other_files_beside_ours_keep_all_from_being_replaced(place, predict, force):
    predict()
    place.write("notes.txt", b"precious")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        predict(force=force, with_=["log-density"])
    assert len(parts(place)) == 4


def test_two_at_once_are_one_and_a_refusal(place, predict):
    request = OutputRequest(place, {"command": "test"}, ())

    def work(writer):
        told = (
            rf"is being written by process {os.getpid()} on {re.escape(platform.node())}, running"
        )
        with pytest.raises(OutputError, match=told):
            make_output(request, work)
        sink = ParquetSink(writer.attempt, Layout((), 1, record=writer.manifest.record))
        sink.begin()
        with sink.writer(0) as part:
            part.append(pa.table({"label": [1]}))
        return WrittenParts(sink, {0: (sink, part.written())})

    assert not make_output(request, work).already
    assert make_output(request, work).already


def test_a_replacement_that_stopped_half_way_goes_on(rows, place, predict, monkeypatch):
    predict()
    kind = "local.LocalCommitter" if place.local else "store.StoreCommitter"
    with monkeypatch.context() as patch:
        patch.setattr(f"daskgmm.jobs.outputs.{kind}.commit", lambda *_, **__: raising(Stop()))
        with pytest.raises(Stop):
            predict(rows.csv, force=True)
    written = fail_after(monkeypatch, 0, Stop())
    predict(rows.csv, force=True)
    assert written == []
    assert parts(place) == ["part-00000.parquet"]
    assert beside(place) == []


def as_of_version_0_1_0(place, made):
    """The layout in which a manifest lay beside parts that said nothing about themselves."""
    for name in parts(place):
        with place.open(name) as stream:
            table = pq.read_table(stream).replace_schema_metadata(None)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        place.write(name, sink.getvalue().to_pybytes())
    place.write("_manifest.json", json.dumps(made).encode())


def test_an_output_of_an_earlier_version_is_written_anew_by_the_same_command_only(
    rows, place, predict
):
    as_of_version_0_1_0(place, predict())
    with pytest.raises(OutputError, match="holds rows of another run, which differs in with"):
        predict(with_=["log-density"])
    assert not predict()["already"]
    assert place.names() == ["_SUCCESS", *parts(place)]
    np.testing.assert_array_equal(labels(place), rows.model.predict(rows.frame[NAMES]))


def test_parts_of_an_output_that_another_run_wrote_are_not_taken_for_whole(rows, place, predict):
    predict(with_=["labels", "log-density"])
    other = place.read("part-00001.parquet")
    predict(force=True)
    place.write("part-00001.parquet", other)
    assert not predict()["already"]
    np.testing.assert_array_equal(labels(place), rows.model.predict(rows.frame[NAMES]))


def raising(error):
    raise error
