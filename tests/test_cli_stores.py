"""Commands whose output's store fails in the middle of what they write."""

from itertools import count

import numpy as np
import pandas as pd
import pytest

from daskgmm import load
from tests.command import HURRIED, in_process
from tests.stores import proxied, s3, s3_server  # noqa: F401  fixtures

pytestmark = pytest.mark.slow


@pytest.fixture
def rows(tmp_path):
    values = np.random.default_rng(0).normal(size=(4000, 3)) + np.arange(4000)[:, np.newaxis] % 3
    frame = pd.DataFrame(values, columns=list("abc"))
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=500)
    return tmp_path / "rows.parquet"


def fit(rows, run):
    fixed = ("--tol", 0, "--max-iter", 12, "--subsample", "none", "--no-progress")
    return ("fit", rows, "-k", 3, "--seed", 0, *fixed, "-o", run)


def busy(name, first, last=10**9):
    """A failure of some of the writings of objects whose names hold `name`, counted from 1."""
    seen = count(1)

    def failure(method, path):
        written = method == "PUT" and name in path
        return "busy" if written and first <= next(seen) <= last else None

    return failure


def names(store):
    return {key.rpartition("/")[2] for key in store.filesystem.find(store.url)}


def test_a_fit_whose_checkpoints_no_longer_arrive_goes_on_later(rows, proxied, s3, tmp_path):  # noqa: F811
    proxy, store = proxied
    assert in_process(*fit(rows, tmp_path / "calm")).code == 0
    command = (*fit(rows, f"{store.url}/run"), *store.arguments)
    proxy.failure = busy("checkpoint", 5)
    done = in_process(*command, command=HURRIED)
    assert done.code == 75, done.err
    assert "checkpoint.safetensors can't be reached" in done.err
    assert "Traceback" not in done.err
    assert "model.safetensors" not in names(s3)
    proxy.failure = lambda *_: None
    done = in_process(*command, command=HURRIED)
    assert done.code == 0, done.err
    found = load(f"{s3.url}/run", storage_options=s3.options)
    calm = load(tmp_path / "calm")
    assert found.lower_bounds_ == calm.lower_bounds_
    assert found.covariances_.tobytes() == calm.covariances_.tobytes()


def test_parts_are_written_again_and_what_is_left_is_written_later(rows, proxied, s3, tmp_path):  # noqa: F811
    proxy, store = proxied
    assert in_process(*fit(rows, tmp_path / "run")).code == 0
    command = ("predict", tmp_path / "run", rows, "-o", f"{store.url}/out", *store.arguments)
    proxy.failure = busy("part-00003", 1)
    done = in_process(*command, command=HURRIED)
    assert done.code == 75, done.err
    assert "part-00003.parquet can't be reached" in done.err
    assert not names(s3) & {"_SUCCESS", "part-00003.parquet"}
    proxy.failure = busy("part-00003", 1, 2)
    done = in_process(*command, command=HURRIED)
    assert done.code == 0, done.err
    assert names(s3) >= {"_SUCCESS", *(f"part-{n:05}.parquet" for n in range(8))}
