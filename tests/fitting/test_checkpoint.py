"""A fit that was ended at any moment and is made again ends in the bits of one that was not."""

import json
import pickle
import re
import signal
import subprocess
import sys
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import count

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise
from sklearn.base import clone

from daskgmm import GaussianMixture, GaussianMixtureSelector, load, open_dataset
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, DataError, OutputError
from daskgmm.fitting import settings as settings_of_fits
from daskgmm.fitting.stored.checkpoint_file import CheckpointContent, CheckpointFile
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.covariance.base import Covariance
from tests.support.rows import overlapping

KINDS = list(COVARIANCES)
OPTIONS = {"random_state": 0, "tol": 0, "max_iter": 6, "init_params": "random_from_data"}
NAME = "checkpoint.safetensors"

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class EndedError(Exception):
    """A fit was ended from outside."""


def some_rows(n=700, dtype=np.float64):
    return overlapping(n, 3).astype(dtype)


def in_chunks(dtype=np.float64):
    return da.from_array(some_rows(dtype=dtype), chunks=((300, 1, 0, 399), 3))


def end_after(passes):
    """A callback that ends the fit after so many passes of this attempt."""
    told = count(1)

    def end(state):
        if next(told) == passes:
            raise EndedError

    return end


def in_attempts(model, X, path, sample_weight=None):
    """Fit in one attempt after the other, of which each is ended after a pass; tells how many."""
    ended, attempts = True, 0
    while ended and attempts < 50:
        ended, attempts = False, attempts + 1
        trial = clone(model).set_params(checkpoint=path, callbacks=[end_after(1)])
        try:
            trial.fit(X, sample_weight=sample_weight)
        except EndedError:
            ended = True
    return trial, attempts


def ended_after(passes, model, X, path):
    """Leave the checkpoint of a fit that was ended after so many passes."""
    trial = clone(model).set_params(checkpoint=path, callbacks=[end_after(passes)])
    with pytest.raises(EndedError):
        trial.fit(X)


def bits(model):
    """All that a fit leaves but its times."""
    names = ("weights_", "means_", "covariances_", "precisions_cholesky_")
    arrays = [np.asarray(getattr(model, name)).tobytes() for name in names]
    moments = model._moments
    if moments is not None:
        arrays += [moments.origins.tobytes(), moments.sums.tobytes(), moments.shared.tobytes()]
        arrays += [repr((moments.log_likelihood, moments.weight, moments.rows))]
    names = ("lower_bound_", "lower_bounds_", "n_iter_", "n_passes_", "n_rows_", "converged_")
    course = [{**entry, "seconds": None} for entry in model.history_]
    return arrays, [getattr(model, name) for name in names], course


def bits_of_sweep(sweep):
    results = sweep.results_.to_json(double_precision=15)
    best = sweep.best_estimator_
    return bits(best), results, sweep.n_passes_, best.random_state


# --- the same bits


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("acceleration", [None, "squarem"])
def test_ended_after_every_single_pass_it_comes_to_the_same_bits(kind, acceleration, tmp_path):
    settings = OPTIONS | {"acceleration": acceleration, "max_iter": 9, "n_init": 2}
    model = GaussianMixture(3, covariance_type=kind, subsample=None, **settings)
    states = []
    expected = clone(model).set_params(callbacks=[states.append]).fit(in_chunks())
    trials = [one for state in states for one in state.traces if one.acceleration.trial is not None]
    assert bool(trials) == (acceleration is not None)
    found, attempts = in_attempts(model, in_chunks(), tmp_path / NAME)
    assert bits(found) == bits(expected)
    assert attempts == 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("passes", range(1, 7))
@pytest.mark.parametrize("stopping", ["lower_bound", "parameters"])
def test_ended_after_any_pass_it_comes_to_the_same_bits(passes, stopping, tmp_path):
    model = GaussianMixture(3, stopping=stopping, subsample=200, **OPTIONS)
    ended_after(passes, model, some_rows(), tmp_path / NAME)
    told = []
    model.set_params(checkpoint=tmp_path / NAME, callbacks=[told.append]).fit(some_rows())
    assert [state.iteration for state in told] == list(range(passes + 1, 7))
    assert bits(model) == bits(clone(model).set_params(callbacks=()).fit(some_rows()))


