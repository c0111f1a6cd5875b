"""Time of what a search for starts does, on generated rows in one thread of this process."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from daskgmm.jobs.planning.benchmark import MOST_BYTES, drawn_rows, standard_mixture
from daskgmm.jobs.planning.passes import PassPlan
from daskgmm.model.assignment import moments_under
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.precision import step_suffices
from daskgmm.training.in_memory import PAIRS_THAT_COUNT, InMemory
from daskgmm.training.initialisation import USUAL_ROUNDS
from daskgmm.training.kmeans import assign, farther, means, n_tries, squared_lengths
from daskgmm.training.refinement.halving import MANY_COMPONENTS
from daskgmm.training.refinement.moves import STEPS_OF_HALVES
from daskgmm.training.refinement.partial import most_rows_near
from daskgmm.training.refinement.region_rows import whitens
from daskgmm.training.refinement.sampled import MANY_PAIRS
from daskgmm.training.ward import rounds_of_finer

_TIMES = 3

_COMPONENTS = 16
"""Components whose M-steps and log-densities are timed; others take as long."""

_ROWS = 256
"""Rows whose log-densities are timed."""

_AXES = 2
"""Axes along which a component is halved, one after the other."""

_PRODUCTS = 2**29
"""Multiplications of a round of k-means that is timed, about."""


@dataclass(frozen=True)
class SearchSeconds:
    """CPU seconds of what a search for starts does.

    Parameters
    ----------
    clustering : float
        Of one clustering of the sample by k-means.
    m_step : float
        Of all of an EM step that does not grow with the rows.
    ranking : float
        Of ranking moves of split and merge: of the log-densities, and of EM of two halves of each
        component; but for a fifth of it.
    """

    clustering: float
    m_step: float
    ranking: float


def measured_search(pass_plan: PassPlan, n_rows: int, share: float) -> SearchSeconds:
    """Time the search of a planned fit on so many sampled rows.

    Of all pairs' multiplications its passes take such a share.
    """
    plan, n_features = pass_plan.settings.candidates[0].plan, pass_plan.source.n_features
    of_pair = _density_seconds(plan.covariance, n_features, pass_plan.settings.dtype)
    joined = pass_plan.settings.candidates[0].refined and plan.n_components >= MANY_COMPONENTS
    a_step = _step_seconds(pass_plan)
    near = min(
        n_rows / plan.n_components, most_rows_near(plan.covariance, n_features, plan.n_components)
    )
    # To sum the products of a row takes as long as its log-density.
    halves = _AXES * STEPS_OF_HALVES * 2 * (2 * near * of_pair + a_step)
    bounded = whitens(plan.covariance, n_features) and share < MANY_PAIRS
    pairs = min(plan.n_components, PAIRS_THAT_COUNT) if bounded else plan.n_components
    return SearchSeconds(
        _clustering_seconds(n_rows, plan.n_components, n_features, joined=joined),
        plan.n_components * a_step,
        pairs * n_rows * of_pair + plan.n_components * halves,
    )


def _clustering_seconds(n_rows: int, n_clusters: int, n_features: int, *, joined: bool) -> float:
    """Seconds of k-means, of clusters that are drawn one by one or of joined finer ones.

    Clusters are drawn on as many rows as memory takes, a round is timed on fewer.
    """
    random = np.random.default_rng(0)
    n_few = min(max(_PRODUCTS // (n_clusters * n_features), 1), n_rows)
    few, weights = random.standard_normal((n_few, n_features)), np.ones(n_few)
    centres, labels = random.standard_normal((n_clusters, n_features)), np.zeros(n_few, np.int64)

    def a_round() -> None:
        assign(few, centres, labels)
        means(few, weights, labels, centres)

    seconds = USUAL_ROUNDS * _fastest(a_round) / n_few
    if joined:
        return n_rows * seconds * (1 + rounds_of_finer(n_clusters) / USUAL_ROUNDS)
    most = max(MOST_BYTES // (np.dtype(np.float64).itemsize * n_features), 1)
    x = random.standard_normal((min(n_rows, most), n_features))
    squares, weights = squared_lengths(x), np.ones(len(x))
    drawn = random.uniform(size=n_tries(n_clusters)) * squares.sum()
    work = np.empty((len(drawn), len(x)))
    a_draw = _fastest(lambda: farther(x, squares, weights, squares, drawn, work)) / len(x)
    return n_rows * ((n_clusters - 1) * a_draw + seconds)


def _step_seconds(pass_plan: PassPlan) -> float:
    """Seconds a component of an EM step on a few rows, with an M-step from many."""
    settings, n_features = pass_plan.settings, pass_plan.source.n_features
    covariance, dtype = settings.candidates[0].plan.covariance, settings.dtype
    compiled = settings.worth_compiling(pass_plan.rows, n_features)
    random = np.random.default_rng(0)
    mixture = standard_mixture(covariance, (_COMPONENTS, n_features), random)
    labels = np.repeat(np.arange(_COMPONENTS), n_features + 2)
    shares = (labels == np.arange(_COMPONENTS)[:, np.newaxis]).astype(np.float64)
    rows = mixture.means[labels].T + random.standard_normal((n_features, len(labels)))
    frame = Frame.identity(n_features)
    moments = moments_under(shares, rows, frame, covariance)
    few = rows[:, :_COMPONENTS].astype(pass_plan.source.dtype)  # as the loop is compiled for
    expect = InMemory(few, None, frame, dtype, np.eye(n_features), compiled)
    ridge, eps = np.full(n_features, 1e-6), float(np.finfo(np.float64).eps)

    def step() -> None:
        expect([mixture])
        step_suffices(mixture, moments.maximise(covariance, ridge, eps), moments, dtype)

    return _fastest(step) / _COMPONENTS


def _density_seconds(
    covariance: Covariance, n_features: int, dtype: np.dtype[np.floating]
) -> float:
    """Seconds a log-density of a row under a component, whose columns are correlated."""
    random = np.random.default_rng(0)
    mixture = standard_mixture(covariance, (_COMPONENTS, n_features), random)
    rows = drawn_rows(mixture, _ROWS, dtype, random)
    kernel = CentredKernel([mixture], Frame.identity(n_features), dtype)
    return _fastest(lambda: kernel.logits(rows)) / (_COMPONENTS * _ROWS)


def _fastest(action: Callable[[], object]) -> float:
    """CPU seconds of the fastest of a few times, as other processes may use the CPU meanwhile."""

    def seconds() -> float:
        began = time.thread_time()
        action()
        return time.thread_time() - began

    return min(seconds() for _ in range(_TIMES))
