"""Starts from dask-ml's k-means over all rows."""

import importlib.util
from functools import cache

import dask
import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin_min

from daskgmm import GaussianMixture
from daskgmm.data.containers.arrays import from_numpy
from daskgmm.errors import ConfigurationError, DataError
from daskgmm.model.frame import Frame
from daskgmm.passes.kmeans import AllRows
from tests.support.rows import overlapping

WAY = {"init_params": "k-means||", "random_state": 0}


def blobs(seed=0):
    return overlapping(6000, 3, seed, n_clusters=6, spread=4)


def in_chunks(rows, chunks=(1000, 0, 1, 2999, 2000)):
    return da.from_array(rows, chunks=(chunks, rows.shape[1]))


def centres_of(rows, seed=0, n_clusters=6, weights=None):
    source = from_numpy(rows, weights)
    all_rows = AllRows(source, source.lengths, weights is not None)
    frame = Frame.around(rows.mean(axis=0), np.full(3, rows.std()), rows.dtype)
    return all_rows.centres(frame, n_clusters, seed)


def inertia(rows, centres):
    return (pairwise_distances_argmin_min(rows, centres)[1] ** 2).sum()


def parameters(model):
    names = ("weights_", "means_", "covariances_", "lower_bounds_")
    return b"".join(np.asarray(getattr(model, name)).tobytes() for name in names)


@pytest.mark.parametrize(
    ("seed", "dtype"), [(0, np.float32), (1, np.float64), (2, np.float32), (3, np.float64)]
)
@pytest.mark.slow
def test_its_centres_are_as_good_as_those_of_one_run_of_scikit_learns(seed, dtype):
    rows = blobs(seed=seed).astype(dtype)
    centres, _ = centres_of(rows, seed)
    single = [KMeans(6, n_init=1, random_state=i).fit(rows).inertia_ for i in range(10)]
    assert inertia(rows, centres) <= 1.02 * max(single)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [2.0**-30, 2.0**30])
def test_units_and_places_change_no_centre(factor):
    rows = blobs()
    centres, passes = centres_of(rows)
    moved, as_many = centres_of(factor * rows)
    assert_allclose(moved / factor, centres, rtol=1e-12)
    assert passes == as_many


@pytest.mark.slow
def test_rows_of_weight_zero_are_left_out():
    rows = blobs()
    strange = np.concatenate([rows, np.full((4000, 3), 1e3)])
    counted = np.r_[np.ones(len(rows)), np.zeros(4000)]
    centres, _ = centres_of(strange, weights=counted)
    assert centres.max() < 50
    frame = Frame.identity(3)
    source = from_numpy(strange, counted)
    assert_array_equal(AllRows(source, source.lengths, True).standard(frame).compute(), rows)  # noqa: FBT003


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_on_any_scheduler_and_another_seed_does_not():
    rows = blobs(seed=3)
    found = set()
    for scheduler in ("synchronous", "threads", None):
        with dask.config.set(scheduler=scheduler):
            found.add(parameters(GaussianMixture(6, **WAY).fit(in_chunks(rows))))
    assert len(found) == 1
    other = GaussianMixture(6, init_params="k-means||", random_state=1).fit(in_chunks(rows))
    assert parameters(other) not in found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_of_any_size_gives_the_same_bits():
    from distributed import Client, LocalCluster

    rows = blobs()
    options = {**WAY, "n_init": 2, "acceleration": "squarem", "tol": 1e-5}
    alone = parameters(GaussianMixture(6, **options).fit(in_chunks(rows)))
    for workers in (1, 2):
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=2, dashboard_address=":0"
            ) as cluster,
            Client(cluster),
        ):
            assert parameters(GaussianMixture(6, **options).fit(in_chunks(rows))) == alone


@cache
def bound_of_five_starts(covariance_type):
    """What the best of five common starts comes to."""
    model = GaussianMixture(6, covariance_type=covariance_type, n_init=5, random_state=0)
    return model.fit(blobs()).lower_bound_


@pytest.mark.parametrize(
    ("covariance_type", "subsample"),
    [("full", "auto"), ("full", None), ("tied", 1000), ("diag", None), ("spherical", "auto")],
)
@pytest.mark.slow
def test_a_fit_from_it_finds_the_blobs_whatever_the_sample(covariance_type, subsample):
    model = GaussianMixture(6, covariance_type=covariance_type, subsample=subsample, **WAY)
    found = model.fit(in_chunks(blobs())).lower_bound_
    assert found > bound_of_five_starts(covariance_type) - 0.2
    assert model.converged_


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_all_passes_are_counted_as_far_as_dask_ml_tells(weighted, monkeypatch):
    """Reads of a part, counted where parts are read, against what the model says."""
    reads = []
    rows = blobs()
    parts = len(from_numpy(rows).parts)
    original = type(from_numpy(rows).parts[0]).read

    def counting(self, *inputs):
        reads.append(self.first)
        yield from original(self, *inputs)

    monkeypatch.setattr(type(from_numpy(rows).parts[0]), "read", counting)
    weights = np.ones(len(rows)) if weighted else None
    with dask.config.set(scheduler="synchronous"):
        model = GaussianMixture(6, **WAY).fit(rows, sample_weight=weights)
    made = len(reads) / parts
    assert made <= model.n_passes_ + 2
    assert model.n_passes_ <= made + 8  # single rows are fetched, and few of its rounds needed


@pytest.mark.slow
def test_starts_that_are_given_whole_or_gone_on_from_need_none():
    rows = blobs()
    first = GaussianMixture(6, **WAY).fit(rows)
    assert first.n_passes_ > 10
    given = {
        "weights_init": first.weights_, "means_init": first.means_,
        "precisions_init": first.precisions_,
    }  # fmt: skip
    again = GaussianMixture(6, **WAY, **given).fit(rows)
    assert again.n_passes_ == again.n_iter_ + 1
    first.set_params(warm_start=True).fit(rows)
    assert first.n_passes_ == first.n_iter_ + 1


def test_bad_rows_are_told_before_dask_ml_sees_them():
    rows = blobs()
    rows[1500, 1] = np.nan
    with pytest.raises(DataError, match="partition 3"):
        GaussianMixture(6, **WAY).fit(in_chunks(rows))
    with pytest.raises(DataError, match="n_components = 6"):
        GaussianMixture(6, **WAY).fit(rows[:5])


def test_without_dask_ml_the_error_says_how_to_install_it(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "daskgmm.passes.kmeans.find_spec",
        lambda name: None if name == "dask_ml" else found(name),
    )
    with pytest.raises(ConfigurationError, match=r"not installed.*daskgmm\[kmeans\]"):
        GaussianMixture(2, **WAY).fit(blobs())


@pytest.mark.slow
def test_few_distinct_rows_are_enough():
    rows = np.repeat(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), 50, axis=0)
    with pytest.warns(UserWarning, match="Feature 1, feature 2 are constant"):
        model = GaussianMixture(2, **WAY).fit(rows)
    assert_allclose(np.sort(model.means_[:, 0]), [0, 1], atol=1e-6)
