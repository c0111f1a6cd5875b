"""Components joined into clusters by entropy and by overlap."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.questions.merging import _joined, by_entropy, by_overlap, elbow
from tests.support.mixtures import FULL, matrices_of, random_mixture


def entropy(t):
    return -np.sum(t * np.log(np.where(t > 0, t, 1)), axis=1)


def naive(t, weights):
    """The algorithm as the paper has it: every pair's entropy anew at each step."""
    clusters = [(k,) for k in range(t.shape[1])]
    values = [weights @ entropy(t)]
    while len(clusters) > 1:
        found = {}
        for pair in combinations(range(len(clusters)), 2):
            rest = np.delete(t, pair, axis=1)
            found[pair] = np.column_stack([rest, t[:, list(pair)].sum(axis=1)])
        pair = min(found, key=lambda each: weights @ entropy(found[each]))
        t = found[pair]
        values.append(weights @ entropy(t))
        first, second = (clusters[at] for at in pair)
        clusters = [c for c in clusters if c not in (first, second)] + [first + second]
        yield {tuple(sorted(c)) for c in clusters}, values[-1] / weights.sum()


def sets_of(path, n):
    labels = path.clusters(n)
    return {tuple(np.flatnonzero(labels == c).tolist()) for c in range(n)}


@pytest.mark.parametrize("weighted", [False, True])
def test_the_path_is_that_of_the_paper(weighted):
    random = np.random.default_rng(0)
    t = random.dirichlet(np.full(7, 0.3), 400)
    t[:50, 3:] = 0
    t /= t.sum(axis=1, keepdims=True)
    weights = random.random(400) if weighted else np.ones(400)
    path = by_entropy(t, weights if weighted else None)
    assert_allclose(path.values[0], weights @ entropy(t) / weights.sum(), rtol=1e-12)
    for n, (clusters, value) in zip(range(6, 0, -1), naive(t, weights), strict=True):
        assert sets_of(path, n) == clusters
        assert_allclose(path.values[7 - n], value, rtol=1e-9, atol=1e-12)


def test_entropy_never_rises_and_ends_at_nothing():
    t = np.random.default_rng(1).dirichlet(np.full(9, 0.2), 300)
    values = np.array(by_entropy(t).values)
    assert (np.diff(values) <= 1e-15).all()
    assert values[-1] == 0


def test_rows_of_weight_zero_and_repeated_rows_count_as_weights_say():
    t = np.random.default_rng(2).dirichlet(np.full(5, 0.3), 60)
    counts = np.random.default_rng(3).integers(0, 4, 60)
    one, other = by_entropy(t, counts.astype(float)), by_entropy(np.repeat(t, counts, axis=0))
    assert one.joined == other.joined
    assert_allclose(one.values, other.values, rtol=1e-10, atol=1e-14)


def test_components_that_share_rows_are_joined_first_and_the_elbow_is_there():
    """As the paper's first example: six components where there are four clusters."""
    random = np.random.default_rng(4)
    centres = np.array([[0, 0], [0.3, 0], [9, 0], [9.3, 0], [0, 9], [9, 9]], dtype=float)
    mixture = Mixture.from_covariances(
        FULL, np.full(6, 1 / 6), centres, np.tile(np.eye(2), (6, 1, 1))
    )
    rows = np.concatenate([random.normal(size=(200, 2)) + centre for centre in centres])
    logits = -((rows[:, None] - centres) ** 2).sum(axis=2) / 2
    t = np.exp(logits - logits.max(axis=1, keepdims=True))
    for path in (by_entropy(t / t.sum(axis=1, keepdims=True)), by_overlap(mixture)):
        assert path.n_clusters == 4
        assert_array_equal(path.clusters(4), [0, 0, 1, 1, 2, 3])
        assert_array_equal(path.clusters(6), range(6))
        assert_array_equal(path.clusters(1), np.zeros(6))


def test_the_elbow_is_where_two_lines_meet():
    values = [1.0, 2, 3, 4, 14, 24, 34]  # for 1 to 7 clusters
    assert elbow(tuple(values[::-1])) == 4
    assert [elbow(tuple(values[:n][::-1])) for n in (1, 2)] == [1, 2]


def test_joins_by_overlap_are_of_the_clusters_own_means_and_covariances(covariance):
    mixture = random_mixture(covariance, n_components=6)
    path = by_overlap(mixture)
    assert len(path.joined) == 5
    assert np.isnan(path.values[0])
    assert sets_of(path, 1) == {tuple(range(6))}
    assert path.clusters(path.n_clusters).max() + 1 == path.n_clusters


def test_one_component_is_one_cluster(covariance):
    mixture = random_mixture(covariance, n_components=1)
    for path in (by_entropy(np.ones((5, 1))), by_overlap(mixture)):
        assert (path.joined, path.n_clusters) == ((), 1)
        assert_array_equal(path.clusters(1), [0])


def test_components_too_far_for_a_distance_are_joined_last(covariance):
    small = Frame(np.zeros(3), np.full(3, 1e-10))
    mixture = random_mixture(covariance, n_components=3).outside(small)
    means = mixture.means + np.array([0, 0, 1e150])[:, None]
    far = Mixture(covariance, mixture.weights, means, mixture.covariances, mixture.factors)
    path = by_overlap(far)
    assert set(path.joined[0]) == {(0,), (1,)}
    assert path.n_clusters >= 2


def test_a_joined_cluster_has_the_mean_and_covariance_of_both(covariance):
    mixture = random_mixture(covariance, n_components=3)
    found, (w, pair) = (
        _joined(mixture.with_covariance(FULL), 0, 2),
        (mixture.weights[[0, 2]], [0, 2]),
    )
    matrices = matrices_of(mixture)[pair]
    mean = w @ mixture.means[pair] / w.sum()
    second = [m + np.outer(x, x) for m, x in zip(matrices, mixture.means[pair], strict=True)]
    expected = np.einsum("k,kij->ij", w / w.sum(), second) - np.outer(mean, mean)
    assert_allclose(found.weights, [w.sum(), mixture.weights[1]])
    assert_allclose(found.means[0], mean, rtol=1e-12)
    assert_allclose(found.covariances[0], expected, rtol=1e-10, atol=1e-13)
    found.require_sound()


def test_narrow_clusters_far_apart_are_joined_by_what_is_near():
    """Their covariance together is singular in double precision."""
    means = np.array([[0.0, 0], [1e-9, 0], [1, 0], [1, 1e-9]])
    matrices = np.tile(np.eye(2) * 1e-18, (4, 1, 1))
    path = by_overlap(Mixture.from_covariances(FULL, np.full(4, 0.25), means, matrices))
    assert path.n_clusters == 2
    assert_array_equal(path.clusters(2), [0, 0, 1, 1])
    assert np.isfinite(path.values[1:]).all()