@pytest.mark.slow
@pytest.mark.parametrize("tol", [1e-3, 1e-5])
def test_converging_fits_converge_alike(tol, tmp_path):
    model = GaussianMixture(3, **OPTIONS | {"tol": tol, "max_iter": 500, "subsample": 100})
    expected = clone(model).fit(some_rows())
    assert expected.converged_
    assert bits(in_attempts(model, some_rows(), tmp_path / NAME)[0]) == bits(expected)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("forced", [None, "float32"])
def test_types_and_weights_keep_their_bits(dtype, weighted, forced, tmp_path):
    X = in_chunks(dtype)
    drawn = np.random.default_rng(1).uniform(0, 2, len(X))
    weights = da.from_array(drawn, chunks=X.chunks[0]) if weighted else None
    model = GaussianMixture(2, covariance_type="tied", dtype=forced, **OPTIONS)
    expected = clone(model).fit(X, sample_weight=weights)
    found, _ = in_attempts(model, X, tmp_path / NAME, weights)
    assert bits(found) == bits(expected)
    assert found.means_.dtype == expected.means_.dtype


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_beside_a_component_of_few_rows_keeps_its_bits(
    kind, tmp_path, monkeypatch
):
    monkeypatch.setattr(settings_of_fits, "FIT_WORTH_COMPILING", 0.0)  # in the loop of long passes
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [1500, 1500, 8])
    means = 3 * np.eye(3, 12)
    rows = (means[labels] + random.normal(size=(len(labels), 12))).astype(np.float32)
    X = da.from_array(rows[random.permutation(len(rows))], chunks=(1000, 12))
    model = GaussianMixture(3, covariance_type=kind, means_init=means, **OPTIONS)
    expected = clone(model).fit(X)
    found, attempts = in_attempts(model, X, tmp_path / NAME)
    assert attempts > 5
    assert bits(found) == bits(expected)
    assert found._moments.coarse.tobytes() == expected._moments.coarse.tobytes()
    assert expected._moments.coarse.any()  # of sums in single precision


@cache
def collapsing():
    """Rows, a model whose starts but one collapse on them, its fit, and how many were left."""
    tight = np.full(300, 7.0)
    rows = np.concatenate([tight, np.random.default_rng(0).normal(size=300)])[:, np.newaxis]
    model = GaussianMixture(3, n_init=4, reg_covar=0, tol=0, max_iter=130, random_state=0)
    model.set_params(init_params="random", refine="none")
    states = []
    fitted = clone(model).set_params(callbacks=[states.append]).fit(rows)
    return rows, model, fitted, [len(state.alive) for state in states]


@pytest.mark.parametrize(
    ("which", "since"), [("first", -1), ("first", 0), ("last", 0), ("last", 1), ("end", 0)]
)
@pytest.mark.slow
def test_starts_that_collapsed_stay_so(which, since, tmp_path):
    rows, model, expected, alive = collapsing()
    assert (alive[0], alive[-1]) == (4, 1)
    # Rounding decides in which passes, and so does the BLAS.
    losses = [number for number in range(1, len(alive)) if alive[number] < alive[number - 1]]
    middle = {"first": losses[0], "last": losses[-1], "end": 129}[which]
    ended_after(middle + since, model, rows, tmp_path / NAME)
    found = clone(model).set_params(checkpoint=tmp_path / NAME).fit(rows)
    assert bits(found) == bits(expected)


def test_start_values_in_any_memory_layout_keep_their_bits(tmp_path):
    means = np.asfortranarray(some_rows()[:3])
    model = GaussianMixture(3, means_init=means, subsample=None, **OPTIONS)
    ended_after(1, model, some_rows(), tmp_path / NAME)
    found = clone(model).set_params(checkpoint=tmp_path / NAME, means_init=means.tolist())
    assert bits(found.fit(some_rows())) == bits(clone(model).fit(some_rows()))


def test_tight_rows_far_away_keep_their_bits(tmp_path):
    """The exact kernel, and passes that are made twice."""
    rows = some_rows()
    rows[::2] = 1e6 + rows[::2] / 2**19
    model = GaussianMixture(3, **OPTIONS | {"reg_covar": 1e-14, "init_params": "random"})
    model.set_params(subsample=None)
    expected = clone(model).fit(rows)
    assert expected.n_passes_ > 1 + expected.n_iter_
    assert bits(in_attempts(model, rows, tmp_path / NAME)[0]) == bits(expected)


