"""Maximum a posteriori and fixed parts, against EM that is written the plain way."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.prior import Prior
from daskgmm.passes.statistics import Statistics
from daskgmm.training.em import EMSettings, em
from daskgmm.training.fixed_parameters import Fixed, FixedParameters
from daskgmm.training.in_memory import InMemory, total_scatter
from daskgmm.training.m_step import maximum_likelihood
from daskgmm.training.maximum_a_posteriori import MaximumAPosteriori
from daskgmm.training.start_values import StartValues
from daskgmm.training.states import Trace
from daskgmm.training.stopping import stopping_named
from tests.support.mixtures import matrices_of, random_mixture
from tests.support.rows import overlapping

KINDS = ("full", "tied", "diag", "spherical")
each_kind = pytest.mark.parametrize("kind", KINDS)
FRAME = Frame(np.array([0.5, -1.0, 0.25]), np.full(3, 2.0))


def rows_of(n=200):
    return 3 * overlapping(n, 3, seed=1)


def fitted(rows, start, estimation, steps, weights=None):
    """Traces of so many EM steps from a start in data units, and the mixture in data units."""
    statistics = Statistics.of(rows.T, weights, scatter=True)
    settings = EMSettings(
        tol=0, max_iter=steps, stopping=stopping_named("lower_bound"), ridge=np.zeros(3),
        deviations=statistics.deviations / FRAME.scale, dtype=np.dtype(np.float64),
        m_step=estimation.m_step(FRAME, statistics),
    )  # fmt: skip
    expect = InMemory(rows.T, weights, FRAME, settings.dtype, total_scatter(rows, weights, FRAME))
    inside = start.outside(Frame.identity(3).seen_from(FRAME))
    *_, last = em([Trace(inside)], expect, settings)
    (trace,) = last.traces
    return trace, trace.mixture.outside(FRAME)


def responsibilities(rows, mixture):
    density = np.stack(
        [
            weight * multivariate_normal(mean, matrix).pdf(rows)
            for weight, mean, matrix in zip(
                mixture.weights, mixture.means, matrices_of(mixture), strict=True
            )
        ]
    )
    return density / density.sum(axis=0), np.log(density.sum(axis=0)).sum()


def slowly(rows, start, steps, prior, held=()):
    """MAP-EM by the tables of Fraley and Raftery (2007); means of `held` components stay."""
    kind, mixture = start.covariance.name, start
    (n, d), g = rows.shape, len(start.weights)
    kappa, nu = prior["kappa"], prior["nu"]
    for _ in range(steps):
        z, _ = responsibilities(rows, mixture)
        counts, means, scatters = z.sum(axis=1), [], []
        for k in range(g):
            own = (z[k] @ rows + kappa * prior["mean"]) / (counts[k] + kappa)
            mean = mixture.means[k] if k in held else own
            away, gap = rows - mean, mean - prior["mean"]
            means.append(mean)
            scatters.append((z[k] * away.T) @ away + kappa * np.outer(gap, gap))
        if kind == "full":
            found = [
                (prior["matrix"] + s) / (nu + c + d + 2)
                for s, c in zip(scatters, counts, strict=True)
            ]
        elif kind == "tied":
            found = (prior["matrix"] + sum(scatters)) / (nu + n + d + g + 1)
        elif kind == "diag":
            found = [
                (prior["axis"] + np.diag(s)) / (nu + c + 3)
                for s, c in zip(scatters, counts, strict=True)
            ]
        else:
            found = [
                (prior["axis"] + np.trace(s)) / (nu + (c + 1) * d + 2)
                for s, c in zip(scatters, counts, strict=True)
            ]
        mixture = Mixture.from_covariances(
            start.covariance, counts / n, np.array(means), np.array(found)
        )
    return mixture


def default(rows, n_components):
    """mclust's ``priorControl()``."""
    d = rows.shape[1]
    matrix = np.cov(rows.T) / n_components ** (2 / d)
    mean = rows.mean(axis=0)
    axis = np.trace(matrix) / d
    return {"kappa": 0.01, "nu": d + 2, "mean": mean, "matrix": matrix, "axis": axis}


