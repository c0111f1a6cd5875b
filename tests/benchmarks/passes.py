"""Full passes until a fit ends, on the recipe of the design: overlapping clusters, most D = K = 8.

Each pass over rows counts, those of the initialisation and refused trials included. Fewer passes
to a worse end are no gain, so what is printed of each comparison tells how the lower bounds (nats
a row) differ: starts differ, so single runs end at other optima, now better and now worse.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture
from tests.benchmarks.result import Result

ROWS = 800_000
SEPARATIONS = (0.7, 1.0, 1.5)
SEEDS = 10
FEWEST_SEEDS = 2
MANY = 1000

SHAPES = ((2, 10), (10, 50), (20, 32))
"""D and K of other fits with the defaults, for what is usual."""
ROWS_OF_SHAPES, SEEDS_OF_SHAPES = 500_000, 3


@dataclass(frozen=True)
class Comparison:
    """Two ways to fit the same rows.

    Parameters
    ----------
    title : str
    ours, peer : mapping
        Constructor parameters.
    wanted : float
        Least ratio of the peer's passes to ours.
    """

    title: str
    ours: Mapping[str, object]
    peer: Mapping[str, object]
    wanted: float


COMPARISONS = (
    Comparison("defaults (tol 1e-3)", {}, {"subsample": None}, 2.0),
    Comparison("defaults but tol 1e-5", {"tol": 1e-5}, {"tol": 1e-5, "subsample": None}, 2.0),
    Comparison(
        "squarem, tol 1e-6, same starts",
        {"tol": 1e-6, "subsample": None, "acceleration": "squarem"},
        {"tol": 1e-6, "subsample": None},
        1 / 0.7,
    ),
)


def measure(size: float) -> Iterator[Result]:
    """Passes of each comparison, all separations and seeds together."""
    rows, seeds = int(ROWS * size), max(round(SEEDS * size), FEWEST_SEEDS)
    runs = [(separation, seed) for separation in SEPARATIONS for seed in range(seeds)]
    found: dict[str, list[tuple[GaussianMixture, GaussianMixture]]] = {}
    for separation, seed in runs:
        X = clusters(rows, separation, seed)
        for one in COMPARISONS:
            pair = fitted(X, seed, one.ours), fitted(X, seed, one.peer)
            found.setdefault(one.title, []).append(pair)
    for one in COMPARISONS:
        ours, plain = zip(*found[one.title], strict=True)
        yield Result(
            "passes",
            f"{one.title}: {len(runs)} runs, {rows:,} rows; {ends(ours, plain)}",
            sum(model.n_passes_ for model in ours),
            {"plain EM": sum(model.n_passes_ for model in plain)},
            "passes",
            one.wanted,
        )
    yield from (_usual(int(ROWS_OF_SHAPES * size), *shape) for shape in SHAPES)


def _usual(rows: int, n_features: int, n_components: int) -> Result:
    """The median and range of fits with the defaults."""
    passes = [
        fitted(
            clusters(rows, separation, seed, n_features, n_components), seed, {}, n_components
        ).n_passes_
        for separation in SEPARATIONS
        for seed in range(SEEDS_OF_SHAPES)
    ]
    work = f"defaults, {n_features} columns, K = {n_components}: {len(passes)} runs, {rows:,} rows"
    work += f"; {min(passes)} to {max(passes)}"
    return Result("passes", work, median(passes), {"most": max(passes)}, "passes", 1.0)


def clusters(
    rows: int, separation: float, seed: int, n_features: int = 8, n_components: int = 8
) -> np.ndarray:
    """Rows (n, D) of K Gaussians with other shapes, sizes and places for each seed."""
    rng = np.random.default_rng(seed)
    centres = separation * rng.normal(size=(n_components, n_features))
    shapes = rng.normal(size=(n_components, n_features, n_features)) * 0.6 / np.sqrt(n_features)
    shapes += 0.8 * np.eye(n_features)
    labels = rng.choice(n_components, size=rows, p=rng.dirichlet(np.full(n_components, 5.0)))
    found = rng.normal(size=(rows, n_features))
    for k, (centre, shape) in enumerate(zip(centres, shapes, strict=True)):
        found[labels == k] = centre + found[labels == k] @ shape
    return found


def fitted(
    X: np.ndarray, seed: int, parameters: Mapping[str, object], n_components: int = 8
) -> GaussianMixture:
    """A mixture that has converged."""
    model = GaussianMixture(n_components, random_state=seed, max_iter=MANY, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        return model.fit(X)


def ends(ours: tuple[GaussianMixture, ...], plain: tuple[GaussianMixture, ...]) -> str:
    """How our lower bounds compare with the peer's."""
    gains = np.array([a.lower_bound_ - b.lower_bound_ for a, b in zip(ours, plain, strict=True)])
    lower = ", ".join(f"{(gains < -by).sum()} by {by:g}" for by in (1e-6, 1e-4, 1e-3))
    higher = ", ".join(f"{(gains > by).sum()} by {by:g}" for by in (1e-4, 1e-3))
    return f"bound {gains.mean():+.1e} on average, lower in {lower}, higher in {higher}"