def test_a_fit_of_no_pass_needs_none_again(tmp_path):
    model = GaussianMixture(2, **OPTIONS | {"max_iter": 0})
    found = clone(model).set_params(checkpoint=tmp_path / NAME).fit(some_rows())
    assert bits(found) == bits(model.fit(some_rows()))


@pytest.fixture(params=["rows", "frame", "chunks", "partitions", "parquet", "csv"])
def source(request, tmp_path):
    frame = pd.DataFrame(some_rows(), columns=list("abc"))
    folder = tmp_path / "input"
    folder.mkdir()
    for start in range(0, 700, 140):
        piece = frame[start : start + 140]
        if request.param == "parquet":
            piece.to_parquet(folder / f"{start}.parquet", row_group_size=50)
        else:
            piece.to_csv(folder / f"{start}.csv", index=False)
    return {
        "rows": some_rows,
        "frame": lambda: frame,
        "chunks": in_chunks,
        "partitions": lambda: dd.from_pandas(frame, npartitions=3).clear_divisions(),
        "parquet": lambda: open_dataset(folder),
        "csv": lambda: open_dataset(folder, block_rows=30),
    }[request.param]


@pytest.mark.slow
def test_rows_from_anywhere_keep_their_bits(source, tmp_path):
    model = GaussianMixture(3, **OPTIONS)
    expected = clone(model).fit(source())
    found, attempts = in_attempts(model, source(), tmp_path / NAME)
    assert bits(found) == bits(expected)
    assert attempts == 7


