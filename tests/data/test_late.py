"""Tasks of a command that was killed wake late: nothing of theirs gets into another's output."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import dask
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from daskgmm import GaussianMixture, jobs
from daskgmm.data.lakes.delta import store_options
from daskgmm.data.sinks.parquet_parts import PartWriter
from daskgmm.data.sinks.zarr_stretch import StretchWriter
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import OutputError
from daskgmm.jobs.locks import LOCK_FILE
from daskgmm.jobs.locks.owner import Owner
from tests.support.rows import NAMES, prepare
from tests.support.stores import s3, s3_server

__all__ = ["s3", "s3_server"]

PATIENCE = 60
MEETING_POINTS = {
    "parquet": (PartWriter, "append", lambda writer, *_: int(writer.name[5:10])),
    "zarr": (StretchWriter, "flush", lambda writer, *_: writer._first // 20),
    "object": (Folder, "_take", lambda _place, _file, name: int(name[5:10])),
}
MEETING_POINTS |= dict.fromkeys(("delta", "parted"), MEETING_POINTS["parquet"])
MORE = {"delta": {"keep": ["id"]}, "parted": {"keep": ["id"], "partition_by": ["half"]}}
"""Further options of these outputs, whose rows have no order but that of their identifiers."""
"""Where the writer of a part is held, by the class and its method, and the part's number."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("late")
    found = prepare(folder)
    for number in range(5):
        own = found.frame[number * 20 : (number + 1) * 20].assign(half=["a", "b"] * 10)
        (folder / "few").mkdir(exist_ok=True)
        own.to_parquet(folder / "few" / f"{number}.parquet", index=False)
    other = GaussianMixture(3, random_state=5).fit(-found.frame[NAMES])
    other.save(folder / "other.safetensors")
    return found


@pytest.fixture
def root(request, tmp_path):
    """A folder or bucket, and the options that open it."""
    if request.param == "local":
        return str(tmp_path), {}
    store = request.getfixturevalue("s3")
    return store.url, store.options


def predict(rows, model, out, options, **more):
    return jobs.predict(
        str(rows.folder / model), str(rows.folder / "few"), out, storage_options=options, **more
    )


def labels(out, options):
    """What a reader who knows nothing of us finds."""
    if out.endswith(".zarr"):
        import zarr

        return zarr.open_group(out, mode="r", storage_options=options or None)["label"][:]
    place = Folder.of(out, options)
    if out.endswith(".delta"):
        table = DeltaTable(place.name, storage_options=store_options(place.name, options))
        found = pa.table(table.scan()).to_pandas()
        return found.sort_values("id")["label"].to_numpy()
    if out.endswith("parted"):
        names = [name for name in place.filesystem.find(place.root) if name.endswith(".parquet")]
        found = pd.concat(pd.read_parquet(place.filesystem.open(name)) for name in names)
        return found.sort_values("id")["label"].to_numpy()
    tables = []
    for name in place.names():
        if name.startswith("part-"):
            with place.open(name) as stream:
                tables.append(pd.read_parquet(stream))
    return pd.concat(tables)["label"].to_numpy()


def expected(rows, model):
    from daskgmm import load

    return load(rows.folder / model).predict(rows.frame[NAMES][:100])


class Killed(BaseException):
    """The command ends, and its tasks don't."""


class Late:
    """Holds the writer of part 1 of a first command, which is killed; lets it go when it is told.

    Parameters
    ----------
    where : str
        One of `MEETING_POINTS`.
    """

    def __init__(self, where, monkeypatch):
        kind, method, self.number_of = MEETING_POINTS[where]
        self.write = getattr(kind, method)
        self.held, self.woken, self.ended = (threading.Event() for _ in range(3))
        self.meanwhile = lambda _number: None
        self.killing = True

        def meeting(*arguments):  # a plain function becomes a method of the writer's
            self.meet(*arguments)

        monkeypatch.setattr(kind, method, meeting)

    def meet(self, *arguments):
        number = self.number_of(*arguments)
        if not self.killing:
            self.meanwhile(number)
        elif number == 1 and not self.held.is_set():
            self.held.set()
            assert self.woken.wait(PATIENCE)
            try:
                self.write(*arguments)
            finally:
                self.ended.set()
            return
        elif number == 2:
            assert self.held.wait(PATIENCE)
            raise Killed
        self.write(*arguments)

    def kill(self, command):
        """Run a command on threads that outlive it."""
        self.pool = ThreadPoolExecutor(2)
        with dask.config.set(scheduler="threads", pool=self.pool), pytest.raises(Killed):
            command()
        assert self.held.is_set()
        self.killing = False

    def wake(self):
        """Let the writer go on, to its end."""
        self.woken.set()
        assert self.ended.wait(PATIENCE)
        self.pool.shutdown()


def outputs(*in_a_store):
    """All outputs in a folder, and parts as objects and these in a store, which takes longer."""
    local = [("local", kind) for kind in ("parquet", "zarr", "delta", "parted")]
    both = [*local, *(("s3", kind) for kind in ("object", *in_a_store))]
    return pytest.mark.parametrize(("root", "late"), both, indirect=True)


@pytest.fixture
def late(request, monkeypatch, root):
    if request.param == "zarr":
        pytest.importorskip("zarr")
        monkeypatch.setattr("daskgmm.data.sinks.zarr._FEWEST_ROWS", 1)
        monkeypatch.setattr("daskgmm.data.sinks.zarr._VALUES_A_CHUNK", 20)
    found = Late(request.param, monkeypatch)
    endings = {"zarr": ".zarr", "delta": ".delta", "parted": "parted"}
    found.out = f"{root[0]}/out{endings.get(request.param, '')}"
    found.more = MORE.get(request.param, {})
    yield found
    found.woken.set()


