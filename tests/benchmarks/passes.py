"""Full passes until a fit ends, on the recipe of the design: overlapping clusters, D = K = 8.

Each pass over rows counts, those of the initialisation and refused trials included. Fewer passes
to a worse end are no gain, so what is printed of each comparison tells how the lower bounds (nats
a row) differ: starts differ, so single runs end at other optima, now better and now worse.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture
from tests.benchmarks.result import Result

ROWS = 800_000
SEPARATIONS = (0.7, 1.0, 1.5)
SEEDS = 10
FEWEST_SEEDS = 2
MANY = 1000


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


def clusters(rows: int, separation: float, seed: int) -> np.ndarray:
    """Rows (n, 8) of 8 Gaussians with other shapes, sizes and places for each seed."""
    rng = np.random.default_rng(seed)
    centres = separation * rng.normal(size=(8, 8))
    shapes = rng.normal(size=(8, 8, 8)) * 0.6 / np.sqrt(8) + 0.8 * np.eye(8)
    labels = rng.choice(8, size=rows, p=rng.dirichlet(np.full(8, 5.0)))
    found = rng.normal(size=(rows, 8))
    for k, (centre, shape) in enumerate(zip(centres, shapes, strict=True)):
        found[labels == k] = centre + found[labels == k] @ shape
    return found


def fitted(X: np.ndarray, seed: int, parameters: Mapping[str, object]) -> GaussianMixture:
    """A mixture of 8 that has converged."""
    model = GaussianMixture(8, random_state=seed, max_iter=MANY, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        return model.fit(X)


def ends(ours: tuple[GaussianMixture, ...], plain: tuple[GaussianMixture, ...]) -> str:
    """How our lower bounds compare with the peer's."""
    gains = np.array([a.lower_bound_ - b.lower_bound_ for a, b in zip(ours, plain, strict=True)])
    lower = ", ".join(f"{(gains < -by).sum()} by {by:g}" for by in (1e-6, 1e-4, 1e-3))
    higher = ", ".join(f"{(gains > by).sum()} by {by:g}" for by in (1e-4, 1e-3))
    return f"bound {gains.mean():+.1e} on average, lower in {lower}, higher in {higher}"
