"""The search for a start: moves, spurious components, units and numbers of starts."""

import gc
import tracemalloc
import weakref
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans

from daskgmm import GaussianMixture, GaussianMixtureSelector
from daskgmm.errors import CollapsedComponentError
from daskgmm.fitting.settings import Candidate, Settings
from daskgmm.jobs.planning.source import imagined
from daskgmm.model import parallel
from daskgmm.model.assignment import moments_under
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.mixture import Mixture, joined
from daskgmm.model.noise import Noise
from daskgmm.model.parallel import Lender, helped
from daskgmm.training.em import EMSettings
from daskgmm.training.in_memory import total_scatter
from daskgmm.training.refinement import rounds
from daskgmm.training.refinement.ends import LEFT, best_first, ended
from daskgmm.training.refinement.growth import grown
from daskgmm.training.refinement.moves import halved, promising_moves
from daskgmm.training.refinement.partial import Neighbourhoods
from daskgmm.training.refinement.rounds import Rounds
from daskgmm.training.refinement.sampled import Budget, EMRun, SampledRows
from daskgmm.training.refinement.search import Refinement, budget_for, search
from daskgmm.training.refinement.smoothing import SMOOTHING, faded, smoothed
from daskgmm.training.refinement.spurious import spurious
from daskgmm.training.stopping import stopping_named
from daskgmm.training.ward import joined_clusters
from tests.support.reference import frame_of
from tests.support.rows import correlated
from tests.support.tables import TABLES
from tests.support.truths import any_matrices
from tests.support.warned import WITH_SMALL_COMPONENTS

DOUBLE = np.dtype(np.float64)
PLENTY = 1e10


def sample_of(rows, kind="full", *, ridge=0.0, weights=None, budget=PLENTY):
    frame, covariance = frame_of(rows, kind), COVARIANCES[kind]
    settings = EMSettings(
        1e-3,
        100,
        stopping_named("lower_bound"),
        ridge / frame.scale**2,
        rows.std(axis=0) / frame.scale,
        DOUBLE,
    )
    scatter = total_scatter(rows, weights, frame) if covariance.needs_scatter else None
    return SampledRows(rows.T, weights, frame, settings, scatter, Budget(budget))


def of_labels(sample, labels, kind):
    """The mixture whose components are labelled rows."""
    shares = (labels == np.unique(labels)[:, np.newaxis]).astype(float)
    moments = moments_under(shares, sample.rows, sample.frame, COVARIANCES[kind])
    return sample.settings.first_mixture(COVARIANCES[kind], moments)


def trapped(kind="full", *, n=900):
    """Three far clusters, and a mixture with two components on one and one on the two others."""
    random = np.random.default_rng(0)
    clusters = np.arange(n) % 3
    rows = random.normal(size=(n, 2)) + np.array([[0, 0], [12, 0], [12, 9]])[clusters]
    sample = sample_of(rows, kind)
    labels = np.where(clusters == 0, (rows[:, 1] > 0).astype(int), 2)
    return sample, of_labels(sample, labels, kind)


def bound(sample, mixture):
    return sample.expect([mixture])[0].lower_bound


@pytest.mark.slow
def test_moves_leave_the_optimum_that_em_cannot_leave(covariance_type):
    sample, start = trapped(covariance_type)
    (stuck,) = sample.advanced([EMRun(start)], 300, lambda run: run.left < 1e-6)
    found, refinement = search([start], sample)
    assert refinement.taken >= 1
    assert refinement.gain * sample.n_rows > 100
    assert bound(sample, found) > stuck.bound + 0.1
    assert found.n_components == start.n_components
    assert_allclose(found.weights, 1 / 3, atol=1e-3)


def test_moves_keep_the_number_of_components_and_come_best_first(covariance_type):
    sample, start = trapped(covariance_type)
    (run,) = sample.advanced([EMRun(start)], 1)
    found = promising_moves(run, sample, np.zeros(3, np.bool_), 5)
    assert 1 <= len(found) <= 5
    for move in found:
        move.mixture.require_sound()
        assert move.mixture.shape == start.shape
    bounds = [sample.advanced([EMRun(move.mixture)], 5)[0].bound for move in found]
    assert_allclose(bounds[0], max(bounds), atol=1e-9)


