"""Where decoded blocks stay changes how often rows are decoded, and not a bit of the result."""

import logging
import os
import signal
import subprocess
import sys

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskgmm import GaussianMixture, load, open_dataset
from daskgmm.errors import ConfigurationError
from daskgmm.model.covariance import COVARIANCES
from daskgmm.passes.cache import choose
from daskgmm.passes.memory import Room
from tests.support.clusters import running
from tests.support.command import here
from tests.support.rows import overlapping

__all__ = ["here"]

CACHES = ["auto", "memory", "disk", "none"]
ROWS, PASSES = 6000, 4
OPTIONS = {"random_state": 0, "max_iter": PASSES, "tol": 0, "subsample": 500}

pytestmark = pytest.mark.filterwarnings("ignore")  # of clusters that are torn down under load


@pytest.fixture(autouse=True)
def place(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    with dask.config.set({"temporary-directory": str(folder)}):
        yield folder


def frame():
    weights = np.random.default_rng(1).integers(0, 3, ROWS)
    return pd.DataFrame(overlapping(ROWS, 4), columns=list("abcd")).assign(w=weights)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for kind in ("parquet", "single", "csv"):
        (folder / kind).mkdir()
    for i in range(4):
        piece = frame()[1500 * i : 1500 * i + 1500]
        piece.to_parquet(folder / "parquet" / f"{i}.parquet", row_group_size=400)
        piece.astype(np.float32).to_parquet(folder / "single" / f"{i}.parquet")
        piece.to_csv(folder / "csv" / f"{i}.csv", index=False)
    return folder


def datasets(files):
    columns = list("abcd")
    return {
        "Parquet": open_dataset(files / "parquet", columns=columns, block_rows=150),
        "float32": open_dataset(files / "single", columns=columns),
        "weights": open_dataset(files / "parquet", columns=columns, sample_weight="w"),
        "CSV": open_dataset(files / "csv", columns=columns),
    }


def bits(X, **options):
    model = GaussianMixture(3, **OPTIONS | options).fit(X)
    names = ("weights_", "means_", "covariances_", "precisions_cholesky_", "lower_bounds_")
    found = [np.asarray(getattr(model, name)).tobytes() for name in names]
    return b"".join([*found, model._moments.sums.tobytes()])


def left(place):
    return [path.name for path in place.rglob("daskgmm-*")]


def recorded(file, rows=None, chunks=1000):
    """A lazy array whose chunks note when they are computed."""

    def note(block):
        with file.open("a") as stream:
            stream.write("x")
        return block

    X = da.from_array(overlapping(ROWS, 4) if rows is None else rows, chunks=(chunks, -1))
    return X.map_blocks(note, dtype=float, meta=np.empty((0, 4)))


def reads(file):
    return len(file.read_text())


# --- the bits


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Parquet", "float32", "weights", "CSV"])
def test_no_cache_changes_a_bit_of_a_dataset(kind, files, place):
    dataset = datasets(files)[kind]
    with dask.config.set(scheduler="synchronous"):
        expected = bits(dataset, cache="none")
    for scheduler in ("threads", "synchronous"):
        with dask.config.set(scheduler=scheduler):
            assert {cache: bits(dataset, cache=cache) == expected for cache in CACHES} == (
                dict.fromkeys(CACHES, True)
            )
    assert left(place) == []


@pytest.mark.slow
@settings(max_examples=10)
@given(
    cuts=st.lists(st.integers(0, ROWS), max_size=6),
    cache=st.sampled_from(["memory", "disk"]),
    kind=st.sampled_from(list(COVARIANCES)),
)
def test_no_cache_changes_a_bit_of_an_array_in_any_chunks(cuts, cache, kind):
    edges = [0, *sorted(cuts), ROWS]
    chunks = tuple(np.diff(edges).tolist())
    X = da.from_array(overlapping(ROWS, 4), chunks=(chunks, 4)) + 1
    options = {"covariance_type": kind, "max_iter": 2}
    assert bits(X, cache=cache, **options) == bits(X, cache="none", **options)


@pytest.mark.parametrize("cache", CACHES)
def test_no_cache_changes_a_bit_of_a_frame(cache):
    import dask.dataframe as dd

    X = dd.from_pandas(frame()[list("abcd")], npartitions=5) + 1
    assert bits(X, cache=cache) == bits(X, cache="none")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"n_workers": 1},
        {"n_workers": 2, "threads_per_worker": 3},
        {"processes": False, "n_workers": 2, "threads_per_worker": 2},
    ],
    ids=["1 process", "2 x 3 threads", "threads only"],
)
def test_no_cache_changes_a_bit_on_a_cluster(options, files, place):
    with dask.config.set(scheduler="synchronous"):
        expected = {kind: bits(one, cache="none") for kind, one in datasets(files).items()}
    with running(**options):
        for kind, dataset in datasets(files).items():
            found = {cache: bits(dataset, cache=cache) == expected[kind] for cache in CACHES}
            assert found == dict.fromkeys(CACHES, True), kind
        assert left(place) == []


