"""Seconds an EM iteration on rows in memory, Dask's overhead counted, all on the same cores."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.mixture import GaussianMixture as ScikitLearn

from daskgmm import GaussianMixture
from daskgmm.model.covariance import covariance_named
from tests.benchmarks.hardware import bandwidth, product_rate
from tests.benchmarks.result import Result, difference
from tests.benchmarks.spark import seconds_a_pass
from tests.benchmarks.works import WORKS, Work

PASSES = 8


def measure(size: float) -> Iterator[Result]:
    """Works A to D, tied and spherical in float64; then what float32 gains."""
    for work in WORKS:
        smaller = replace(work, rows=int(work.rows * size))
        rows = smaller.data()
        seconds = ours(smaller, rows)
        peers = {"scikit-learn": scikit_learn(smaller, rows)}
        if work.covariance_type in ("full", "diag"):
            peers["daal4py"] = daal(smaller, rows)
        if work.name == "A" and shutil.which("java"):
            peers["Spark"] = spark(smaller, rows)
        yield Result(
            "iteration", smaller.title, seconds, peers, "s", 2.0, limit(smaller, "float64")
        )
        if work.name in ("B", "C"):
            single = ours(smaller, rows.astype(np.float32))
            yield Result(
                "iteration", f"{smaller.title}, float32", single, {"ours in float64": seconds},
                "s", 1.6, limit(smaller, "float32"),
            )  # fmt: skip


def ours(work: Work, rows: np.ndarray) -> float:
    """Ours in this process, on as many threads as cores."""
    model = GaussianMixture(max_iter=PASSES, **work.start()).fit(rows)
    return median(record["seconds"] for record in model.history_)


def scikit_learn(work: Work, rows: np.ndarray) -> float:
    """scikit-learn: the difference of two fits, so that what is done once falls out."""

    def fit(passes: int) -> tuple[float, int]:
        began = time.perf_counter()
        model = ScikitLearn(max_iter=passes, **work.start()).fit(rows)
        return time.perf_counter() - began, model.n_iter_

    return difference(fit, 2)


def daal(work: Work, rows: np.ndarray) -> float:
    """Intel's oneDAL through daal4py, likewise."""
    import daal4py

    start = work.start()
    covariances = 1 / start["precisions_init"]
    if work.covariance_type == "full":
        covariances = [np.linalg.inv(precision) for precision in start["precisions_init"]]
    else:
        covariances = [own[np.newaxis] for own in covariances]
    storage = "full" if work.covariance_type == "full" else "diagonal"

    def fit(passes: int) -> tuple[float, int]:
        algorithm = daal4py.em_gmm(
            nComponents=work.n_components, maxIterations=passes, accuracyThreshold=0.0,
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


def limit(work: Work, dtype: str) -> float:
    """Seconds that the two products, or reading the rows, would take at the machine's rates."""
    length = covariance_named(work.covariance_type).feature_length(work.n_features)
    operations = 4 * work.rows * length * work.n_components
    volume = work.rows * work.n_features * np.dtype(dtype).itemsize
    return max(operations / product_rate(dtype), volume / bandwidth())
