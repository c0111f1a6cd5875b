"""Clusters of joined finer ones, beside SciPy's method of Ward and clusters that are known."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.cluster.hierarchy import fcluster, linkage

from daskgmm.training.kmeans import cluster
from daskgmm.training.ward import joined_clusters, ward


def apart(n_clusters, n_features, rows_each, seed=0):
    """Rows of clusters that do not overlap, and the cluster of each."""
    random = np.random.default_rng(seed)
    centres = 6.0 * random.normal(size=(n_clusters, n_features))
    labels = np.repeat(np.arange(n_clusters), rows_each)
    rows = centres[labels] + random.normal(size=(len(labels), n_features))
    order = random.permutation(len(rows))
    return rows[order], labels[order]


def alike(one, other):
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


@pytest.mark.parametrize(
    ("m", "n_features", "n_clusters"), [(2, 1, 1), (30, 2, 5), (300, 5, 40), (9, 3, 9), (50, 4, 1)]
)
def test_clusters_of_equal_mass_are_joined_as_scipy_joins_them(m, n_features, n_clusters):
    centres = np.random.default_rng(0).normal(size=(m, n_features)) + 1.0
    theirs = fcluster(linkage(centres, "ward"), n_clusters, "maxclust")
    assert alike(ward(centres, np.ones(m), n_clusters), theirs)


@pytest.mark.parametrize("seed", range(3))
def test_a_cluster_counts_as_many_times_as_it_has_rows(seed):
    random = np.random.default_rng(seed)
    centres, masses = random.normal(size=(40, 3)), random.integers(1, 6, 40)
    copies = np.repeat(np.arange(40), masses)
    theirs = fcluster(linkage(centres[copies], "ward"), 7, "maxclust")
    assert alike(ward(centres, masses, 7)[copies], theirs)


@pytest.mark.parametrize(("m", "n_features", "seed"), [(7, 8, 401), (27, 28, 139), (13, 64, 899)])
def test_equal_distances_are_joined_whatever_rounding_makes_of_them(m, n_features, seed):
    """Products of these differ in their last digits by where a row stands in an array."""
    random = np.random.default_rng(seed)
    turned = np.linalg.qr(random.normal(size=(n_features, m)))[0]
    centres = np.ascontiguousarray(turned.T) * random.uniform(0.5, 5)
    labels = ward(centres - centres.mean(axis=0), np.ones(m), 3)
    assert set(labels) == {0, 1, 2}


@pytest.mark.parametrize("weight", [1e-310, 1e-160, 1e160, 1e300])
def test_weights_of_any_size_make_the_same_clusters(weight):
    rows, _ = apart(30, 3, 20)
    found, ours = (
        joined_clusters(rows, 24, np.random.RandomState(0), np.full(600, one))
        for one in (1.0, weight)
    )
    assert alike(found, ours)


def test_weights_beside_which_others_are_nothing_leave_those_out():
    rows = np.random.default_rng(0).normal(size=(40, 3))
    weights = np.where(np.arange(40) < 30, 1e-310, 1e15)
    labels = joined_clusters(rows, 24, np.random.RandomState(0), weights)
    assert len(set(labels[30:])) == 10


def test_clusters_without_rows_are_joined_at_no_cost():
    centres = np.array([[0.0], [1.0], [10.0], [50.0]])
    labels = ward(centres, np.array([1.0, 1.0, 1.0, 0.0]), 2)
    assert labels[0] == labels[1] != labels[2]


def test_clusters_apart_are_all_found_where_k_means_misses_some():
    missed = 0
    for seed in range(4):
        rows, labels = apart(60, 10, 40, seed)
        found, ours = (
            way(rows, 60, np.random.RandomState(seed), None) for way in (cluster, joined_clusters)
        )
        assert alike(ours, labels)
        missed += not alike(found, labels)
    assert missed > 2


def test_rows_of_no_weight_do_not_count():
    rows, labels = apart(8, 4, 50)
    weights = np.where(labels < 4, 0.0, 1.0)
    found = joined_clusters(rows, 4, np.random.RandomState(0), weights)
    assert alike(found[labels >= 4], labels[labels >= 4])


@pytest.mark.parametrize("n_clusters", [1, 3, 5, 12])
def test_few_different_rows_make_clusters_of_equal_rows(n_clusters):
    rows = np.repeat([[1.0, 2.0], [5.0, 5.0], [9.0, 0.0]], 10, axis=0)
    labels = joined_clusters(rows, n_clusters, np.random.RandomState(0), None)
    assert labels.max() < n_clusters
    groups = labels.reshape(3, 10)
    assert (groups == groups[:, :1]).all()
    assert len(set(groups[:, 0])) == min(n_clusters, 3)


def test_the_same_seed_finds_the_same_clusters_in_either_precision():
    rows, _ = apart(30, 3, 20)
    single = rows.astype(np.float32)
    found, again = (joined_clusters(single, 30, np.random.RandomState(5), None) for _ in "ab")
    assert_array_equal(found, again)
    double = joined_clusters(single.astype(float), 30, np.random.RandomState(5), None)
    assert_array_equal(found, double)
