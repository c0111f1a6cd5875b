"""CPU seconds an iteration where mixtures quantise embeddings, beside FAISS's k-means.

Both have the same rows in single precision, start at the same rows, take all rows into each
iteration, and have one thread, whose time on the processor is taken. FAISS computes a distance for
each row and centre; ours computes densities, responsibilities and second moments besides. Rows are
drawn like embeddings: many clusters, each in a few directions of its own, with a little noise in
all, on a sphere.

FAISS is a peer of this benchmark only: ``pip install faiss-cpu``. Its OpenBLAS is of 2021 and takes
newer processors for the oldest there is: it is told which they are, by what NumPy found.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import dask
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from daskgmm import GaussianMixture
from tests.benchmarks.result import Result, difference

ROWS, FEATURES = 100_000, 384
COMPONENTS = (256, 1024, 4096)
KINDS = ("spherical", "diag", "tied")
CLUSTERS, DIRECTIONS = 2000, 16
PASSES = 3
"""By how many two runs differ, so that what is done once falls out."""

TIMES_FAISS = 3.0


@dataclass(frozen=True)
class Quantisation:
    """Rows (n, D) in single precision, and the rows that K centres start at."""

    rows: np.ndarray
    chosen: np.ndarray

    @classmethod
    def of(cls, n_rows: int, n_components: int) -> "Quantisation":
        """The same rows each time."""
        rng = np.random.default_rng(0)
        centres = rng.normal(size=(CLUSTERS, FEATURES)).astype(np.float32)
        labels = rng.integers(CLUSTERS, size=n_rows)
        rows = centres[labels] + 0.05 * rng.normal(size=(n_rows, FEATURES)).astype(np.float32)
        for cluster in range(CLUSTERS):
            own = labels == cluster
            axes = 0.3 * rng.normal(size=(DIRECTIONS, FEATURES))
            rows[own] += (rng.normal(size=(own.sum(), DIRECTIONS)) @ axes).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return cls(rows, rng.choice(n_rows, n_components, replace=False))

    def ours(self, kind: str) -> float:
        """Seconds of a pass."""
        k, variances = len(self.chosen), self.rows.var(axis=0, dtype=float)
        precisions = {
            "spherical": np.full(k, 1 / variances.mean()),
            "diag": np.tile(1 / variances, (k, 1)),
            "tied": np.diag(1 / variances),
        }

        def fit(passes: int) -> tuple[float, int]:
            model = GaussianMixture(
                k, covariance_type=kind, weights_init=np.full(k, 1 / k), tol=0, max_iter=passes,
                means_init=self.rows[self.chosen].astype(float), precisions_init=precisions[kind],
            )  # fmt: skip
            began = time.process_time()
            with dask.config.set(scheduler="synchronous"), threadpool_limits(1):
                model.fit(self.rows)
            return time.process_time() - began, model.n_iter_

        fit(1)  # what is compiled
        return difference(fit, PASSES)

    def faiss(self) -> float:
        """Seconds an iteration of FAISS, by the difference of two runs."""
        os.environ.setdefault("OPENBLAS_CORETYPE", _kernels())
        import faiss

        faiss.omp_set_num_threads(1)

        def fit(passes: int) -> tuple[float, int]:
            means = faiss.Kmeans(
                FEATURES, len(self.chosen), niter=passes, max_points_per_centroid=10**9,
                min_points_per_centroid=1,
            )  # fmt: skip
            began = time.process_time()
            means.train(self.rows, init_centroids=self.rows[self.chosen])
            return time.process_time() - began, passes

        return difference(fit, PASSES)


def _kernels() -> str:
    """Name of the products that OpenBLAS of 2021 has for this processor."""
    found = {own.get("architecture") for own in threadpool_info()}
    wide = found & {"SkylakeX", "Cooperlake", "SapphireRapids"}
    return "SkylakeX" if wide else "Haswell"


def measure(size: float) -> Iterator[Result]:
    """Each covariance type and number of components."""
    if find_spec("faiss") is None:
        raise SystemExit("FAISS is not installed: pip install faiss-cpu")
    for n_components in COMPONENTS:
        work = Quantisation.of(int(ROWS * size), n_components)
        peers = {"FAISS's k-means": work.faiss()}
        for kind in KINDS:
            sizes = f"{len(work.rows):,} x {FEATURES}, K = {n_components:,}"
            title = f"{sizes}, {kind}, float32, one thread"
            yield Result("quantisation", title, work.ours(kind), peers, "s", 1 / TIMES_FAISS)