def assert_same(found, expected, tolerance=1e-9):
    assert_allclose(found.weights, expected.weights, rtol=tolerance)
    assert_allclose(found.means, expected.means, atol=100 * tolerance)
    size = np.abs(expected.covariances).max()
    assert_allclose(found.covariances, expected.covariances, atol=10 * tolerance * size)


@each_kind
def test_the_default_prior_is_that_of_fraley_and_raftery(kind):
    rows, start = rows_of(), random_mixture(COVARIANCES[kind], 3)
    trace, found = fitted(rows, start, MaximumAPosteriori(Prior()), 7)
    assert_same(found, slowly(rows, start, 7, default(rows, 3)))
    assert (np.diff(trace.lower_bounds) > -1e-12).all()


@each_kind
def test_numbers_of_a_prior_are_taken_as_they_are_given(kind):
    rows, start = rows_of(), random_mixture(COVARIANCES[kind], 2)
    own = {"kappa": 3.0, "nu": 9.0, "mean": np.array([1.0, 0, -2]), "axis": 4.0}
    own["matrix"] = 4 * np.eye(3)
    prior = Prior(own["mean"].tolist(), own["kappa"], own["nu"], own["axis"])
    _, found = fitted(rows, start, MaximumAPosteriori(prior), 5)
    assert_same(found, slowly(rows, start, 5, own))


@each_kind
def test_one_component_has_its_mode_in_closed_form(kind):
    rows, start = rows_of(50), random_mixture(COVARIANCES[kind], 1)
    _, found = fitted(rows, start, MaximumAPosteriori(Prior()), 1)
    prior = default(rows, 1)
    scatter = np.cov(rows.T) * 49
    # The prior's mean is that of the rows, so that only the scale adds to their scatter.
    expected = {
        "full": (prior["matrix"] + scatter) / (5 + 50 + 5),
        "tied": (prior["matrix"] + scatter) / (5 + 50 + 3 + 1 + 1),
        "diag": (prior["axis"] + np.diag(scatter)) / (5 + 50 + 3),
        "spherical": (prior["axis"] + np.trace(scatter)) / (5 + 51 * 3 + 2),
    }[kind]
    assert_allclose(found.covariances.reshape(np.shape(expected)), expected, rtol=1e-10)
    assert_allclose(found.means[0], rows.mean(axis=0), rtol=1e-10)


@each_kind
@pytest.mark.slow
def test_the_mode_is_a_stationary_point_of_the_bound(kind):
    rows, start = rows_of(80), random_mixture(COVARIANCES[kind], 2)
    estimation = MaximumAPosteriori(Prior(mean_precision=2.0))
    trace, _ = fitted(rows, start, estimation, 2_000)
    best = trace.lower_bounds[-1]
    for factor in (1.01, 0.99):
        moved = trace.mixture.outside(FRAME)
        changed = Mixture.from_covariances(
            moved.covariance, moved.weights, moved.means, factor * moved.covariances
        )
        assert fitted(rows, changed, estimation, 1)[0].lower_bounds[0] < best - 1e-7
        changed = Mixture.from_covariances(
            moved.covariance, moved.weights, moved.means + factor - 1, moved.covariances
        )
        assert fitted(rows, changed, estimation, 1)[0].lower_bounds[0] < best - 1e-9


@each_kind
def test_a_component_of_one_row_stays_proper_under_a_prior(kind):
    rows = np.vstack([rows_of(100), np.full((1, 3), 60.0)])
    start = random_mixture(COVARIANCES[kind], 2)
    means = np.vstack([rows[:-1].mean(axis=0), rows[-1]])
    start = replace(start, means=means)
    trace, found = fitted(rows, start, MaximumAPosteriori(Prior()), 50)
    assert_allclose(found.weights[1], 1 / 101, rtol=1e-6)
    assert np.linalg.eigvalsh(matrices_of(found)).min() > 0.1
    assert (np.diff(trace.lower_bounds) > -1e-10).all()


def fixed(kind, given, masks, prior=None):
    other = maximum_likelihood if prior is None else MaximumAPosteriori(prior)
    return Fixed(other, FixedParameters(**masks), given, COVARIANCES[kind])


def masks(weights=(), means=(), covariances=(), n_components=3):
    chosen = {"weights": weights, "means": means, "covariances": covariances}
    return {name: np.isin(np.arange(n_components), own) for name, own in chosen.items()}