@pytest.mark.slow
def test_rows_that_moved_between_workers_have_the_same_bits():
    """What a worker receives may lie at any address: sums over it must not round otherwise."""
    X = da.from_array(overlapping(60_000, 5), chunks=(7001, 5))
    with dask.config.set(scheduler="synchronous"):
        expected = bits(X, cache="none")
    with running(n_workers=2) as client:
        for cache in ("memory", "none"):
            one, other = client.scheduler_info()["workers"]
            persisted = client.persist(X + 0, workers=one)
            client.rebalance(persisted, workers=[one, other])
            assert bits(persisted, cache=cache) == expected


# --- how often rows are decoded


@pytest.mark.parametrize(("cache", "times"), [("memory", 1), ("disk", 1), ("none", PASSES + 1)])
def test_chunks_are_computed_as_often_as_the_cache_says(cache, times, tmp_path, place):
    X = recorded(tmp_path / "reads")
    seen = []
    bits(X, cache=cache, callbacks=[lambda _: seen.append(left(place))])
    assert reads(tmp_path / "reads") == 6 * times
    assert all(bool(names) == (cache == "disk") for names in seen)
    assert left(place) == []


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_chunks_are_computed_once_on_a_cluster_of_one_machine(cache, tmp_path, place):
    with running(n_workers=3):
        bits(recorded(tmp_path / "reads", chunks=100), cache=cache, max_iter=8)
        assert left(place) == []
    assert reads(tmp_path / "reads") == 60


@pytest.mark.parametrize("cache", CACHES)
def test_rows_that_lie_in_memory_are_not_cached(cache, monkeypatch):
    monkeypatch.setattr(choose, "CACHES", dict.fromkeys(choose.CACHES))  # calling one fails
    for X in (overlapping(ROWS, 4), frame(), da.from_array(overlapping(ROWS, 4), chunks=(700, 4))):
        GaussianMixture(2, max_iter=1, cache=cache).fit(X)


# --- deaths, errors and signals


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "disk"])
@pytest.mark.parametrize("victims", [1, 2])
def test_workers_killed_between_passes_change_no_bit(cache, victims, tmp_path, place):
    expected = bits(da.from_array(overlapping(ROWS, 4), chunks=(250, 4)), cache="none")
    killed = []

    def kill(state):
        if state.iteration == 2:
            killed.extend(sorted(client.run(os.getpid).values())[:victims])
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    with running(n_workers=2) as client:
        X = recorded(tmp_path / "reads", chunks=250)
        assert bits(X, cache=cache, callbacks=[kill]) == expected
        assert len(killed) == victims
        client.wait_for_workers(2, timeout=200)
        assert left(place) == []
    assert 24 <= reads(tmp_path / "reads") <= 48


@pytest.mark.parametrize("cache", ["memory", "disk"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_nothing(cache, error, files, place):
    def fail(state):
        assert bool(left(place)) == (cache == "disk")
        raise error

    with pytest.raises(error):
        bits(datasets(files)["Parquet"], cache=cache, callbacks=[fail])
    assert left(place) == []


@pytest.mark.slow
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_nothing_on_a_cluster(error, files, place):
    def fail(state):
        assert left(place)
        raise error

    with running(n_workers=2):
        with pytest.raises(error):
            bits(datasets(files)["Parquet"], cache="disk", callbacks=[fail])
        assert left(place) == []


@pytest.mark.slow
def test_an_error_lets_workers_forget_what_they_hold(files):
    def fail(state):
        assert any(held in key for key in client.futures)
        raise RuntimeError

    held = "gmm-init-decoded"
    with running(n_workers=2) as client:
        with pytest.raises(RuntimeError) as error:
            bits(datasets(files)["Parquet"], cache="memory", callbacks=[fail])
        assert error.traceback  # keeps the frames
        client.ncores()  # the client's thread has then dealt with what came before
        assert not any(held in key for key in client.futures)


@pytest.mark.slow
def test_two_fits_at_once_keep_apart(files, place):
    from concurrent.futures import ThreadPoolExecutor

    dataset = datasets(files)["Parquet"]
    expected = bits(dataset, cache="none")
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: bits(dataset, cache="disk"), range(6)))
    assert found == [expected] * 6
    assert left(place) == []


