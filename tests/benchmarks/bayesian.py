"""Seconds of a variational fit on rows in memory, beside scikit-learn's."""

import time
from collections.abc import Callable, Iterator

import numpy as np
from sklearn.mixture import BayesianGaussianMixture as ScikitLearn

from daskgmm import BayesianGaussianMixture
from tests.benchmarks.result import Result
from tests.benchmarks.works import CORRELATED, UNIT, Work

PASSES = 10
WANTED = 5.0


def measure(size: float) -> Iterator[Result]:
    """A fit of ten passes, its start from k-means included, on rows apart and on rows that mix."""
    for full in (CORRELATED[0], UNIT[0]):
        work = full.of_size(size)
        rows = work.data()
        seconds = fitted(BayesianGaussianMixture, work, rows, time.perf_counter)
        peers = {"scikit-learn": fitted(ScikitLearn, work, rows, time.perf_counter)}
        yield Result("bayesian", f"{work.title}, {PASSES} passes", seconds, peers, "s", WANTED)


def fitted(kind: type, work: Work, rows: np.ndarray, clock: Callable[[], float]) -> float:
    """Time of a fit by a clock; the compiled loop, if there is one, was loaded before."""
    model = kind(
        n_components=work.n_components,
        covariance_type=work.covariance_type,
        max_iter=PASSES,
        tol=0,
        random_state=0,
    )
    if kind is BayesianGaussianMixture:
        model.fit(rows)
    began = clock()
    model.fit(rows)
    return clock() - began
