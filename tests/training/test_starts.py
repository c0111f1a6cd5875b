"""Where EM starts."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.metrics import adjusted_rand_score

from daskgmm.errors import CollapsedComponentError, ConfigurationError
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.training import initialisation
from daskgmm.training.em import EMSettings
from daskgmm.training.initialisation import INITIALISERS, initialiser_named
from daskgmm.training.search_progress import SearchRecorder
from daskgmm.training.starts import MOST_POLISHED, StartPlan, StartValues, most_promising
from daskgmm.training.states import FitState, StopReason, Trace
from daskgmm.training.stopping import stopping_named
from tests.support import reference

DOUBLE = np.dtype(np.float64)
every_way = pytest.mark.parametrize("name", [name for name, way in INITIALISERS.items() if way])


def blobs(n=300, k=4, n_features=2, width=0.3, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(n) % k
    centres = 10 * np.stack([np.cos(np.arange(k)), np.sin(np.arange(k))], axis=1)
    centres = np.tile(centres, (1, (n_features + 1) // 2))[:, :n_features]
    return centres[labels] + width * random.normal(size=(n, n_features)), labels


def recipe(n_features=2, *, ridge=1e-6, max_iter=50, tol=1e-3):
    return EMSettings(
        tol,
        max_iter,
        stopping_named("lower_bound"),
        np.full(n_features, ridge),
        np.ones(n_features),
        DOUBLE,
    )


def plan(name="kmeans", *, kind="full", n_components=4, n_init=1, given=None):
    return StartPlan(
        COVARIANCES[kind], n_components, n_init, initialiser_named(name), given or StartValues()
    )


def starts(made, rows, *, seed=0, weights=None, fit_on_sample=False, **options):
    return made.starts(
        rows,
        weights,
        Frame.identity(rows.shape[1]),
        recipe(rows.shape[1], **options),
        np.random.RandomState(seed),
        fit_on_sample=fit_on_sample,
        compiled=False,
        recorder=SearchRecorder(),
    )


def drawn(way, rows, k, seed=0, weights=None):
    """Responsibilities (n, K), also of ways that find labels."""
    found = way(rows, k, np.random.RandomState(seed), weights)
    return np.eye(k)[found] if found.ndim == 1 else found


@every_way
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_responsibilities_are_shares_of_each_row_or_of_single_ones(name, weighted, dtype):
    rows, _ = blobs()
    weights = np.linspace(0, 2, len(rows)) if weighted else None
    found = drawn(initialiser_named(name), rows.astype(dtype), 4, weights=weights)
    assert found.shape == (300, 4)
    assert found.min() >= 0
    totals = found.sum(axis=1)
    if name in ("k-means++", "random_from_data"):
        assert set(totals) == {0, 1}
        assert_array_equal(found.sum(axis=0), 1)
    else:
        assert_allclose(totals, 1, rtol=1e-12)


@every_way
def test_every_way_gives_finite_starts_and_honours_the_seed(covariance_type, name):
    rows, _ = blobs()
    made = plan(name, kind=covariance_type)
    one, same, other = (starts(made, rows, seed=seed)[0].mixture for seed in (0, 0, 1))
    for value in (one.weights, one.means, one.covariances, one.factors):
        assert np.isfinite(value).all()
    assert_allclose(one.weights.sum(), 1, rtol=1e-12)
    assert_array_equal(one.means, same.means)
    assert_array_equal(one.covariances, same.covariances)
    if name not in ("kmeans", "hierarchical"):  # those find the blobs from any seed
        assert np.abs(one.means - other.means).max() > 1e-3


def test_the_shared_ways_draw_as_scikit_learn_draws():
    rows, _ = blobs()
    state = np.random.RandomState
    ours = {name: drawn(way, rows, 4, 7) for name, way in INITIALISERS.items() if way}
    labels = KMeans(4, n_init=1, random_state=state(7)).fit(rows).labels_
    assert_array_equal(ours["kmeans"].argmax(axis=1), labels)
    _, chosen = kmeans_plusplus(rows, 4, random_state=state(7))
    assert_array_equal(ours["k-means++"].argmax(axis=0), chosen)
    uniform = state(7).uniform(size=(300, 4))
    assert_array_equal(ours["random"], uniform / uniform.sum(axis=1, keepdims=True))
    chosen = state(7).choice(300, size=4, replace=False)
    assert_array_equal(ours["random_from_data"].argmax(axis=0), chosen)


def test_rows_join_the_nearest_centre_however_many_are_compared_at_a_time(monkeypatch):
    rows, labels = blobs()
    centres = np.stack([rows[labels == k].mean(axis=0) for k in range(4)])
    whole = initialisation.Nearest(centres)(rows, 4, np.random.RandomState(0), None)
    monkeypatch.setattr(initialisation, "_DISTANCES", 28)
    few = initialisation.Nearest(centres)(rows, 4, np.random.RandomState(0), None)
    assert_array_equal(whole, labels)
    assert_array_equal(few, labels)


@pytest.mark.slow
@pytest.mark.parametrize("n", [300, 9000])
@pytest.mark.parametrize("n_components", [1, 2, 4])
def test_hierarchical_recovers_separated_blobs(n, n_components):
    rows, labels = blobs(n, n_components)
    found = drawn(initialisation.hierarchical, rows, n_components)
    assert adjusted_rand_score(labels, found.argmax(axis=1)) == 1
    assert_array_equal(found.sum(axis=1), 1)


@every_way
def test_there_may_be_one_row_for_each_component(name):
    rows, _ = blobs(4)
    found = drawn(initialiser_named(name), rows, 4)
    expected = 1 if name != "random" else None
    assert found.shape == (4, 4)
    if expected:
        assert_array_equal(np.sort(found.argmax(axis=1)), np.arange(4))


@pytest.mark.parametrize("name", ["random_from_data", "k-means++"])
def test_rows_of_weight_zero_are_not_chosen(name):
    rows, _ = blobs()
    weights = np.zeros(300)
    weights[:10] = 1
    found = drawn(initialiser_named(name), rows, 4, weights=weights)
    assert found.argmax(axis=0).max() < 10


def test_an_unknown_way_is_named_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'magic'.*kmeans.*hierarchical"):
        initialiser_named("magic")


# --- given values


def test_what_is_given_is_taken_as_it_is(covariance_type):
    rows, _ = blobs()
    wanted = reference.random_mixture(covariance_type, 4, 2)
    precisions = wanted.covariance.precisions(wanted.factors)
    whole = StartValues(wanted.weights, wanted.means, precisions)
    (trace,) = starts(plan(kind=covariance_type, given=whole), rows)
    assert_array_equal(trace.mixture.weights, wanted.weights)
    assert_array_equal(trace.mixture.means, wanted.means)
    assert_allclose(trace.mixture.covariances, wanted.covariances, rtol=1e-10, atol=1e-12)
    found = starts(plan(kind=covariance_type), rows)[0].mixture
    for given, names in [
        (StartValues(weights=wanted.weights), ("weights",)),
        (StartValues(means=wanted.means), ("means",)),
        (StartValues(precisions=precisions), ("covariances",)),
        (StartValues(wanted.weights, wanted.means), ("weights", "means")),
    ]:
        (trace,) = starts(plan(kind=covariance_type, given=given), rows)
        for name in ("weights", "means", "covariances"):
            expected = getattr(wanted if name in names else found, name)
            assert_allclose(getattr(trace.mixture, name), expected, rtol=1e-10, atol=1e-12)


def test_given_values_enter_the_frame(covariance_type):
    wanted = reference.random_mixture(covariance_type, 4, 2)
    scale = wanted.covariance.compatible_scale(np.array([4.0, 0.5]))
    frame = Frame(np.array([1.0, -2.0]), scale)
    whole = StartValues(wanted.weights, wanted.means, wanted.covariance.precisions(wanted.factors))
    inside = whole.override(None, wanted.covariance, frame)
    outside = inside.outside(frame)
    assert_allclose(outside.means, wanted.means, rtol=1e-12)
    assert_allclose(outside.covariances, wanted.covariances, rtol=1e-10, atol=1e-12)


# --- starts on a sample


def test_fitted_on_the_sample_a_start_is_where_em_on_it_ends():
    rows, labels = blobs(k=3)
    made = plan("random", n_components=3)
    (fresh,) = starts(made, rows)
    (fitted,) = starts(made, rows, fit_on_sample=True, max_iter=200, tol=1e-6)
    assert fitted.lower_bounds == ()  # full passes begin anew
    assert fitted.stopped is None
    spread = [np.ptp(trace.mixture.means, axis=0).max() for trace in (fresh, fitted)]
    assert spread[1] > 5 * spread[0]
    means = fitted.mixture.means
    nearest = ((rows[:, np.newaxis] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert adjusted_rand_score(labels, nearest) == 1


@pytest.mark.parametrize("fit_on_sample", [False, True])
def test_as_many_starts_as_asked_for_and_few_after_the_sample(fit_on_sample):
    rows, _ = blobs(width=3.0)
    made = plan("random", n_init=8)
    found = starts(made, rows, fit_on_sample=fit_on_sample)
    assert len(found) == 8 if not fit_on_sample else 1 <= len(found) <= MOST_POLISHED


def test_the_most_promising_starts_are_the_best_and_distinct():
    mixture = reference.random_mixture("full", 1, 1)

    def ended(bound, stopped=StopReason.CONVERGED):
        return Trace(mixture, lower_bounds=(bound,), stopped=stopped)

    bounds = [-5.0, -1.0, -3.0, -1.0 - 1e-4, -2.0, -1.0 + 1e-4, -4.0]
    traces = (*map(ended, bounds), ended(0.0, StopReason.COLLAPSED))
    chosen = most_promising(FitState(1, traces, 1, 0.0), tol=1e-3)
    assert [trace.lower_bound for trace in chosen] == [-1.0 + 1e-4, -2.0, -3.0, -4.0, -5.0]
    assert MOST_POLISHED == 3
    assert len(most_promising(FitState(1, traces[:2], 1, 0.0), tol=10.0)) == 1


def test_a_start_that_collapses_at_once_is_dropped_and_told(caplog):
    rows = np.zeros((40, 2))
    rows[0] = [1, 2]
    with pytest.raises(CollapsedComponentError):
        starts(plan("random_from_data", n_init=2, n_components=2), rows, ridge=0.0)
    assert "given up before its first pass" in caplog.text


def test_hierarchical_gives_fewer_clusters_than_asked_for_where_rows_are_equal():
    rows = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    found = initialisation.hierarchical(rows, 3, np.random.RandomState(0), None)
    assert_array_equal(np.sort(np.bincount(found, minlength=3)), [0, 10, 10])