SCRIPT = """
import signal, sys
from daskgmm import GaussianMixture, open_dataset
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells may have it ignored
    said = lambda state: print("pass", flush=True)
    GaussianMixture(3, tol=0, max_iter=10**6, subsample=None, cache="disk", callbacks=[said]).fit(
        open_dataset(sys.argv[1], columns=list("abcd"))
    )
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow
def test_a_process_that_is_ended_leaves_nothing_for_good(number, files, place):
    command = [sys.executable, "-u", "-c", SCRIPT, str(files / "parquet")]
    environment = os.environ | {"DASK_TEMPORARY_DIRECTORY": str(place)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        try:
            assert process.stdout.readline() == b"pass\n"
            assert left(place)
            process.send_signal(number)
            process.communicate(timeout=200)
        finally:
            process.kill()
    if number == signal.SIGKILL:
        assert left(place)
        bits(datasets(files)["Parquet"], cache="disk")
    assert left(place) == []


# --- the choice


@pytest.mark.parametrize(
    ("wanted", "memory", "disk", "expected"),
    [
        (100, 100, 0, "memory"),
        (100, 99, 100, "disk"),
        (100, 99, 99, "none"),
        (None, 10**9, 1, "disk"),
        (None, 10**9, 0, "none"),
    ],
)
def test_auto_chooses_from_sizes(wanted, memory, disk, expected):
    assert choose.choose(wanted, Room(memory, disk))[0] == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("room", "expected"),
    [(Room(2**30, 2**30), "memory"), (Room(0, 2**30), "disk"), (Room(0, 0), "none")],
)
def test_auto_says_what_it_chose_and_why_in_one_line(room, expected, files, monkeypatch, caplog):
    monkeypatch.setattr(choose, "room_for", lambda _: room)
    caplog.set_level(logging.DEBUG, "daskgmm")
    dataset = datasets(files)["Parquet"]
    assert bits(dataset) == bits(dataset, cache="none")
    (said,) = [message for message in caplog.messages if "cached:" in message]
    assert f"cached: {expected}." in said
    assert "234.38 kiB" in said


@pytest.mark.slow
def test_auto_knows_the_memory_of_workers():
    wide = da.random.random((40_000_000, 4), chunks=(100_000, 4))  # 1.6 GB with weights
    from daskgmm.data.containers.dask import from_dask_array
    from daskgmm.passes.memory import TaskSizes, room_for, rows_bytes

    task = TaskSizes(4, 15, 3, 3, 100_000, 100_000, np.dtype(float), np.dtype(float))
    wanted = rows_bytes(from_dask_array(wide))
    assert wanted == 40_000_000 * 40
    with running(n_workers=2, memory_limit="512MiB"):
        assert room_for(task).memory < 2 * 2**28
        assert choose.choose(wanted, room_for(task))[0] == "disk"
    with running(n_workers=2, memory_limit="3GiB"):
        assert choose.choose(wanted, room_for(task))[0] == "memory"


@pytest.mark.slow
def test_memory_that_is_asked_for_and_is_not_there_holds_what_fits(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(choose, "room_for", lambda _: Room(ROWS // 2 * 40, 0))
    with running(n_workers=2):
        X = recorded(tmp_path / "reads")
        found = bits(X, cache="memory")
    assert reads(tmp_path / "reads") == 3 + 3 * (PASSES + 1)
    assert "3 of 6 parts" in caplog.text
    assert found == bits(X, cache="none")


@pytest.mark.parametrize("wrong", ["ram", None, 3, ["disk"]])
def test_no_other_cache_is_known(wrong):
    with pytest.raises(ConfigurationError, match="auto, memory, disk, none"):
        GaussianMixture(2, cache=wrong).fit(overlapping(100, 4))


@pytest.mark.slow
def test_the_command_takes_a_cache(files, place, tmp_path, here):
    runs = {}
    for cache in ("disk", "none"):
        output = tmp_path / cache
        command = ["fit", files / "parquet", "-k", 2, "--columns", "a,b", "--seed", 0]
        assert here(*command, "--cache", cache, "-o", output).code == 0
        runs[cache] = load(output / "model.safetensors")
    assert (runs["disk"].means_ == runs["none"].means_).all()
    assert runs["disk"].cache == "disk"
    assert left(place) == []