@pytest.mark.slow
def test_a_larger_mixture_is_no_less_likely_than_the_smaller_one_it_grows_from(covariance_type):
    sample, start = trapped(covariance_type)
    (good, _), lone = search([start], sample), of_labels(sample, np.zeros(900), covariance_type)
    poor = lone
    for component in (0, 0, 1):
        poor = halved(poor, component)
    assert_allclose(bound(sample, poor), bound(sample, lone), rtol=1e-12)
    better = grown(good, poor, sample)
    assert better.mixture.n_components == 4
    assert bound(sample, better.mixture) >= bound(sample, good)
    far = grown(lone, poor, sample)  # from one component to four
    assert bound(sample, far.mixture) > bound(sample, lone) + 0.5
    assert grown(lone, better.mixture, sample) is None
    nothing = replace(sample, budget=Budget(0.0))
    assert grown(good, poor, nothing) is None


@pytest.mark.parametrize("seed", range(2))
def test_partial_em_never_gains_more_than_the_whole_mixture_does(
    covariance_type, seed, monkeypatch
):
    monkeypatch.setattr("daskgmm.training.refinement.partial.NEAR", -1.0)  # all rows are near
    rows, _ = correlated(300, 2, 3, spread=2, apart=1.0, seed=seed)
    weights = np.random.default_rng(seed).uniform(0.5, 2, 300)
    sample = sample_of(rows, covariance_type, weights=weights)
    labels = KMeans(3, n_init=1, random_state=seed).fit(rows).labels_
    (run,) = sample.advanced([EMRun(of_labels(sample, labels, covariance_type))], 3)
    before = bound(sample, run.mixture)
    around = Neighbourhoods(run.mixture, run.moments, sample)
    for components in ((1,), (0, 2)):
        others = [k for k in range(3) if k not in components]
        axis = run.mixture.deviations[components[0]]
        start = run.mixture.of_components((components[0], components[0]))
        weight = run.mixture.weights[list(components)].sum()
        start = replace(
            start, means=start.means + np.outer([1, -1], axis), weights=np.full(2, weight / 2)
        )
        previous = -np.inf
        for steps in (1, 2, 5):
            gains, found = around.em([around.region(components)], lambda _, own=start: own, steps)
            whole = joined([run.mixture.of_components(others), *found])
            whole.require_sound()
            # Partial EM gains at every step, and the last one is still to come in what it returns.
            assert previous < gains[0] <= (bound(sample, whole) - before) * weights.sum() + 1e-9
            previous = gains[0]


def test_of_many_components_all_that_are_spurious_are_moved_at_once():
    n_components = 25
    random = np.random.default_rng(0)
    clusters = np.arange(n_components).repeat(200)
    centres = 8.0 * np.stack(np.divmod(np.arange(n_components), 5), axis=1)
    rows = centres[clusters] + random.normal(size=(len(clusters), 2))
    labels = clusters.copy()
    for first in (0, 2, 4):  # one component on two clusters, and one on rows that are nearly equal
        tight = np.flatnonzero(clusters == first)[:6]
        rows[tight] = rows[tight[0]] + 1e-5 * random.normal(size=(6, 2))
        labels[clusters == first + 1] = first
        labels[tight] = first + 1
    sample = sample_of(rows, ridge=1e-14)
    start = of_labels(sample, labels, "full")
    (run,) = sample.advanced([EMRun(start)], 10)
    assert run.spurious.sum() == 3
    several, *single = promising_moves(run, sample, run.spurious, 5, together=5.0)
    assert (several.count, {move.count for move in single}) == (3, {1})
    found = Rounds(run, run)
    found.go_on(sample)
    assert found.taken >= 3
    assert not found.run.spurious.any()
    assert_allclose(found.run.mixture.weights, 1 / n_components, atol=2e-3)


