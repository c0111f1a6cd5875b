"""Seconds a pass against the number of components and of features, up to 4,096 and 1,000.

Rows have random axes in each component, deviations from 1 to 1/30, and lie apart. The start is the
truth, so that passes do what the last ones of a fit do. Each size is held against as many times
the seconds of the smallest as it is larger: growth below linear is a ratio over one.

`python -m tests.benchmarks.sizes TABLE PICTURE` draws both curves from what
`python -m tests.benchmarks sizes --json TABLE` wrote.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from daskgmm import GaussianMixture
from tests.benchmarks.result import Result

ROWS = 200_000
COMPONENTS = (16, 64, 256, 1024, 4096)
FEATURES = (10, 32, 100, 316, 1000)
FEW, NARROW = 8, 32
PASSES = 5


def measure(size: float) -> Iterator[Result]:
    """K from 16 to 4,096 with 32 features, then D from 10 to 1,000 with 8 components."""
    first = None
    for n_components in COMPONENTS:
        seconds = seconds_a_pass(int(ROWS * size), NARROW, n_components)
        first = first or seconds
        linear = first * n_components / COMPONENTS[0]
        work = f"{int(ROWS * size):,} x {NARROW}, K = {n_components}"
        yield Result("sizes", work, seconds, {"linear in K": linear}, "s", 1.0)
    first = None
    for n_features in FEATURES:
        rows = int(ROWS * size) // 10
        seconds = seconds_a_pass(rows, n_features, FEW)
        first = first or seconds
        square = first * (n_features / FEATURES[0]) ** 2
        work = f"{rows:,} x {n_features}, K = {FEW}"
        yield Result("sizes", work, seconds, {"square in D": square}, "s", 1.0)


def seconds_a_pass(n: int, n_features: int, n_components: int) -> float:
    """Median of a few passes from the truth, the first one left out."""
    rng = np.random.default_rng(1)
    means = 3 * (rng.normal(size=(n_components, n_features)) + 1)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    deviations = np.logspace(0, -np.log10(30), n_features)
    labels = np.sort(rng.choice(n_components, size=n, p=weights))
    edges = np.searchsorted(labels, np.arange(n_components + 1))
    rows, precisions = np.empty((n, n_features)), np.empty((n_components, n_features, n_features))
    for k, mean in enumerate(means):
        axes = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
        own = rows[edges[k] : edges[k + 1]]
        own[:] = (rng.normal(size=own.shape) * deviations) @ axes.T + mean
        precisions[k] = (axes / deviations**2) @ axes.T
    rng.shuffle(rows)
    model = GaussianMixture(
        n_components, weights_init=weights, means_init=means, precisions_init=precisions,
        tol=0, max_iter=PASSES,
    )  # fmt: skip
    return median(record["seconds"] for record in model.fit(rows).history_[1:])


def draw(table: Path, picture: Path) -> None:
    """Draw seconds a pass on logarithmic axes, with what the sizes alone would make of them."""
    import matplotlib.pyplot as plt

    results = json.loads(table.read_text())
    figure, both = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    halves = results[: len(COMPONENTS)], results[len(COMPONENTS) :]
    names = "components K, of 32 features", "features D, with 8 components"
    for axes, sizes, own, name in zip(both, (COMPONENTS, FEATURES), halves, names, strict=True):
        (growth,) = own[0]["peers"]
        axes.loglog(sizes, [one["peers"][growth] for one in own], "--", color="0.6", label=growth)
        axes.loglog(sizes, [one["ours"] for one in own], "o-", label="measured")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        axes.minorticks_off()
        axes.set_xlabel(name)
        axes.set_title(f"{own[0]['work'].split(' x ')[0]} rows")
        axes.legend(frameon=False)
    both[0].set_ylabel("seconds a pass")
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