class Reader:
    """Notes the blocks that are read, and ends the fit at one of them."""

    def __init__(self, last=None):
        self.last, self.read = last, 0

    def __call__(self, block):
        self.read += 1
        if self.read == self.last:
            raise EndedError
        return block

    def rows(self):
        return in_chunks().map_blocks(self, dtype=float, meta=np.empty((0, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("init", ["kmeans", "k-means||"])
def test_no_whole_pass_is_made_again(init, tmp_path):
    """Nor the survey: the first checkpoint is there before the first pass of EM."""
    model = GaussianMixture(3, cache="none", **OPTIONS | {"init_params": init})
    path, blocks = tmp_path / NAME, 4
    with dask.config.set(scheduler="synchronous"):
        whole = Reader()
        expected = clone(model).fit(whole.rows())
        before = whole.read - 6 * blocks
        for done in (0, 2, 5):
            last = before + done * blocks + 3  # within a pass
            with pytest.raises(EndedError):
                clone(model).set_params(checkpoint=path).fit(Reader(last).rows())
            again = Reader()
            found = clone(model).set_params(checkpoint=path).fit(again.rows())
            assert again.read == (6 - done) * blocks
            assert bits(found) == bits(expected)


def test_ended_within_the_survey_it_starts_anew(tmp_path):
    model = GaussianMixture(3, checkpoint=tmp_path / NAME, cache="none", **OPTIONS)
    with dask.config.set(scheduler="synchronous"), pytest.raises(EndedError):
        clone(model).fit(Reader(3).rows())
    assert list(tmp_path.iterdir()) == []
    assert bits(model.fit(in_chunks())) == bits(GaussianMixture(3, **OPTIONS).fit(in_chunks()))


def test_a_warm_start_goes_on_from_its_own_checkpoint(tmp_path):
    def twice(path, callbacks):
        model = GaussianMixture(3, warm_start=True, **OPTIONS | {"max_iter": 3})
        model.fit(some_rows()).set_params(checkpoint=path, callbacks=callbacks)
        return model

    expected = twice(None, ()).fit(some_rows())
    model = twice(tmp_path / NAME, [end_after(2)])
    with pytest.raises(EndedError):
        model.fit(some_rows())
    first = GaussianMixture(3, checkpoint=tmp_path / NAME, **OPTIONS | {"max_iter": 3})
    with pytest.raises(ConfigurationError, match="warm_start"):
        first.fit(some_rows())
    assert bits(model.set_params(callbacks=()).fit(some_rows())) == bits(expected)


def test_a_fit_that_starts_from_a_model_goes_on_from_its_checkpoint(tmp_path):
    start, other = (GaussianMixture(3, **OPTIONS | {"random_state": seed}) for seed in (1, 2))
    start.fit(some_rows()).save(tmp_path / "start.safetensors")
    other.fit(some_rows())
    model = GaussianMixture(3, start_from=start, **OPTIONS)
    ended_after(3, model, some_rows(), tmp_path / NAME)
    with pytest.raises(ConfigurationError, match="start_from"):
        clone(model).set_params(start_from=other, checkpoint=tmp_path / NAME).fit(some_rows())
    with pytest.raises(ConfigurationError, match="start_from"):
        GaussianMixture(3, checkpoint=tmp_path / NAME, **OPTIONS).fit(some_rows())
    # The content of the model counts, not where it is.
    again = clone(model).set_params(start_from=tmp_path / "start.safetensors")
    found = again.set_params(checkpoint=tmp_path / NAME).fit(some_rows())
    assert bits(found) == bits(model.fit(some_rows()))


@pytest.mark.parametrize("seed", [np.random.RandomState, None])
def test_random_numbers_are_left_as_they_were(seed, tmp_path):
    """A fit whose seed nobody knows goes on with the numbers that it began with."""
    model = GaussianMixture(3, **OPTIONS | {"random_state": seed and seed(5)})
    if seed is None:
        np.random.seed(5)  # noqa: NPY002  what random_state=None draws from
    expected = model.fit(some_rows())
    generator = model.random_state or np.random.mtrand._rand
    left = generator.random_sample()
    generator.seed(5)
    ended_after(
        3,
        GaussianMixture(3, **OPTIONS | {"random_state": seed and generator}),
        some_rows(),
        tmp_path / NAME,
    )
    found = clone(model).set_params(checkpoint=tmp_path / NAME)
    found.random_state = seed and seed(99)
    assert bits(found.fit(some_rows())) == bits(expected)
    assert (found.random_state or generator).random_sample() == left


def same(one, other):
    """Whether two frozen values hold the same bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape) == (other.dtype, other.shape) and (
            one.tobytes() == other.tobytes()
        )
    if is_dataclass(one):
        return all(same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other) or isinstance(one, Covariance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stopping", ["lower_bound", "parameters"])
@pytest.mark.slow
def test_a_state_comes_back_whole(kind, stopping, tmp_path):
    compared = []

    def compare(state):
        content = CheckpointContent.from_bytes((tmp_path / NAME).read_bytes(), NAME)
        compared.append(same(state, content.progress.state))

    model = GaussianMixture(3, covariance_type=kind, stopping=stopping, acceleration="squarem")
    model.set_params(**OPTIONS | {"max_iter": 20, "n_init": 2, "init_params": "random"})
    model.set_params(subsample=None, callbacks=[compare], checkpoint=tmp_path / NAME)
    model.fit(in_chunks())
    assert compared == [True] * 20


# --- selections


@pytest.mark.slow
@pytest.mark.parametrize("acceleration", [None, "squarem"])
def test_a_selection_comes_to_the_same_bits(acceleration, tmp_path):
    settings = OPTIONS | {"acceleration": acceleration, "n_init": 2, "tol": 1e-3, "max_iter": 9}
    model = GaussianMixtureSelector([1, 3, 2], covariance_type=KINDS, **settings)
    model.set_params(subsample=None)
    expected = clone(model).fit(in_chunks())
    found, attempts = in_attempts(model, in_chunks(), tmp_path / NAME)
    assert bits_of_sweep(found) == bits_of_sweep(expected)
    assert attempts == 10
    assert found.best_estimator_.checkpoint is None


@pytest.mark.parametrize("seed", [None, np.random.RandomState])
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_a_selection_goes_on_with_the_seed_that_it_has_drawn(seed, tmp_path):
    random = np.random.RandomState(7)
    model = GaussianMixtureSelector([2, 3], **OPTIONS | {"random_state": random})
    expected = model.fit(some_rows())
    left = random.random_sample()
    random = np.random.RandomState(7)
    trial = GaussianMixtureSelector([2, 3], checkpoint=tmp_path / NAME, **OPTIONS)
    trial.set_params(random_state=random, callbacks=[end_after(2)])
    with pytest.raises(EndedError):
        trial.fit(some_rows())
    found = clone(trial).set_params(random_state=seed and random, callbacks=())
    found.fit(some_rows())
    assert bits_of_sweep(found) == bits_of_sweep(expected)
    assert seed is None or random.random_sample() == left


@pytest.mark.slow
def test_a_candidate_without_starts_stays_so(tmp_path):
    rows = np.repeat([[0.0, 1.0], [1.0, 0.0], [5.0, 5.0], [9.0, 2.0]], 20, axis=0)
    model = GaussianMixtureSelector([1, 4], reg_covar=0, random_state=0)
    expected = clone(model).fit(rows)
    assert expected.results_.lower_bound.isna().tolist() == [False, True]
    found, _ = in_attempts(model, rows, tmp_path / NAME)
    assert bits_of_sweep(found) == bits_of_sweep(expected)


# --- processes that are killed

SCRIPT = """
import os, pathlib, signal, sys, warnings
import dask, dask.array as da, numpy as np
from daskgmm import GaussianMixture

path, moment, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
counts = {"block": 0, "write": 0}

def count(what):
    counts[what] += 1
    if what == moment and counts[what] == last:
        os.kill(os.getpid(), signal.SIGKILL)

def read(block):
    count("block")
    return block

replace = pathlib.Path.replace

def killed(self, target):  # the file is written, but not yet in its place
    count("write")
    return replace(self, target)

pathlib.Path.replace = killed
warnings.simplefilter("ignore")
rows = np.random.default_rng(0).normal(size=(700, 3))
X = da.from_array(rows, chunks=(200, 3)).map_blocks(read, dtype=float, meta=np.empty((0, 3)))
with dask.config.set(scheduler="synchronous"):
    model = GaussianMixture(3, random_state=0, tol=0, max_iter=3, cache="none",
                            init_params="random_from_data", checkpoint=path).fit(X)
model.save(path)
"""


@pytest.mark.slow
def test_processes_killed_within_passes_and_writings_lead_to_the_same_bits(tmp_path):
    path = tmp_path / NAME
    # In the first pass of EM, in the second, and before the last checkpoint is in its place.
    for moment, last in [("block", 6), ("block", 7), ("write", 2), ("none", 0)]:
        command = [sys.executable, "-c", SCRIPT, str(path), moment, str(last)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == (0 if moment == "none" else -signal.SIGKILL), done.stderr
        assert path.exists()
    rows = np.random.default_rng(0).normal(size=(700, 3))
    model = GaussianMixture(3, **OPTIONS | {"max_iter": 3})
    model.fit(da.from_array(rows, chunks=(200, 3)))
    assert bits(load(path)) == bits(model)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_what_a_cluster_began_threads_go_on_with(tmp_path):
    from distributed import Client, LocalCluster

    model = GaussianMixture(3, **OPTIONS)
    cluster = {"n_workers": 2, "processes": False, "dashboard_address": ":0"}
    with LocalCluster(**cluster) as place, Client(place):
        ended_after(3, model, in_chunks(), tmp_path / NAME)
        ended_after(1, model, in_chunks(), tmp_path / NAME)
    found = clone(model).set_params(checkpoint=tmp_path / NAME).fit(in_chunks())
    assert bits(found) == bits(model.fit(in_chunks()))


# --- where it is kept


def test_a_url_will_do():
    model = GaussianMixture(3, **OPTIONS)
    url = f"memory://checkpoints/{NAME}"
    found, attempts = in_attempts(model, some_rows(), url)
    assert bits(found) == bits(model.fit(some_rows()))
    assert attempts == 7
    assert Folder.of("memory://checkpoints", {}).names() == []


@pytest.mark.slow
def test_an_object_store_will_do(monkeypatch):
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        store = {"endpoint_url": f"http://{host}:{port}", "skip_instance_cache": True}
        bucket = Folder.of("s3://checkpoints", store)
        bucket.filesystem.mkdir("checkpoints")
        model = GaussianMixture(3, **OPTIONS)
        file = CheckpointFile(bucket.inside("run"), NAME)
        found, attempts = in_attempts(model, some_rows(), file)
        assert attempts == 7
        assert bucket.names() == []
    finally:
        server.stop()
    assert bits(found) == bits(model.fit(some_rows()))


def test_every_so_often_is_often_enough_and_the_last_state_is_kept(tmp_path):
    file = CheckpointFile(*Folder.of_file(tmp_path / NAME, {}), every=3600)
    first = []

    def look(state):
        first.append((tmp_path / NAME).read_bytes())
        if state.iteration == 4:
            raise KeyboardInterrupt

    model = GaussianMixture(3, checkpoint=file, callbacks=[look], **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        model.fit(some_rows())
    assert len(set(first)) == 1  # that of the starts
    told = []
    model.set_params(callbacks=[told.append]).fit(some_rows())
    assert [state.iteration for state in told] == [5, 6]
    assert bits(model) == bits(GaussianMixture(3, **OPTIONS).fit(some_rows()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("every", [0, 3600])
def test_one_that_stays_holds_the_whole_fit(every, tmp_path):
    file = CheckpointFile(*Folder.of_file(tmp_path / NAME, {}), every=every, stays=True)
    expected = GaussianMixture(3, checkpoint=file, **OPTIONS).fit(some_rows())
    found = GaussianMixture(3, checkpoint=file, callbacks=[end_after(1)], **OPTIONS)
    assert bits(found.fit(some_rows())) == bits(expected)
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_killed_writers_left_goes_with_it(tmp_path):
    (tmp_path / f".{NAME}.k1ll3d").write_bytes(b"half")
    GaussianMixture(3, checkpoint=tmp_path / NAME, **OPTIONS).fit(some_rows())
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, signal, sys, warnings
import numpy as np
from daskgmm import GaussianMixture
from daskgmm.errors import OutputError

warnings.simplefilter("ignore")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
rows = np.random.default_rng(0).normal(size=(700, 3))

def fill(state):
    told.append(state.iteration)
    if state.iteration == 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))

model = GaussianMixture(3, random_state=0, tol=0, max_iter=6, checkpoint=sys.argv[1],
                        init_params="random_from_data", callbacks=[fill])
for room in (4096, most):
    told = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    try:
        model.fit(rows)
    except OutputError as error:
        print(told, error)
"""


@pytest.mark.slow
def test_a_full_disk_ends_the_fit_at_the_next_checkpoint_and_leaves_the_last(tmp_path):
    path = tmp_path / NAME
    command = [sys.executable, "-c", FULL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    said = (
        f"{path} can't be written: File too large. "
        "Check that its folder exists, is writable and has space, and the credentials.\n"
    )
    assert done.stdout == f"[] {said}[1, 2] {said}"
    assert list(tmp_path.iterdir()) == [path]
    random = np.random.default_rng(0)
    model = GaussianMixture(3, checkpoint=path, callbacks=[end_after(4)], **OPTIONS)
    with pytest.raises(EndedError):
        model.fit(random.normal(size=(700, 3)))


@pytest.mark.slow
def test_where_there_is_no_folder_the_fit_ends_before_its_passes(tmp_path):
    told = []
    path = tmp_path / "missing" / NAME
    with pytest.raises(OutputError, match=r"missing.*can't be written: No such file"):
        GaussianMixture(3, checkpoint=path, callbacks=[told.append]).fit(some_rows())
    assert told == []


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(OutputError, match=r"can't be read: Is a directory"):
        GaussianMixture(3, checkpoint=tmp_path).fit(some_rows())


def test_a_fit_that_has_ended_outlives_a_checkpoint_that_cannot_be_removed(tmp_path, caplog):
    def take_the_folder_away(state):
        if state.finished:
            (tmp_path / "run").rename(tmp_path / "gone")
            (tmp_path / "run").touch()

    (tmp_path / "run").mkdir()
    model = GaussianMixture(3, checkpoint=tmp_path / "run" / NAME, **OPTIONS)
    model.set_params(callbacks=[take_the_folder_away]).fit(some_rows())
    assert bits(model) == bits(GaussianMixture(3, **OPTIONS).fit(some_rows()))
    assert re.search("can't be removed: .*Not a directory", caplog.text)


# --- files that do not belong to the fit


@pytest.fixture
def ended(tmp_path):
    """The path of a checkpoint after two passes."""
    ended_after(2, GaussianMixture(3, **OPTIONS), in_chunks(), tmp_path / NAME)
    return tmp_path / NAME


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_components": 2}, r"n_components (there [3], here [2])"),
        ({"covariance_type": "tied"}, "covariance_type (there ['full'], here ['tied'])"),
        ({"tol": 0.5}, "tol (there 0, here 0.5)"),
        ({"max_iter": 7}, "max_iter (there 6, here 7)"),
        ({"reg_covar": 0}, "reg_covar"),
        ({"stopping": "parameters"}, "stopping"),
        ({"acceleration": "squarem"}, "acceleration (there None, here 'squarem')"),
        ({"subsample": 300}, "subsample"),
        ({"init_params": "kmeans"}, "init_params"),
        ({"n_init": 2}, "n_init"),
        ({"dtype": np.float32}, "dtype (there None, here 'float32')"),
        ({"random_state": 1}, "random_state (there 0, here 1)"),
        ({"means_init": some_rows()[:3]}, "means_init"),
        ({"weights_init": [0.5, 0.25, 0.25]}, "weights_init"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_fits_checkpoint_is_refused_and_kept(ended, change, said):
    content = ended.read_bytes()
    model = GaussianMixture(3, checkpoint=ended, **OPTIONS).set_params(**change)
    with pytest.raises(ConfigurationError) as caught:
        model.fit(in_chunks())
    assert str(ended) in str(caught.value)
    assert said in str(caught.value)
    assert "Remove it, or give this fit another checkpoint." in str(caught.value)
    assert ended.read_bytes() == content


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (some_rows(), "number of parts (there 4, here 1)"),
        (in_chunks(np.float32), "type of the rows"),
        (in_chunks()[:, :2], "number of features (there 3, here 2)"),
        (da.from_array(some_rows(), chunks=((299, 1, 0, 400), 3)), "rows of the parts"),
        (da.from_array(some_rows(701), chunks=((300, 1, 0, 400), 3)), "number of rows"),
        (dd.from_pandas(pd.DataFrame(some_rows(), columns=list("abc")), npartitions=4), "columns"),
    ],
    ids=["parts", "type", "features", "cut", "rows", "columns"],
)
def test_other_rows_are_another_fit(ended, X, said):
    model = GaussianMixture(3, checkpoint=ended, **OPTIONS)
    with pytest.raises(ConfigurationError) as caught:
        model.fit(X)
    assert said in str(caught.value)


def test_weights_and_a_selection_are_another_fit(ended):
    model = GaussianMixture(3, checkpoint=ended, **OPTIONS)
    with pytest.raises(ConfigurationError, match="sample_weight"):
        model.fit(in_chunks(), sample_weight=np.ones(700))
    with pytest.raises(ConfigurationError, match="estimator"):
        GaussianMixtureSelector(3, checkpoint=ended, **OPTIONS).fit(in_chunks())


def test_files_that_have_changed_are_another_fit(tmp_path):
    frame = pd.DataFrame(some_rows(), columns=list("abc"))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    model = GaussianMixture(3, **OPTIONS)
    ended_after(2, model, open_dataset(tmp_path / "rows.csv"), tmp_path / NAME)
    frame[1:].to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(ConfigurationError, match="files"):
        model.set_params(checkpoint=tmp_path / NAME).fit(open_dataset(tmp_path / "rows.csv"))


def test_rows_that_are_fewer_than_before_are_bad_data(tmp_path):
    lengths = [300, 400]

    def partition(index):
        return pd.DataFrame(some_rows()[: lengths[index]], columns=list("abc"))

    X = dd.from_map(partition, [0, 1], meta=partition(0)[:0])
    model = GaussianMixture(3, **OPTIONS)
    ended_after(2, model, X, tmp_path / NAME)
    lengths[1] = 399
    with pytest.raises(DataError, match=r"699 rows, but the first pass read 700"):
        model.set_params(checkpoint=tmp_path / NAME).fit(X)


def test_what_never_changes_a_result_may_change(ended):
    expected = GaussianMixture(3, **OPTIONS).fit(in_chunks())
    other = {"verbose": 0, "verbose_interval": 3, "cache": "memory", "callbacks": [str]}
    found = GaussianMixture(3, checkpoint=ended, **OPTIONS | other).fit(in_chunks())
    assert bits(found) == bits(expected)


# --- files that are none


def damaged(content):
    yield "empty", b""
    yield "cut short", content[:-1]
    yield "half", content[: len(content) // 2]
    yield "longer", content + b"x"
    yield "text", b"not a checkpoint"
    yield "pickle", pickle.dumps({"progress": 3})
    yield "another's", serialise({"a": np.zeros(3)})
    yield "no checkpoint", serialise({"a": np.zeros(3)}, {"daskgmm": '{"format": 1}'})
    for place in range(0, len(content), len(content) // 40):
        changed = bytearray(content)
        changed[place] ^= 1
        yield f"byte {place}", bytes(changed)


@pytest.mark.slow
def test_a_damaged_file_is_bad_data_and_stays(ended):
    model = GaussianMixture(3, checkpoint=ended, **OPTIONS)
    for what, content in damaged(ended.read_bytes()):
        ended.write_bytes(content)
        with pytest.raises(DataError) as caught:
            model.fit(in_chunks())
        assert f"{ended} is not a complete checkpoint" in str(caught.value), what
        assert "Remove it to fit from the beginning" in str(caught.value)
        assert ended.read_bytes() == content


def test_a_model_is_never_taken_for_a_checkpoint_nor_the_reverse(ended, tmp_path):
    with pytest.raises(DataError, match="not a daskgmm model file"):
        load(ended)
    model = GaussianMixture(3, **OPTIONS).fit(in_chunks())
    model.save(tmp_path / "model")
    model.set_params(checkpoint=tmp_path / "model")
    with pytest.raises(DataError, match="not a complete checkpoint"):
        model.fit(in_chunks())
    assert bits(load(tmp_path / "model")) == bits(model)


def test_a_file_of_a_later_version_says_so(ended):
    metadata = json.dumps({"format": 99, "version": "7.0"})
    ended.write_bytes(serialise({"a": np.zeros(3)}, {"daskgmm": metadata}))
    with pytest.raises(DataError, match=r"daskgmm 7\.0 in format 99.*Upgrade"):
        GaussianMixture(3, checkpoint=ended, **OPTIONS).fit(in_chunks())


def test_a_checkpoint_of_an_earlier_format_says_what_to_do_and_stays(ended):
    content = CheckpointContent.from_bytes(ended.read_bytes(), NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("daskgmm.fitting.stored.checkpoint_file.FORMAT", 1)
        ended.write_bytes(content.to_bytes())
    before = ended.read_bytes()
    said = r"format 1; this version reads format 4 only\. Finish .* --no-resume"
    with pytest.raises(DataError, match=said):
        GaussianMixture(3, checkpoint=ended, **OPTIONS).fit(in_chunks())
    assert ended.read_bytes() == before


def test_renaming_a_class_changes_no_file(ended):
    content = CheckpointContent.from_bytes(ended.read_bytes(), NAME)
    kind = type(content.progress)
    try:
        kind.__name__, name = "Renamed", kind.__name__
        assert content.to_bytes() == ended.read_bytes()
    finally:
        kind.__name__ = name


def test_the_file_holds_numbers_and_json_and_nothing_that_runs(ended):
    content = ended.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert json.loads(header["__metadata__"]["daskgmm"])["checkpoint"]["fit"]["max_iter"] == 6
    held = sum(array.nbytes for array in parse(content).values())
    assert len(content) == 8 + length + held


# --- the parameter


@pytest.mark.parametrize("wrong", [3, b"bytes", "", "folder/", ["a"], np.zeros(2)])
def test_what_names_no_file_is_refused(wrong):
    for model in (GaussianMixture(2), GaussianMixtureSelector([2])):
        with pytest.raises(ConfigurationError, match="'checkpoint' parameter"):
            model.set_params(checkpoint=wrong).fit(some_rows())


def test_a_file_object_is_cloned_pickled_and_shown_without_its_options(tmp_path):
    place = Folder.of("memory://folder", {"password": "hunter2"})
    file = CheckpointFile(place, NAME, every=2.0)
    model = GaussianMixture(2, checkpoint=file)
    assert clone(model).checkpoint == file
    assert model.get_params()["checkpoint"] is file
    again = pickle.loads(pickle.dumps(model))  # noqa: S301  our own
    assert again.checkpoint == file
    assert "hunter2" not in repr(model)
    model.set_params(random_state=0).fit(some_rows()).save(tmp_path / "m")
    assert load(tmp_path / "m").checkpoint is None


def test_what_has_ended_is_not_told_again(ended, capsys):
    GaussianMixture(3, checkpoint=ended, verbose=1, **OPTIONS | {"verbose_interval": 1}).fit(
        in_chunks()
    )
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["Initialization 0", "  Iteration 3"]
    file = CheckpointFile(*Folder.of_file(ended, {}), stays=True)
    model = GaussianMixture(3, checkpoint=file, verbose=1, **OPTIONS).fit(in_chunks())
    capsys.readouterr()
    model.fit(in_chunks())
    assert capsys.readouterr().out == ""
