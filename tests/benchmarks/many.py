"""Many models in the same passes over Parquet: whole fits, reading and starts counted.

Ten starts together against ten fits of one start, and a sweep over K = 1 to 10 against ten fits,
each with its BIC. Reading and decoding is shared; the arithmetic is not, so the ratio nears 1
where that dominates. Fixed passes compare like with like; the default settings are what users
get, whose starts are sifted on sampled rows first.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daskgmm import GaussianMixture, GaussianMixtureSelector, open_dataset
from tests.benchmarks.result import Result

ROWS, FEATURES, COMPONENTS = 5_000_000, 20, 8
FILES = 20
STARTS = 10
NUMBERS = range(1, 11)
SETTINGS = {
    "4 passes": {"subsample": None, "tol": 0, "max_iter": 4},
    "defaults": {},
}


def measure(size: float) -> Iterator[Result]:
    """Starts and sweep, with as many passes for all and with the default settings."""
    with tempfile.TemporaryDirectory() as folder:
        rows = write(Path(folder), int(ROWS * size))
        # Compiles, passes and scores.
        warm = GaussianMixtureSelector([1, 2], max_iter=1, subsample=None, random_state=0)
        warm.fit(open_dataset(folder))
        for title, options in SETTINGS.items():
            yield starts(folder, f"{rows:,} x {FEATURES}, {title}", options)
            yield sweep(folder, f"{rows:,} x {FEATURES}, {title}", options)


def starts(folder: str, title: str, options: dict[str, Any]) -> Result:
    """Ten starts of K = 8 in one fit, and ten times one start."""

    def fit(n_init: int) -> float:
        model = GaussianMixture(COMPONENTS, n_init=n_init, random_state=0, **options)
        return seconds(lambda: model.fit(open_dataset(folder)))

    one = fit(1)
    work = f"{STARTS} starts, K = {COMPONENTS}, {title}"
    return Result("many", work, fit(STARTS), {"a fit for each": STARTS * one}, "s", STARTS / 3)


def sweep(folder: str, title: str, options: dict[str, Any]) -> Result:
    """K = 1 to 10 in one selection, and in ten fits with their BIC."""

    def fit(n_components: int) -> None:
        rows = open_dataset(folder)
        GaussianMixture(n_components, random_state=0, **options).fit(rows).bic(rows)

    apart = sum(seconds(lambda k=k: fit(k)) for k in NUMBERS)
    selector = GaussianMixtureSelector(NUMBERS, random_state=0, **options)
    together = seconds(lambda: selector.fit(open_dataset(folder)))
    work = f"K = {NUMBERS[0]} to {NUMBERS[-1]}, {title}"
    return Result("many", work, together, {"a fit for each": apart}, "s", 3.0)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def write(folder: Path, rows: int) -> int:
    """Write rows from overlapping Gaussians as Parquet; return how many."""
    rng = np.random.default_rng(0)
    centres = 1.5 * rng.normal(size=(COMPONENTS, FEATURES))
    each = rows // FILES
    for number in range(FILES):
        labels = rng.integers(COMPONENTS, size=each)
        values = centres[labels] + rng.normal(size=(each, FEATURES))
        table = pa.table({f"x{i}": values[:, i] for i in range(FEATURES)})
        pq.write_table(table, folder / f"{number:02}.parquet")
    return each * FILES
