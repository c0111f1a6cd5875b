"""The same bits for any number of workers, threads and processes, and after a death among them.

What a fit found is compared as bytes: parameters, bounds and the sums behind them.
"""

import os
import signal

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from distributed import Client
from threadpoolctl import threadpool_limits

from daskgmm import GaussianMixture, GaussianMixtureSelector, open_dataset
from daskgmm.model.covariance import COVARIANCES
from tests.support.clusters import cluster_of, running
from tests.support.fits import OPTIONS, bits
from tests.support.rows import overlapping

KINDS = list(COVARIANCES)
CHUNKS = (3000, 1, 0, 5000, 12_000, 999)

pytestmark = pytest.mark.filterwarnings("ignore")  # of clusters that are torn down under load


def in_chunks():
    assert sum(CHUNKS) == 21_000
    return da.from_array(overlapping(21_000, 4), chunks=(CHUNKS, 4))


def selected(X, **options):
    """The bits of a sweep, and of what it chose."""
    sweep = GaussianMixtureSelector([2, 4, 1], covariance_type=KINDS, **OPTIONS | options).fit(X)
    best = sweep.best_estimator_
    names = ("weights_", "means_", "covariances_", "lower_bounds_")
    found = [np.asarray(getattr(best, name)).tobytes() for name in names]
    return b"".join([*found, repr(sweep.results_.to_dict()).encode()])


@pytest.fixture(scope="module")
def expected():
    with dask.config.set(scheduler="synchronous"):
        return {kind: bits(in_chunks(), kind) for kind in KINDS}


@pytest.fixture(scope="module")
def expected_selection():
    with dask.config.set(scheduler="synchronous"):
        return selected(in_chunks())


def searched(X):
    """The bits of a fit whose start is sought with moves, and of a selection of such starts."""
    model = GaussianMixture(6, random_state=1).fit(X)
    assert model.refinement_["tried"] > 0
    sweep = GaussianMixtureSelector([2, 6, 4], random_state=1).fit(X)
    arrays = (model.weights_, model.means_, model.covariances_, model.lower_bounds_)
    found = [np.asarray(array).tobytes() for array in arrays]
    return b"".join([*found, repr((model.refinement_, sweep.results_.to_dict())).encode()])


@pytest.fixture(scope="module")
def expected_search():
    with dask.config.set(scheduler="synchronous"):
        return searched(in_chunks()[:6000])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    frame = pd.DataFrame(overlapping(21_000, 4), columns=list("abcd"))
    for i in range(7):
        frame[3000 * i : 3000 * i + 3000].to_parquet(folder / f"{i}.parquet", row_group_size=700)
    return folder


@pytest.fixture(scope="module")
def expected_of_files(files):
    dataset = open_dataset(files)
    with dask.config.set(scheduler="synchronous"):
        return bits(dataset), bits(dataset, acceleration="squarem", max_iter=20)


@pytest.fixture(scope="module")
def workers():
    """Two processes, each of which is started anew where a test kills it."""
    with cluster_of(n_workers=2) as cluster:
        yield cluster


@pytest.fixture
def client(workers):
    with Client(workers) as client:
        client.wait_for_workers(2, timeout=200)
        yield client


def killing(client, killed):
    """A callback that kills a worker after the second pass, and notes its process."""

    def kill_one(state):
        if state.iteration == 2:
            pids = client.run(os.getpid)
            killed.append(pids[min(pids)])
            os.kill(killed[0], signal.SIGKILL)

    return kill_one


# --- in this process


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheduler", "kind"),
    [*(("threads", kind) for kind in KINDS), (None, "full"), ("synchronous", "diag")],
)
def test_no_scheduler_changes_a_bit(kind, scheduler, expected):
    with dask.config.set(scheduler=scheduler):
        assert bits(in_chunks(), kind) == expected[kind]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_no_number_of_threads_changes_a_bit(workers, expected):
    with dask.config.set(scheduler="threads", num_workers=workers):
        assert bits(in_chunks()) == expected["full"]


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_no_setting_of_blas_threads_changes_a_bit(threads, expected):
    with threadpool_limits(threads):
        for kind in KINDS:
            assert bits(in_chunks(), kind) == expected[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_with_tasks_of_their_own_change_no_bit(kind, expected):
    zero = da.from_delayed(dask.delayed(float)(0), shape=(), dtype=float)
    shared = in_chunks() + zero  # every chunk waits for one task, so none is inlined
    assert bits(shared, kind) == expected[kind]


def test_a_persisted_array_changes_no_bit(expected):
    assert bits(in_chunks().persist()) == expected["full"]


@pytest.mark.slow
def test_a_random_state_that_is_used_up_alike_gives_the_same_bits():
    X = in_chunks()
    one, other = (bits(X, random_state=np.random.RandomState(3)) for _ in range(2))
    assert one == other


@pytest.mark.slow
def test_numpy_rows_in_parts_have_the_bits_of_the_same_parts_on_any_scheduler():
    rows = np.tile(overlapping(21_000, 4), (24, 1))  # four parts of 4 MiB
    with dask.config.set(scheduler="synchronous"):
        alone = bits(rows, max_iter=2, init_params="random_from_data")
    assert bits(rows, max_iter=2, init_params="random_from_data") == alone


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wide_and_tight_data_keep_their_bits_too(dtype):
    rows = overlapping(3000, 4).astype(dtype)
    rows[::2] = 1 + rows[::2] / 2**19  # tight: the exact kernel, and second passes
    X = da.from_array(rows, chunks=(700, 4))
    with dask.config.set(scheduler="synchronous"):
        alone = bits(X, reg_covar=1e-14)
    assert bits(X, reg_covar=1e-14) == alone


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 8])
def test_no_number_of_threads_changes_a_bit_of_a_selection(workers, expected_selection):
    with dask.config.set(scheduler="threads", num_workers=workers):
        assert selected(in_chunks()) == expected_selection