@pytest.mark.slow
def test_many_components_are_moved_several_at_once_in_few_multiplications():
    random = np.random.default_rng(0)
    clusters = np.arange(25).repeat(200)
    centres = 8.0 * np.stack(np.divmod(np.arange(25), 5), axis=1)
    rows = centres[clusters] + random.normal(size=(len(clusters), 2))
    sample = sample_of(rows)
    labels = clusters.copy()
    for first in (0, 10, 20):  # two components on this cluster, and one on the next two
        labels[(clusters == first) & (rows[:, 1] > centres[first, 1])] = first + 1
        labels[(clusters == first + 1)] = first + 2
    start = of_labels(sample, labels, "full")
    step = sample.cost([start])
    (run,) = sample.advanced([EMRun(start)], 10)
    spent = sample.budget.spent
    several, *_ = promising_moves(run, sample, np.zeros(25, np.bool_), 5, together=5.0)
    assert several.count >= 2
    assert sample.budget.spent - spent < 12 * step  # eight of halves of all on all rows: 32
    found, refinement = search([start], replace(sample, budget=Budget(60 * step)))
    assert refinement.taken == 3
    assert not refinement.budget_ended
    assert_allclose(found.weights, 1 / 25, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_search_ends_below_em_from_its_start(covariance_type, seed):
    rows, _ = correlated(600, 3, 4, spread=3, apart=1.0, seed=seed)
    sample = sample_of(rows, covariance_type)
    labels = KMeans(4, n_init=1, random_state=seed).fit(rows).labels_
    start = of_labels(sample, labels, covariance_type)
    (alone,) = sample.advanced([EMRun(start)], 300, lambda run: run.left < 2e-5)
    found, refinement = search([start], sample)
    assert bound(sample, found) > alone.bound - 1e-4
    assert refinement.taken <= refinement.tried


def test_rows_of_the_common_covariance_smooth_each_component_while_moves_are_tried(covariance_type):
    rows, _ = correlated(300, 3, 3, spread=3, apart=1.0, seed=0)
    sample = sample_of(rows, covariance_type)
    labels = KMeans(3, n_init=1, random_state=0).fit(rows).labels_
    first = of_labels(sample, labels, covariance_type)
    smooth = smoothed(sample, first)
    if covariance_type == "tied":
        assert smooth is sample
        return
    assert smooth.budget is sample.budget
    own, ours = (one.advanced([EMRun(first)], 1)[0] for one in (sample, smooth))
    matrices, found, before = (
        one.covariance.as_matrices(one.covariances, one.shape)
        for one in (own.mixture, ours.mixture, first)
    )
    within = np.einsum("k,kij->ij", first.weights, before)
    if covariance_type != "full":
        within = np.diag(np.diag(within))
    counts, seen = own.moments.sums[-1][:, np.newaxis, np.newaxis], SMOOTHING * 4
    assert_allclose(found, (counts * matrices + seen * within) / (counts + seen), rtol=1e-9)
    assert_allclose(ours.mixture.means, own.mixture.means, rtol=1e-12)
    bounds = [ours.bound]
    for _ in range(10):
        (ours,) = smooth.advanced([ours], 1)
        bounds.append(ours.bound)
    assert (np.diff(bounds) > -1e-12).all()
    (end,) = sample.advanced([own], 300, lambda run: run.left < 1e-9)
    fading = faded(ours, first, sample)
    assert fading.bounds == ()  # under no smoothing it has not made a step
    short = [end.bound - bound(sample, one.mixture) for one in (ours, fading)]
    assert -1e-9 < short[1] < 0.2 * short[0]


@pytest.mark.parametrize("zero", [0.0, 0.25, 0.5, 0.75])
def test_which_of_two_ends_is_better_does_not_depend_on_units(zero):
    mixture, shift = trapped()[1], zero * LEFT
    near = [EMRun(mixture, None, (bound + shift,)) for bound in (0.0, 0.3 * LEFT)]
    apart = [EMRun(mixture, None, (bound + shift,)) for bound in (0.0, 0.7 * LEFT)]
    assert best_first(near)[0] is near[0]
    assert best_first(apart)[0] is apart[1]


def test_em_goes_on_from_before_the_moves_only_where_it_may_end_as_well():
    sample, start = trapped()
    found, _ = search([start], replace(sample, budget=Budget(PLENTY)))

    def near(mixture):
        return sample.advanced([EMRun(mixture)], 300, lambda run: run.left < 1e-4)[0]

    def ends(before):
        own = replace(sample, budget=Budget(PLENTY))
        run = ended(EMRun(found), EMRun(found), own, before)
        return run, own.budget.spent

    alone, spent = ends(None)
    stuck = near(start)
    assert stuck.bound < alone.bound - 0.1
    assert ends(stuck)[1] == spent
    # Of equal ends it is the one from before the moves, which here has another order.
    other, _ = ends(near(found.of_components(np.array([2, 1, 0]))))
    assert_allclose(other.mixture.means[::-1], alone.mixture.means, atol=1e-6)


@pytest.mark.slow
def test_where_the_budget_ends_before_the_last_steps_moves_are_kept():
    sample, start = trapped()
    whole = replace(sample, budget=Budget(PLENTY))
    search([start], whole)
    kept = []
    for share in (0.2, 0.4, 0.6, 0.8, 0.95):
        short = replace(sample, budget=Budget(share * whole.budget.spent))
        found, refinement = search([start], short)
        kept.append((refinement.taken, bound(sample, found)))
        assert refinement.budget_ended
        assert np.isfinite(refinement.gain)
    (stuck,) = sample.advanced([EMRun(start)], 300, lambda run: run.left < 1e-6)
    assert any(taken for taken, _ in kept)
    assert all(found > stuck.bound + 0.1 for taken, found in kept if taken)


@pytest.mark.slow
def test_nothing_is_spent_beyond_the_budget_and_the_record_says_so():
    sample, start = trapped()
    spent = sample.budget
    search([start], sample)
    short = sample_of(sample.rows.T, budget=spent.spent / 2)
    found, refinement = search([start], short)
    assert not spent.ended
    assert refinement.budget_ended
    assert short.budget.spent <= short.budget.most
    found.require_sound()
    none, refinement = search([start], sample_of(sample.rows.T, budget=0.0))
    assert none is start
    assert refinement.budget_ended


def test_components_of_too_few_rows_for_two_are_not_ranked():
    rows = np.random.default_rng(0).normal(size=(24, 2))
    sample = sample_of(rows, ridge=1e-6)
    (run,) = sample.advanced([EMRun(of_labels(sample, np.arange(24) % 4, "full"))], 1)
    spent = sample.budget.spent
    assert promising_moves(run, sample, np.zeros(4, bool), 5) == []
    assert sample.budget.spent == spent


def test_a_budget_is_two_passes_over_all_rows_and_some_seconds_at_the_least():
    covariance = COVARIANCES["full"]
    assert budget_for(10, covariance, 2, 2).most == 3e10
    assert budget_for(10**9, covariance, 10, 5).most == 4 * 10**9 * 21 * 10


def test_components_on_few_rows_or_of_no_width_are_spurious_unless_all_are_alike():
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 2))
    rows[:3] = 5 + 0.5 * random.normal(size=(3, 2))
    rows[100:150, 1] = 2.0 + 1e-6 * random.normal(size=50)
    sample = sample_of(rows)
    labels = np.zeros(300, int)
    labels[:3], labels[100:150] = 1, 2
    mixture = of_labels(sample, labels, "full")
    shares = (labels == np.arange(3)[:, np.newaxis]).astype(float)
    moments = moments_under(shares, sample.rows, sample.frame, COVARIANCES["full"])
    assert spurious(mixture, moments).tolist() == [False, True, True]
    tight = Mixture.from_covariances(
        mixture.covariance, np.full(3, 1 / 3), mixture.means, np.tile(1e-9 * np.eye(2), (3, 1, 1))
    )
    assert not spurious(tight, replace(moments, sums=np.full_like(moments.sums, 100.0))).any()


