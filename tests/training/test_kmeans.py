"""k-means, beside scikit-learn's on the same rows and seeds."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.cluster import KMeans, kmeans_plusplus

from daskgmm.training import kmeans

SHAPES = [(3000, 2, 3), (1000, 10, 12), (500, 1, 4), (60, 5, 40), (7, 3, 7), (2000, 4, 1)]


def rows_of(n, n_features, n_clusters, seed, off):
    """Overlapping clusters of unequal columns, some way off the origin."""
    rng = np.random.default_rng(seed)
    centres = 2 * rng.normal(size=(n_clusters, n_features))
    rows = centres[rng.integers(n_clusters, size=n)] + rng.normal(size=(n, n_features))
    return rows * rng.uniform(0.1, 3, n_features) + off, rng.uniform(0, 2, n)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("off", [0, 1e3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_clusters_and_far_rows_are_scikit_learns(shape, seed, off, weighted):
    rows, weights = rows_of(*shape, seed, off)
    weights = weights if weighted else None
    k, random = shape[2], np.random.RandomState
    theirs = KMeans(k, n_init=1, random_state=seed).fit(rows, sample_weight=weights)
    assert_array_equal(kmeans.cluster(rows, k, random(seed), weights), theirs.labels_)
    centred = rows - rows.mean(axis=0)
    _, far = kmeans_plusplus(centred, k, sample_weight=weights, random_state=seed)
    assert_array_equal(kmeans.far_rows(rows, k, random(seed), weights), far)


def test_a_cluster_that_loses_its_rows_gets_the_one_farthest_from_its_centre():
    x = np.array([[0.0], [1.0], [2.0], [9.0]])
    labels, centres = np.zeros(4, np.int64), np.array([[1.0], [50.0]])
    means = kmeans.means(x, np.ones(4), labels, centres)
    assert_array_equal(means, [[1.0], [9.0]])


def test_rows_that_coincide_leave_clusters_empty():
    rows = np.repeat([[1.0, 2.0], [5.0, 5.0]], 10, axis=0)
    labels = kmeans.cluster(rows, 4, np.random.RandomState(0), None)
    assert len(np.unique(labels[:10])) == len(np.unique(labels[10:])) == 1
    assert labels[0] != labels[-1]
    assert len(np.unique(kmeans.cluster(rows[:10], 3, np.random.RandomState(0), None))) == 1


def test_rows_are_compared_with_any_number_of_centres_at_a_time(monkeypatch):
    rows, _ = rows_of(500, 3, 5, 0, 0)
    whole = kmeans.cluster(rows, 5, np.random.RandomState(0), None)
    monkeypatch.setattr(kmeans, "_DISTANCES", 28)
    assert_array_equal(kmeans.cluster(rows, 5, np.random.RandomState(0), None), whole)


def test_single_precision_is_clustered_in_double():
    rows, _ = rows_of(800, 3, 5, 1, 1e3)
    rows = rows.astype(np.float32)
    found = kmeans.cluster(rows, 5, np.random.RandomState(0), None)
    assert_array_equal(found, kmeans.cluster(rows.astype(float), 5, np.random.RandomState(0), None))