@pytest.mark.slow
def test_no_number_of_threads_changes_a_bit_of_a_search(expected_search):
    with dask.config.set(scheduler="threads", num_workers=3), threadpool_limits(4):
        assert searched(in_chunks()[:6000]) == expected_search


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_trials_keep_their_bits(kind):
    """Whether one is refused hangs on the last digits of a bound."""
    options = {"acceleration": "squarem", "init_params": "random", "max_iter": 40}
    with dask.config.set(scheduler="synchronous"):
        alone = bits(in_chunks(), kind, **options)
    assert bits(in_chunks(), kind, **options) == alone


# --- on clusters


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({"n_workers": 1}, ["full"]),
        ({"n_workers": 3}, KINDS),
        ({"n_workers": 2, "threads_per_worker": 3}, ["tied"]),
        ({"processes": False, "n_workers": 2, "threads_per_worker": 2}, ["diag"]),
    ],
    ids=["1 process", "3 processes", "2 x 3 threads", "threads only"],
)
def test_no_cluster_changes_a_bit(
    options, kinds, expected, expected_selection, expected_of_files, files
):
    dataset, (from_files, accelerated) = open_dataset(files), expected_of_files
    with running(**options):
        for kind in kinds:
            assert bits(in_chunks(), kind) == expected[kind]
        assert bits(in_chunks().persist()) == expected["full"]
        assert bits(dataset) == from_files
        assert selected(in_chunks()) == expected_selection
        assert bits(dataset, acceleration="squarem", max_iter=20) == accelerated


@pytest.mark.slow
def test_no_number_of_workers_changes_a_bit_of_a_search(expected_search):
    with running(n_workers=3):
        assert searched(in_chunks()[:6000]) == expected_search


@pytest.mark.slow
@pytest.mark.parametrize("persisted", [False, True])
def test_a_worker_killed_in_the_middle_changes_no_bit(client, persisted, expected):
    killed = []
    X = in_chunks()
    if persisted:
        X = X.persist()
    assert bits(X, callbacks=[killing(client, killed)]) == expected["full"]
    assert len(killed) == 1
    client.wait_for_workers(1, timeout=200)


@pytest.mark.slow
def test_a_worker_killed_within_a_pass_changes_no_bit(client, expected, tmp_path):
    marker = tmp_path / "killed"

    def die_once(block):
        # The first worker to see the largest chunk in an EM pass dies with it, once.
        if len(block) == 12_000 and (tmp_path / "armed").exists() and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    def arm(state):
        (tmp_path / "armed").touch()

    X = in_chunks().map_blocks(die_once, dtype=float, meta=np.empty((0, 4)))
    assert bits(X, callbacks=[arm]) == expected["full"]
    assert marker.exists()


@pytest.mark.slow
def test_a_worker_killed_in_a_selection_changes_no_bit(client, expected_selection):
    killed = []
    found = selected(in_chunks().persist(), callbacks=[killing(client, killed)])
    assert found == expected_selection
    assert len(killed) == 1
    client.wait_for_workers(1, timeout=200)


# --- the compiled kernel, which so few rows would not get


@pytest.mark.slow
def test_the_compiled_kernel_keeps_its_bits_as_well(monkeypatch):
    monkeypatch.setattr("daskgmm.passes.cost.FIT_WORTH_COMPILING", 0)
    with dask.config.set(scheduler="synchronous"):
        alone = {kind: bits(in_chunks(), kind) for kind in KINDS}
    for scheduler in (None, "threads"):
        with dask.config.set(scheduler=scheduler):
            assert {kind: bits(in_chunks(), kind) for kind in KINDS} == alone
    with running(n_workers=2):
        assert {kind: bits(in_chunks(), kind) for kind in KINDS} == alone