@pytest.mark.usefixtures("no_eigenvalues")
def test_that_components_are_sound_is_seen_without_eigenvalues():
    sample, mixture = trapped()
    (moments,) = sample.expect([mixture])
    assert not spurious(mixture, moments).any()


@pytest.fixture
def no_eigenvalues(monkeypatch):
    monkeypatch.setattr(np.linalg, "eigvalsh", None)


def test_all_components_are_spurious_where_noise_holds_every_row():
    rows = np.random.default_rng(0).uniform(size=(30, 2))
    sample = sample_of(rows)
    mixture = of_labels(sample, np.arange(30) % 2, "full")
    noise = Noise(1.0, rows.min(axis=0), np.ptp(rows, axis=0))
    mixture = replace(mixture, weights=np.zeros(2), noise=noise)
    (moments,) = sample.expect([mixture])
    assert spurious(mixture, moments).all()


@pytest.mark.parametrize(("few", "wrong"), [(9, True), (90, False)])
def test_a_component_that_is_thin_beside_others_is_spurious_on_few_rows(few, wrong):
    random = np.random.default_rng(0)
    labels = (np.arange(600) < few).astype(int)
    rows = random.normal(size=(600, 3))
    rows[:, 2] *= np.where(labels, 1e-2, 0.1)
    rows[:few, 2] += 30
    sample = sample_of(rows)
    shares = (labels == np.arange(2)[:, np.newaxis]).astype(float)
    moments = moments_under(shares, sample.rows, sample.frame, COVARIANCES["full"])
    assert spurious(of_labels(sample, labels, "full"), moments).tolist() == [False, wrong]


