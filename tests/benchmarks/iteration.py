"""Seconds an EM iteration on rows in memory, Dask's overhead counted, all on the same cores."""

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.mixture import GaussianMixture as ScikitLearn

from daskgmm import GaussianMixture
from daskgmm.model.covariance import covariance_named
from daskgmm.model.screening import MOST_DIRECTIONS
from tests.benchmarks.hardware import bandwidth, product_rate
from tests.benchmarks.result import Result, difference
from tests.benchmarks.spark import seconds_a_pass, spark_is_here
from tests.benchmarks.works import WORKS, Work

PASSES = 8

FITS = 3
"""Of ours in each type, of which the median counts."""

GAP = 40.0
"""Nats below a row's best component from which a pair counts for nothing in its density."""


def measure(size: float, chosen: Sequence[str] = ("",)) -> Iterator[Result]:
    """Each work in float64 beside its peers, then what float32 gains.

    Of those alone whose names begin with one that was chosen.
    """
    # Python looks through all that is loaded once in a while, for a seventh of a second here: that
    # is no pass of anybody's.
    gc.collect()
    gc.freeze()
    for full in (work for work in WORKS if work.name.startswith(tuple(chosen))):
        work = full.of_size(size)
        rows = work.data()
        start = work.start(rows)
        dtypes = ("float64",) if work.wanted_single is None else ("float64", "float32")
        seconds, model = ours(rows, start, dtypes)
        peers = {"scikit-learn": scikit_learn(rows, start)}
        if work.covariance_type in ("full", "diag"):
            with suppress(RuntimeError):  # it fails on some rows
                peers["daal4py"] = daal(rows, start)
        if work.name == "A, unit" and spark_is_here():
            peers["Spark"] = spark(work, rows)
        share = pairs_that_count(model, rows)
        title = f"{work.title} ({share:.0%} of pairs count)"
        yield Result(
            "iteration", title, seconds["float64"], peers, "s", work.wanted,
            limit(work, "float64", share),
        )  # fmt: skip
        if work.wanted_single is not None:
            yield Result(
                "iteration", f"{work.title}, float32", seconds["float32"],
                {"ours in float64": seconds["float64"]}, "s", work.wanted_single,
                limit(work, "float32", share),
            )  # fmt: skip


def ours(
    rows: np.ndarray, start: dict[str, object], dtypes: Sequence[str]
) -> tuple[dict[str, float], GaussianMixture]:
    """Ours in this process, on as many threads as cores, by the type of rows; and a model.

    Passes differ in the pairs that count, so it is their mean; the first one, which may compile,
    falls out as it does with the peers. A machine that others use is faster at one time than at
    another: fits of all types take turns, and of each the median counts.
    """
    seconds: dict[str, list[float]] = {dtype: [] for dtype in dtypes}
    for _ in range(FITS):
        for dtype, found in seconds.items():
            model = GaussianMixture(max_iter=PASSES, **start).fit(rows.astype(dtype, copy=False))
            found.append(mean(record["seconds"] for record in model.history_[1:]))
    return {dtype: median(found) for dtype, found in seconds.items()}, model


def pairs_that_count(model: GaussianMixture, rows: np.ndarray) -> float:
    """Share of the pairs (row, component) within `GAP` of the row's best, on some rows."""
    with np.errstate(divide="ignore"):
        logs = np.log(model.predict_proba(rows[:: max(len(rows) // 5000, 1)].astype(float)))
    return float((logs > logs.max(axis=1, keepdims=True) - GAP).mean())


def scikit_learn(rows: np.ndarray, start: dict[str, object]) -> float:
    """scikit-learn: the difference of two fits, so that what is done once falls out."""

    def fit(passes: int) -> tuple[float, int]:
        began = time.perf_counter()
        model = ScikitLearn(max_iter=passes, **start).fit(rows)
        return time.perf_counter() - began, model.n_iter_

    return difference(fit, 2)


def daal(rows: np.ndarray, start: dict[str, Any]) -> float:
    """Intel's oneDAL through daal4py, likewise."""
    import daal4py

    full = start["covariance_type"] == "full"
    covariances = 1 / start["precisions_init"]
    if full:
        covariances = [np.linalg.inv(precision) for precision in start["precisions_init"]]
    else:
        covariances = [own[np.newaxis] for own in covariances]
    storage = "full" if full else "diagonal"

    def fit(passes: int) -> tuple[float, int]:
        algorithm = daal4py.em_gmm(
            nComponents=start["n_components"], maxIterations=passes, accuracyThreshold=0.0,
            covarianceStorage=storage,
        )  # fmt: skip
        began = time.perf_counter()
        weights = start["weights_init"][np.newaxis]
        found = algorithm.compute(rows, weights, start["means_init"], covariances)
        return time.perf_counter() - began, int(found.nIterations[0, 0])

    return difference(fit, PASSES // 2)


def spark(work: Work, rows: np.ndarray) -> float:
    """Spark's MLlib in one process, on rows that it holds in memory; its start is its own."""
    names = [f"x{d}" for d in range(work.n_features)]
    with TemporaryDirectory() as folder:
        path = f"{folder}/rows.parquet"
        pq.write_table(pa.table(dict(zip(names, rows.T, strict=True))), path)
        return seconds_a_pass([path], names, work.n_components, passes=4, memory="8g")


def limit(work: Work, dtype: str, share: float = 1.0) -> float:
    """Seconds that the pairs that count would take at the rate of large products.

    That is whitening and second moments of the rows that a component shares, a triangle each, and
    the bounds on all pairs that find those, or both products of the feature form, whichever is
    less; at least as long as reading the rows takes.
    """
    n_features, pairs = work.n_features, work.rows * work.n_components
    length = covariance_named(work.covariance_type).feature_length(n_features)
    by_features = 4 * pairs * length / product_rate(dtype)
    if work.covariance_type == "full":
        operations = 2 * share * pairs * n_features * (n_features + 1)
        operations += 2 * MOST_DIRECTIONS * pairs * n_features
    else:  # a subtraction, and two multiplications with additions, in vectors; bounds have one less
        operations = 5 * share * pairs * n_features
        operations += 4 * (MOST_DIRECTIONS + 1) * pairs
    counted = operations / product_rate(dtype)
    volume = work.rows * n_features * np.dtype(dtype).itemsize
    return max(min(by_features, counted), volume / bandwidth())
