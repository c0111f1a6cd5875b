"""Commands whose output's store fails in the middle of what they write."""

import signal
import subprocess
from itertools import count

import numpy as np
import pytest

from daskgmm import load
from tests.support.command import COMMAND, hurried_command, in_process, made
from tests.support.rows import parquet_of
from tests.support.stores import proxied, s3, s3_server

__all__ = ["proxied", "s3", "s3_server"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    values = np.random.default_rng(0).normal(size=(4000, 3)) + np.arange(4000)[:, np.newaxis] % 3
    return parquet_of(values, tmp_path_factory.mktemp("rows") / "rows.parquet", 500)


def fit(rows, run):
    fixed = ("--tol", 0, "--max-iter", 12, "--subsample", "none", "--no-progress")
    return ("fit", rows, "-k", 3, "--seed", 0, *fixed, "-o", run)


@pytest.fixture(scope="module")
def calm(rows, tmp_path_factory):
    """A run that nothing disturbs."""
    run = tmp_path_factory.mktemp("calm") / "run"
    assert made(*fit(rows, run)).code == 0
    return run


def busy(proxy, name, first, last=10**9):
    """Refuse some of the writings of objects whose names hold `name`, counted from 1."""
    seen = count(1)

    def failure(method, path):
        written = method == "PUT" and name in path
        return "busy" if written and first <= next(seen) <= last else None

    proxy.failure = failure


def falling(proxy, name, first):
    """Be gone from such a writing on."""
    seen = count(1)

    def failure(method, path):
        if method == "PUT" and name in path and next(seen) == first:
            proxy.fall()
            return "busy"
        return None

    proxy.failure = failure


def well(proxy):
    proxy.failure = lambda *_: None


def risen(proxy):
    well(proxy)
    proxy.rise()


FAILURES = pytest.mark.parametrize(
    ("fails", "mended"), [(busy, well), (falling, risen)], ids=["busy", "down"]
)


def names(store):
    return {key.rpartition("/")[2] for key in store.filesystem.find(store.url)}


def assert_ended_with(done, cause):
    """A line of cause and one of remedy come last; before that nothing but notes of the log."""
    assert done.code == 75, done.err
    *notes, first, second = done.err.splitlines()
    assert all(note.startswith(("warning: ", "Fitting ", "Labelling ")) for note in notes), done.err
    assert first.startswith("error: ")
    assert cause in first
    assert second == "Check the network and the store's address, and run it again."


@FAILURES
def test_a_fit_whose_checkpoints_no_longer_arrive_goes_on_later(
    rows, calm, proxied, s3, fails, mended
):
    proxy, store = proxied
    command = (*fit(rows, f"{store.url}/run"), *store.arguments)
    fails(proxy, "checkpoint", 5)
    assert_ended_with(in_process(*command, command=hurried_command()), "checkpoint.safetensors")
    assert names(s3) >= {"checkpoint.safetensors", "run.json"}
    assert "model.safetensors" not in names(s3)
    mended(proxy)
    before = len(proxy.requests)
    done = in_process(*command, command=hurried_command())
    assert done.code == 0, done.err
    # The first four are of the start and three passes, so nine are left.
    written = [path for method, path in proxy.requests[before:] if method == "PUT"]
    assert sum("checkpoint" in path for path in written) == 9
    found = load(f"{s3.url}/run", storage_options=s3.options)
    undisturbed = load(calm)
    assert found.lower_bounds_ == undisturbed.lower_bounds_
    assert found.covariances_.tobytes() == undisturbed.covariances_.tobytes()


@FAILURES
def test_parts_that_no_longer_arrive_are_written_later(
    rows, calm, proxied, s3, tmp_path, fails, mended
):  # fmt: skip
    proxy, store = proxied
    command = ("predict", calm, rows, "-o")
    assert made(*command, tmp_path / "out").code == 0
    command = (*command, f"{store.url}/out", *store.arguments)
    fails(proxy, "part-00003", 1)
    assert_ended_with(in_process(*command, command=hurried_command()), " can't be reached")
    assert not names(s3) & {"_SUCCESS", "part-00003.parquet"}
    mended(proxy)
    done = in_process(*command, command=hurried_command())
    assert done.code == 0, done.err
    assert names(s3) == {"_SUCCESS", *(f"part-{n:05}.parquet" for n in range(8))}
    for part in (tmp_path / "out").glob("part-*"):
        assert s3.filesystem.cat(f"{s3.url}/out/{part.name}") == part.read_bytes()


def test_a_part_that_was_refused_twice_is_written_by_the_same_command(rows, calm, proxied, s3):
    proxy, store = proxied
    busy(proxy, "part-00003", 1, 2)
    command = ("predict", calm, rows, "-o", f"{store.url}/out", *store.arguments)
    done = in_process(*command, command=hurried_command())
    assert done.code == 0, done.err
    assert names(s3) >= {"_SUCCESS", "part-00003.parquet"}


def test_a_command_whose_store_is_gone_is_interrupted_all_the_same(rows, calm, proxied, s3):
    proxy, store = proxied
    falling(proxy, "part-00003", 1)
    command = ("predict", calm, rows, "-o", f"{store.url}/out", *store.arguments)
    with subprocess.Popen(
        [*COMMAND, *map(str, command)], stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if "is tried again" in line:
                process.send_signal(signal.SIGTERM)
                break
        said = process.stderr.read()
    assert process.returncode == 143, said
    assert "error: Interrupted." in said
    assert "_SUCCESS" not in names(s3)