@pytest.mark.parametrize(("away", "wrong"), [(0.0, True), (1.0, True), (9.0, False)])
def test_a_thin_component_is_spurious_where_it_may_be_a_slice_of_others(away, wrong):
    """A slab of 30 among 6,000 rows, as thin as about so many of them would be."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(6000, 3))
    labels = (np.arange(6000) < 30).astype(int)
    rows[:30, 2] *= 5e-3
    rows[:30, 0] += away
    sample = sample_of(rows)
    shares = (labels == np.arange(2)[:, np.newaxis]).astype(float)
    moments = moments_under(shares, sample.rows, sample.frame, COVARIANCES["full"])
    assert spurious(of_labels(sample, labels, "full"), moments).tolist() == [False, wrong]


@pytest.mark.slow
@WITH_SMALL_COMPONENTS
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("n_features", "n_components", "spread"), [(5, 30, 1.5), (10, 40, 1.0), (20, 40, 1.5)]
)
def test_many_components_are_found_as_they_are(n_features, n_components, spread, seed):
    truth = any_matrices(seed, n_features, n_components, spread=spread)
    rows, _ = truth.draw(300 * n_components, seed)
    known = GaussianMixture(**truth.start()).fit(rows)
    found = GaussianMixture(n_components, random_state=seed).fit(rows)
    assert found.lower_bound_ > known.lower_bound_ - 5e-3


def test_a_constant_column_makes_no_thin_component_spurious():
    random = np.random.default_rng(0)
    labels = np.arange(600) % 2
    rows = random.normal(size=(600, 3)) + 30 * labels[:, np.newaxis]
    rows[:, 2] *= np.where(labels, 1.0, 5e-3)
    rows = np.column_stack([rows, np.full(600, 4.2)])
    sample = sample_of(rows, ridge=1e-6)
    shares = (labels == np.arange(2)[:, np.newaxis]).astype(float)
    moments = moments_under(shares, sample.rows, sample.frame, COVARIANCES["full"])
    assert not spurious(of_labels(sample, labels, "full"), moments).any()


@WITH_SMALL_COMPONENTS
@pytest.mark.parametrize("each", [12, 25])
def test_a_sample_of_too_few_rows_starts_a_fit_that_ends_at_the_truth(each):
    truth = any_matrices(0, 20, 24, spread=2.0)
    rows, _ = truth.draw(24 * 400, 0)
    known = GaussianMixture(**truth.start()).fit(rows)
    found = GaussianMixture(24, random_state=0, subsample=24 * each).fit(rows)
    assert found.lower_bound_ > known.lower_bound_ - 1e-3
    assert found.refinement_["smoothed"]
    assert not found.refinement_["spurious"]


@WITH_SMALL_COMPONENTS
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_of_too_few_rows_no_candidate_grows_from_a_smaller_one():
    """Without smoothing EM on them would end in a likelier mixture that says nothing of others."""
    truth = any_matrices(0, 20, 24, spread=2.0)
    rows, _ = truth.draw(24 * 400, 0)
    known = GaussianMixture(**truth.start()).fit(rows)
    found = GaussianMixtureSelector([4, 24], random_state=0, subsample=24 * 12).fit(rows)
    assert found.best_estimator_.lower_bound_ > known.lower_bound_ - 1e-3


def test_rows_without_weight_are_none_of_the_rows_that_may_be_enough():
    rows = np.random.default_rng(0).normal(size=(2000, 6))
    weights = (np.arange(2000) < 40).astype(float)
    with pytest.warns(UserWarning, match="hardly more rows .* fewer components"):
        found = GaussianMixture(4, random_state=0).fit(rows, sample_weight=weights)
    assert found.refinement_["spurious"]
    assert not found.refinement_["smoothed"]


def test_what_was_smoothed_is_judged_after_the_passes_over_all_rows():
    truth = any_matrices(0, 3, 4, spread=4.0)
    rows, labels = truth.draw(400, 0)
    sample, mixture = sample_of(rows), of_labels(sample_of(rows), labels, "full")
    (moments,) = sample.expect([mixture])
    few = replace(moments, sums=moments.sums * np.array([1, 1, 1, 0.01]))
    made = Refinement(0, 0, 0.0, budget_ended=False, spurious=False, smoothed=True)
    assert not made.after(mixture, moments).spurious
    assert made.after(mixture, few).spurious
    assert not replace(made, smoothed=False).after(mixture, few).spurious


def test_starts_that_lost_do_not_stay_in_memory_while_moves_are_tried(monkeypatch):
    sample, start = trapped()
    starts = [replace(start, weights=start.weights.copy()) for _ in range(4)]
    seen = [weakref.ref(one) for one in starts]

    def counted(*given, **named):
        gc.collect()
        alive.append(sum(one() is not None for one in seen))
        return by_moves(*given, **named)

    alive, by_moves = [], Rounds.go_on
    monkeypatch.setattr(Rounds, "go_on", counted)
    search((starts.pop() for _ in range(4)), sample)
    assert alive == [0]


@pytest.mark.parametrize(("spread", "tried"), [(12.0, 2), (0.5, 4)])
@WITH_SMALL_COMPONENTS
def test_no_more_starts_are_tried_where_the_first_ones_of_many_components_agree(
    spread, tried, monkeypatch
):
    drawn = []

    def counted(*given):
        drawn.append(given[1])
        return joined_clusters(*given)

    monkeypatch.setattr("daskgmm.training.starts.joined_clusters", counted)
    rows, _ = any_matrices(0, 3, 24, spread=spread).draw(2400, 0)
    GaussianMixture(24, random_state=0).fit(rows)
    assert drawn == [24] * tried


@pytest.mark.slow
def test_moves_leave_what_em_shrinks_onto_a_few_rows_at_its_end():
    rows = TABLES["galaxies"]()
    half = rows[np.random.default_rng(1).permutation(len(rows))][: len(rows) // 2]
    model = GaussianMixture(4, random_state=1).fit(half)
    assert not model.refinement_["spurious"]
    assert model.predict_proba(half).sum(axis=0).min() >= 3


@pytest.mark.parametrize("units", [(1.0, 1.0, 1.0), (1e3, 1.0, 1e-2)])
@WITH_SMALL_COMPONENTS
def test_a_thin_cluster_of_many_rows_is_found_and_equal_values_are_no_cluster(units):
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 6000)
    widths = np.array([[1, 1, 1], [1, 1, 3e-3], [1, 1, 1]])[labels]
    turned, _ = np.linalg.qr(random.normal(size=(3, 3)))
    rows = (random.normal(size=(6000, 3)) * widths) @ turned + 7 * labels[:, np.newaxis] + 500
    model = GaussianMixture(3, random_state=0).fit(rows * units)
    assert_allclose(sorted(model.weights_), [1 / 3] * 3, atol=0.02)
    assert not model.refinement_["spurious"]
    rows[labels == 1, 2] = 3.0
    sample = sample_of(rows, ridge=1e-6)
    mixture = of_labels(sample, labels, "full")
    shares = (labels == np.arange(3)[:, np.newaxis]).astype(float)
    moments = moments_under(shares, sample.rows, sample.frame, COVARIANCES["full"])
    assert spurious(mixture, moments).tolist() == [False, True, False]


@pytest.mark.parametrize(("kind", "least"), [("full", 4), ("diag", 4), ("tied", 3)])
def test_a_covariance_of_its_own_takes_a_component_one_row_more(kind, least):
    rows = np.random.default_rng(0).normal(size=(40, 2))
    rows[:5] += 9
    sample = sample_of(rows)
    for few in (least - 1, least):
        labels = (np.arange(40) >= few).astype(int)
        shares = (labels == np.arange(2)[:, np.newaxis]).astype(float)
        moments = moments_under(shares, sample.rows, sample.frame, COVARIANCES[kind])
        mixture = of_labels(sample, labels, kind)
        assert spurious(mixture, moments).tolist() == [few < least, False]


@pytest.mark.slow
def test_more_starts_are_tried_where_components_share_a_covariance(monkeypatch):
    counts = {}

    def counting(starts, sample, more, further):
        drawn = [*starts, *islice(more, further)]
        counts[drawn[0].covariance.name, drawn[0].n_components] = len(drawn)
        return search(drawn, sample, more)

    monkeypatch.setattr("daskgmm.training.starts.search", counting)
    rows, _ = correlated(300, 2, 3, spread=2, apart=1.0)
    for kind, k in (("full", 3), ("tied", 3), ("tied", 1)):
        GaussianMixture(k, covariance_type=kind, random_state=0).fit(rows)
    assert counts == {("full", 3): 4, ("tied", 3): 24, ("tied", 1): 4}


def test_a_start_with_a_spurious_end_loses_to_any_without():
    random = np.random.default_rng(1)
    rows = np.concatenate([random.normal(size=(200, 2)), random.normal(8, 1, size=(200, 2))])
    rows[:3] = [[4, 4], [4.01, 4], [4, 4.01]]
    sample = sample_of(rows, ridge=1e-6)
    labels = (rows[:, 0] > 4).astype(int)
    labels[:3] = 0
    sound = of_labels(sample, labels, "full")
    greedy = np.ones(400, int)
    greedy[:3] = 0
    likelier = sample.advanced([EMRun(of_labels(sample, greedy, "full"))], 30)[0]
    assert spurious(likelier.mixture, likelier.moments).any()
    found, refinement = search([likelier.mixture, sound], sample)
    assert not refinement.spurious
    assert_allclose(sorted(found.weights), [0.5, 0.5], atol=0.02)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_where_all_starts_collapse_in_their_first_steps_it_is_said():
    rows = np.round(np.random.default_rng(2).normal(size=(8, 2)))
    model = GaussianMixture(
        3, noise=True, covariance_type="tied", reg_covar=0, random_state=2, subsample=None
    )
    with pytest.raises(CollapsedComponentError, match="has collapsed"):
        model.fit(rows)


@pytest.mark.slow
def test_a_fit_without_any_sound_mixture_warns_and_names_remedies():
    rows = np.random.default_rng(0).normal(size=(30, 4))
    with pytest.warns(UserWarning, match="hardly more rows .* fewer components"):
        model = GaussianMixture(8, random_state=0).fit(rows)
    assert model.refinement_["spurious"]


@pytest.mark.slow
def test_units_do_not_matter(covariance_type):
    rows, _ = correlated(800, 3, 4, spread=3, apart=1.5, seed=2)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    random = np.random.default_rng(0)
    # One variance for all columns cannot follow columns in units of their own.
    own = 1 if covariance_type == "spherical" else 3
    scale = np.exp(random.uniform(-8, 8, own)) * np.ones(3)
    shift = scale * random.uniform(-1e6, 1e6, 3)
    options = {"covariance_type": covariance_type, "reg_covar": 0, "random_state": 0}
    plain = GaussianMixture(4, **options).fit(rows)
    moved = GaussianMixture(4, **options).fit(rows * scale + shift)
    # Rows a million deviations away are known to 1e-10 of a deviation.
    assert_allclose((moved.means_ - shift) / scale, plain.means_, atol=1e-8)
    assert_allclose(moved.weights_, plain.weights_, atol=1e-8)
    jacobian = np.log(scale).sum()
    assert_allclose(moved.lower_bound_ + jacobian, plain.lower_bound_, rtol=0, atol=1e-8)


@pytest.mark.slow
def test_more_starts_are_the_same_ones_and_further_ones(monkeypatch):
    seen = []

    def noting(starts, sample, more, further):
        starts = [*starts, *islice(more, further)]
        seen.append([mixture.means for mixture in starts])
        return search(starts, sample, more)

    monkeypatch.setattr("daskgmm.training.starts.search", noting)
    rows, _ = correlated(400, 2, 3, spread=2, apart=1.0)
    for n_init in (1, 2, 3):
        GaussianMixture(3, n_init=n_init, random_state=0).fit(rows)
    one, two, three = ({means.tobytes() for means in found} for found in seen)
    assert one < two < three
    assert len(three) == len(two) + 1 == len(one) + 2


@pytest.mark.slow
def test_the_first_start_is_scikit_learns_on_standardised_rows(monkeypatch):
    first = []

    def noting(starts, sample, more, further):
        starts = list(starts)
        first.append(starts[0].means * sample.frame.scale + sample.frame.origin)
        return search(starts, sample, more, further)

    monkeypatch.setattr("daskgmm.training.starts.search", noting)
    rows, _ = correlated(400, 2, 3, spread=2, apart=1.0)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    GaussianMixture(3, subsample=None, random_state=7).fit(rows)
    labels = KMeans(3, n_init=1, random_state=np.random.RandomState(7)).fit(rows).labels_
    expected = [rows[labels == label].mean(axis=0) for label in range(3)]
    assert_allclose(first[0], expected, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"refine": "none"},
        {"means_init": np.zeros((3, 2))},
        {"warm_start": True},
        {"max_iter": 9},
    ],
    ids=lambda options: next(iter(options)),
)
@pytest.mark.filterwarnings("ignore:Best performing")
def test_where_the_course_is_given_nothing_is_refined(options):
    rows, _ = correlated(300, 2, 3, spread=2, apart=2.0)
    assert GaussianMixture(3, random_state=0, **options).fit(rows).refinement_ is None
    assert GaussianMixture(3, random_state=0).fit(rows).refinement_.keys() == {
        "tried", "taken", "gain", "budget_ended", "spurious", "smoothed",
    }  # fmt: skip


def test_repeated_rows_weigh_as_their_weights():
    rows, _ = correlated(300, 2, 3, spread=2, apart=2.0)
    counts = 1 + np.arange(300) % 3
    labels = KMeans(3, n_init=1, random_state=0).fit(rows).labels_
    weighted = sample_of(rows, weights=counts.astype(float))
    repeated = sample_of(np.repeat(rows, counts, axis=0))
    start = of_labels(weighted, labels, "full")
    frame = weighted.frame
    repeated = replace(repeated, frame=frame, settings=weighted.settings)
    found, one = search([start], weighted)
    expected, other = search([start], repeated)
    assert_allclose(found.means, expected.means, rtol=1e-6)
    assert (one.tried, one.taken) == (other.tried, other.taken)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits():
    rows, _ = correlated(500, 3, 4, spread=3, apart=1.0)
    one, other = (GaussianMixture(4, random_state=3).fit(rows) for _ in range(2))
    assert_array_equal(one.means_, other.means_)
    assert one.refinement_ == other.refinement_


# --- memory


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize(
    ("kind", "n", "n_features", "n_components", "apart"),
    # Of the last one most rows are near to many components.
    [("full", 2400, 24, 10, 1.0), ("full", 6000, 5, 4, 1.0), ("diag", 8000, 4, 60, 0.3)],
)
@pytest.mark.slow
def test_a_search_takes_no_more_memory_than_predicted(
    kind, n, n_features, n_components, apart, threads, large, monkeypatch
):
    if threads > 1:
        monkeypatch.setattr(parallel, "_WORTH_A_PART", 1.0)
        monkeypatch.setattr(parallel, "FEWEST_ROWS", n // parallel.MOST_PARTS)
    if large:  # mixtures go one by one
        monkeypatch.setattr("daskgmm.training.refinement.sampled.TOGETHER_BYTES", 1)
        monkeypatch.setattr("daskgmm.fitting.settings.TOGETHER_BYTES", 1)
    # As many moves go together as where a component is spurious, which is what is counted.
    monkeypatch.setattr(rounds, "CANDIDATES_ON_FEW_ROWS", rounds.MORE_CANDIDATES)
    rows, _ = correlated(n, n_features, n_components, spread=2, apart=apart)
    model = GaussianMixture(n_components, covariance_type=kind, subsample=n)
    source = imagined(n, n_features, DOUBLE)
    candidate = Candidate.of(model, source, in_memory=False)
    task = Settings.of(model, (candidate,), DOUBLE).task(source)
    sample = sample_of(rows, kind, ridge=1e-6, budget=5e9)

    def find():
        with helped(Lender(), lambda: threads - 1):
            candidate.plan.refined(sample, np.random.RandomState(0))

    find()  # once, so that what is loaded does not count
    sample.budget.spent = 0.0
    tracemalloc.start()
    try:
        find()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    predicted = task.search_bytes_with(threads - 1)
    # How many threads are at their peaks together is a matter of timing.
    assert 0.2 * task.search_bytes <= peak <= predicted, (peak, predicted)