@outputs("parquet", "zarr")
@pytest.mark.slow
def test_a_part_of_another_run_that_comes_while_an_output_is_made_is_not_in_it(rows, root, late):
    late.kill(lambda: predict(rows, "model.safetensors", late.out, root[1], **late.more))
    begun = []

    def meanwhile(number):
        begun.append(number)
        if len(begun) == 5:  # the last one: all others are whole
            late.wake()

    late.meanwhile = meanwhile
    with dask.config.set(scheduler="synchronous"):
        predict(rows, "other.safetensors", late.out, root[1], **late.more, force=True)
    assert late.ended.is_set()
    other = expected(rows, "other.safetensors")
    assert (other != expected(rows, "model.safetensors"))[20:40].any()
    np.testing.assert_array_equal(labels(late.out, root[1]), other)


@pytest.mark.slow
@outputs("parted")
def test_a_part_of_another_run_that_comes_when_an_output_is_complete_is_not_in_it(rows, root, late):
    late.kill(lambda: predict(rows, "model.safetensors", late.out, root[1], **late.more))
    predict(rows, "other.safetensors", late.out, root[1], **late.more, force=True)
    late.wake()
    other = expected(rows, "other.safetensors")
    np.testing.assert_array_equal(labels(late.out, root[1]), other)
    assert predict(rows, "other.safetensors", late.out, root[1], **late.more)["already"]


@pytest.mark.slow
@outputs("delta")
def test_the_same_command_goes_on_whatever_its_earlier_attempt_still_writes(rows, root, late):
    written = []
    late.kill(lambda: predict(rows, "model.safetensors", late.out, root[1], **late.more))

    def meanwhile(number):
        written.append(number)
        if not late.woken.is_set():
            late.wake()

    late.meanwhile = meanwhile
    with dask.config.set(scheduler="synchronous"):
        predict(rows, "model.safetensors", late.out, root[1], **late.more)
    assert {1, 2} <= set(written)
    np.testing.assert_array_equal(labels(late.out, root[1]), expected(rows, "model.safetensors"))
    place = Folder.of(late.out, root[1])
    assert not [name for name in place.names() if name.startswith((".", "_part", "_w"))]


@pytest.mark.slow
def test_what_late_tasks_leave_beside_an_output_goes_with_the_next_command(rows, s3, monkeypatch):
    late, out = Late("object", monkeypatch), f"{s3.url}/out"
    late.kill(lambda: predict(rows, "model.safetensors", out, s3.options))
    predict(rows, "other.safetensors", out, s3.options)
    late.wake()
    predict(rows, "model.safetensors", out, s3.options, force=True)
    names = [name.rpartition("/")[2] for name in s3.filesystem.find(s3.url)]
    assert names == ["_SUCCESS", *(f"part-{n:05}.parquet" for n in range(5))]


@pytest.mark.slow
def test_a_late_task_that_asks_in_time_leaves_nothing_beside_an_output(rows, s3, monkeypatch):
    late, out = Late("parquet", monkeypatch), f"{s3.url}/out"
    late.kill(lambda: predict(rows, "model.safetensors", out, s3.options))
    predict(rows, "other.safetensors", out, s3.options)
    late.wake()
    assert all("/out/" in name for name in s3.filesystem.find(s3.url))


@pytest.mark.slow
def test_a_command_whose_lock_was_taken_brings_nothing_into_the_output(rows, s3, monkeypatch):
    out = f"{s3.url}/out"
    folder = Folder.of(out, s3.options).beside(".out.unfinished")
    copy, copied = Folder.copy, []

    def taken_after_two(self, name, target, place):
        copied.append(name)
        if len(copied) == 2:
            theirs = Owner({"space": ["elsewhere"], "process": 1}, Owner.here().since)
            folder.write(LOCK_FILE, theirs.content(mark="theirs"))
        copy(self, name, target, place)

    monkeypatch.setattr(Folder, "copy", taken_after_two)
    monkeypatch.setattr("daskgmm.data.sinks.base._COPIES_AT_ONCE", 1)
    with pytest.raises(OutputError, match=r"/out was taken over by another run"):
        predict(rows, "model.safetensors", out, s3.options)
    assert len(copied) == 2
    assert "_SUCCESS" not in Folder.of(out, s3.options).names()


@pytest.mark.slow
def test_the_root_of_a_store_is_no_output(rows, s3):
    with pytest.raises(OutputError, match="is the root of its store"):
        predict(rows, "model.safetensors", s3.url, s3.options)


@pytest.mark.slow
def test_a_part_that_a_killed_process_did_not_send_is_removed_by_the_next(tmp_path, s3):
    script = """
import os, signal
from daskgmm.data.storage.folder import Folder
with Folder.of("memory://out", {}).appearing("part-00000.parquet") as path:
    path.write_bytes(b"rows")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert [path.name for path in tmp_path.rglob("*.parquet.*")] != []
    with (
        dask.config.set({"temporary-directory": str(tmp_path)}),
        Folder.of(f"memory://{uuid4().hex}", {}).appearing("part-00000.parquet") as path,
    ):
        path.write_bytes(b"rows")
    assert list(tmp_path.iterdir()) == []