@each_kind
@pytest.mark.parametrize("prior", [None, Prior()], ids=["likelihood", "posterior"])
def test_fixed_parts_stay_and_the_bound_never_falls(kind, prior):
    rows, start = rows_of(), random_mixture(COVARIANCES[kind], 3)
    given = StartValues(start.weights, start.means, start.covariance.precisions(start.factors))
    covariances = range(3) if kind == "tied" else [0, 2]
    chosen = masks(weights=[1], means=[0, 1], covariances=covariances)
    trace, found = fitted(rows, start, fixed(kind, given, chosen, prior), 30)
    assert (np.diff(trace.lower_bounds) > -1e-12).all()
    assert trace.lower_bounds[-1] > trace.lower_bounds[0] + 0.01
    assert found.weights[1] == start.weights[1]
    assert_allclose(found.weights.sum(), 1, rtol=1e-14)
    assert_allclose(found.means[:2], start.means[:2], atol=1e-15)
    assert not np.isclose(found.means[2], start.means[2]).any()
    if kind == "tied":
        assert_allclose(found.covariances, start.covariances, rtol=1e-12)
    else:
        assert_allclose(found.covariances[[0, 2]], start.covariances[[0, 2]], rtol=1e-12)
        assert not np.isclose(found.covariances[1], start.covariances[1]).all()


@each_kind
@pytest.mark.parametrize("prior", [None, Prior()], ids=["likelihood", "posterior"])
def test_covariances_beside_fixed_means_are_about_those(kind, prior):
    rows, start = rows_of(), random_mixture(COVARIANCES[kind], 3)
    given = StartValues(means=start.means)
    numbers = default(rows, 3)
    if prior is None:  # a prior of no rows at all
        d = 3
        none = {"full": -d - 2, "tied": -d - 3 - 1, "diag": -3, "spherical": -d - 2}[kind]
        numbers |= {"kappa": 0.0, "nu": none, "matrix": np.zeros((3, 3)), "axis": 0.0}
    _, found = fitted(rows, start, fixed(kind, given, masks(means=[0, 2]), prior), 4)
    assert_same(found, slowly(rows, start, 4, numbers, held=(0, 2)))


@each_kind
def test_nothing_fixed_is_the_other_estimation(kind):
    rows, start = rows_of(), random_mixture(COVARIANCES[kind], 3)
    trace, found = fitted(rows, start, fixed(kind, StartValues(), masks()), 5)
    expected, same = fitted(rows, start, maximum_likelihood, 5)
    assert_same(found, same, 1e-12)
    assert_allclose(trace.lower_bounds, expected.lower_bounds, rtol=1e-13)


@each_kind
def test_a_fixed_component_may_be_far_from_all_rows(kind):
    rows, start = rows_of(), random_mixture(COVARIANCES[kind], 3)
    means = np.array(start.means)
    means[0] = 1e3
    given = StartValues(start.weights, means, start.covariance.precisions(start.factors))
    covariances = range(3) if kind == "tied" else [0]
    chosen = masks(weights=[0], means=[0], covariances=covariances)
    begin = Mixture(start.covariance, start.weights, means, start.covariances, start.factors)
    trace, found = fitted(rows, begin, fixed(kind, given, chosen), 10)
    assert_allclose(found.means[0], means[0], rtol=1e-15)
    assert found.weights[0] == start.weights[0]
    assert (np.diff(trace.lower_bounds) > -1e-12).all()


@each_kind
@pytest.mark.parametrize("prior", [None, Prior()], ids=["likelihood", "posterior"])
def test_a_row_of_weight_two_is_two_rows(kind, prior):
    rows, start = rows_of(120), random_mixture(COVARIANCES[kind], 3)
    weights = np.random.default_rng(0).integers(1, 4, len(rows)).astype(np.float64)
    estimation = fixed(kind, StartValues(means=start.means), masks(means=[1]), prior)
    one, found = fitted(rows, start, estimation, 5, weights)
    other, expected = fitted(np.repeat(rows, weights.astype(int), axis=0), start, estimation, 5)
    assert_same(found, expected, 1e-10)
    assert_allclose(one.lower_bounds, other.lower_bounds, rtol=1e-12)
