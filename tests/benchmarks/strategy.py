"""What the ways through the compiled loop take on one core, beside the costs that choose them.

Those costs are written down in `daskgmm.model.kernels.costs`; where a machine's differ by more
than a factor of two, tiles may go a way that is not the cheapest.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from daskgmm.model.covariance import covariance_named
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import Kernel
from daskgmm.model.kernels.compiled import CompiledKernel
from daskgmm.model.kernels.costs import costs
from daskgmm.model.mixture import Mixture
from tests.benchmarks.result import Result
from tests.support.strategies import ALL_PAIRS, LISTED, SCREENED

ROWS, COMPONENTS = 100_000, 16
WIDTHS = (2, 4, 8, 16, 32, 64)
FAR = 1e3
"""Deviations between components, so that one pair a row counts."""


def measure(size: float) -> Iterator[Result]:
    """Nanoseconds a row and component, by each way, for matrices and for variances."""
    rows = max(int(ROWS * size), 5000)
    for kind in ("full", "diag"):
        for width in WIDTHS:
            together, apart = mixture(kind, width, 0.0), mixture(kind, width, FAR)
            parts, length = costs().of(together), together.covariance.feature_length(width)
            for dtype in (np.dtype(np.float64), np.dtype(np.float32)):
                pair = parts.pair.of(width, dtype)
                every, logit = parts.all_pairs(width, dtype)
                listed = parts.listed.of(width, dtype)
                bound = parts.bound.of(width, dtype) + parts.entry.of(width, dtype) / COMPONENTS
                features = parts.features.of(length, COMPONENTS, dtype)
                result = partial(_result, f"{kind}, D = {width}, {dtype}", rows, dtype)
                yield result("features", CompiledKernel, together, features)
                yield result("all pairs", ALL_PAIRS, together, every)
                yield result("listed, all count", LISTED, together, logit + listed)
                yield result("listed, one counts", LISTED, apart, logit + listed / COMPONENTS)
                yield result("screened, all count", SCREENED, together, bound + pair)
                one = bound + pair / COMPONENTS
                yield result("screened, one counts", SCREENED, apart, one)


def mixture(kind: str, n_features: int, apart: float) -> Mixture:
    """Unit covariances, so that the feature form serves, around means so many deviations apart."""
    covariance = covariance_named(kind)
    shape = covariance.shape(COMPONENTS, n_features)
    unit = np.broadcast_to(np.eye(n_features), shape) if covariance.has_matrices else np.ones(shape)
    means = apart * np.random.default_rng(0).normal(size=(COMPONENTS, n_features))
    weights = np.full(COMPONENTS, 1 / COMPONENTS)
    return Mixture.from_covariances(covariance, weights, means, unit)


def _result(
    case: str,
    n: int,
    dtype: np.dtype[Any],
    way: str,
    kernel: Callable[..., Kernel],
    one: Mixture,
    reckoned: float,
) -> Result:
    rng = np.random.default_rng(1)
    rows = one.means[rng.integers(COMPONENTS, size=n)] + rng.normal(size=(n, one.n_features))
    taken = _nanoseconds(kernel, one, rows.astype(dtype).T, dtype) / COMPONENTS
    off = max(taken / reckoned, reckoned / taken)
    work = f"{case}, {way}: {taken:.3g} ns, reckoned {reckoned:.3g}"
    return Result("strategy", work, off, {"at most": 2.0}, "times off", 1.0)


def _nanoseconds(
    kernel: Callable[..., Kernel], one: Mixture, rows: Any, dtype: np.dtype[Any]
) -> float:
    """Least of three times a row."""
    made = kernel([one], Frame.identity(one.n_features), dtype)
    with threadpool_limits(1):
        made.add(rows[:, :5000])  # compiles
        seconds = []
        for _ in range(3):
            began = time.thread_time()
            made.add(rows)
            seconds.append(time.thread_time() - began)
    return 1e9 * min(seconds) / rows.shape[1]
