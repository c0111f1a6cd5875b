"""CPU seconds of a pass over rows with missing values, beside one over the same rows complete.

A pass is the E-step and its sums on one thread, over blocks as they come from files. Of patterns
that are rare, what a pass sets up once counts for more, so the share of rows is not the whole cost.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np

from daskgmm import GaussianMixture
from daskgmm.model.expectation import Accumulator, Expectation
from daskgmm.model.kernels.compiled import compile_ahead
from daskgmm.model.missing.patterns import Missing
from daskgmm.passes.engine.blas import one_thread
from tests.benchmarks.result import Result
from tests.benchmarks.works import WORKS, Work

BLOCK_ROWS = 2**17
TIMES = 3
DOUBLE = np.dtype(np.float64)


def one_column(rows: np.ndarray, random: np.random.Generator) -> None:
    """The same column in half of the rows."""
    rows[random.random(len(rows)) < 0.5, rows.shape[1] // 2] = np.nan


def any_column(rows: np.ndarray, random: np.random.Generator) -> None:
    """One column or another in half of the rows."""
    chosen = np.flatnonzero(random.random(len(rows)) < 0.5)
    rows[chosen, random.integers(rows.shape[1], size=len(chosen))] = np.nan


def any_values(rows: np.ndarray, random: np.random.Generator) -> None:
    """A tenth of all values."""
    rows[random.random(rows.shape) < 0.1] = np.nan


KINDS: dict[str, tuple[Callable[[np.ndarray, np.random.Generator], None], float]] = {
    "one column in half of the rows": (one_column, 0.5),
    "any one column in half of the rows": (any_column, 0.2),
    "a tenth of all values": (any_values, 0.005),
}
"""What is missing, and the least ratio of the complete pass to this one."""


def measure(size: float) -> Iterator[Result]:
    """Each work of the EM benchmark."""
    for full in WORKS:
        work = full.of_size(size)
        rows = work.data()
        start = work.start(rows) | {"max_iter": 1}
        model = GaussianMixture(**start).fit(rows)  # type: ignore[arg-type]
        complete = seconds(work, model, rows, Missing.ERROR)
        for title, (make, wanted) in KINDS.items():
            gappy = rows.copy()
            make(gappy, np.random.default_rng(0))
            found = seconds(work, model, gappy, Missing.MARGINALIZE)
            peers = {"complete": complete}
            yield Result("missing", f"{work.title}, {title}", found, peers, "s", wanted)


def seconds(work: Work, model: GaussianMixture, rows: np.ndarray, missing: Missing) -> float:
    """CPU seconds of a pass, the least of several."""
    compile_ahead(DOUBLE, DOUBLE)
    own = model._predictor
    z = rows - own.frame.origin
    scatter = None
    if own.mixture.covariance.needs_scatter:
        known = z[~np.isnan(z).any(axis=1)] / own.frame.scale
        scatter = known.T @ known
    columns, least = np.ascontiguousarray(rows.T), np.inf
    with one_thread():
        for _ in range(TIMES):
            expectation = Expectation(
                (own.mixture,), own.frame, DOUBLE, scatter, compiled=True, missing=missing
            )
            began = time.thread_time()
            accumulate = Accumulator(expectation)
            for first in range(0, work.rows, BLOCK_ROWS):
                block = columns[:, first : first + BLOCK_ROWS]
                expectation.complete(accumulate([(block, None)]))
            least = min(least, time.thread_time() - began)
    return least
