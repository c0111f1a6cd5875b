"""The works that are timed: rows, D, K and covariance type, with the same start for all.

`CORRELATED` are rows as people have them: each component has axes of its own, deviations that fall
over one to three decades, and another weight; all lie off the origin. `REAL` are the tables that
scikit-learn brings, tiled with jitter to sizes that can be timed. `UNIT` are rows around centres
with unit covariance, where hardly a component needs more than the feature form.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import numpy as np
from sklearn import datasets


@dataclass(frozen=True)
class Work:
    """One row of the table.

    Parameters
    ----------
    name : str
    rows, n_features, n_components : int
    covariance_type : str
    draw : callable
        Makes the rows (n, D), given the work and a generator.
    wanted : float
        How many times faster than the best peer it is to be.
    wanted_single : float
        How many times faster float32 is to be.
    """

    name: str
    rows: int
    n_features: int
    n_components: int
    covariance_type: str
    draw: Callable[[Self, np.random.Generator], np.ndarray]
    wanted: float = 2.0
    wanted_single: float | None = field(default=None)

    @property
    def title(self) -> str:
        """Name and sizes, for the table."""
        sizes = f"{self.rows:,} x {self.n_features}, K = {self.n_components}"
        return f"{self.name}: {sizes}, {self.covariance_type}"

    def of_size(self, share: float) -> "Work":
        """The same with a share of the rows."""
        return replace(self, rows=int(self.rows * share))

    def data(self) -> np.ndarray:
        """Rows (n, D), always the same."""
        return self.draw(self, np.random.default_rng(1))

    def start(self, rows: np.ndarray) -> dict[str, object]:
        """Parameters of every peer: the same start at single rows, and no early stop."""
        k = self.n_components
        drawn = np.random.default_rng(0).choice(len(rows), k, replace=False)
        variances = np.maximum(rows.var(axis=0), 1e-6)
        precisions = {
            "full": np.stack([np.diag(1 / variances)] * k),
            "tied": np.diag(1 / variances),
            "diag": np.stack([1 / variances] * k),
            "spherical": np.full(k, 1 / variances.mean()),
        }
        return {
            "n_components": k,
            "covariance_type": self.covariance_type,
            "weights_init": np.full(k, 1 / k),
            "means_init": rows[drawn].astype(float),
            "precisions_init": precisions[self.covariance_type],
            "tol": 0,
        }


def correlated(
    work: Work, rng: np.random.Generator, *, spread: float, apart: float = 3.0
) -> np.ndarray:
    """Random axes in each component, deviations from 1 to 1 / spread, unequal weights.

    Centres are `apart` of the largest deviations from their middle along each column, and that is
    as far from the origin again.
    """
    k, n_features = work.n_components, work.n_features
    centres = apart * (rng.normal(size=(k, n_features)) + 1)
    labels = rng.choice(k, size=work.rows, p=rng.dirichlet(np.full(k, 5.0)))
    deviations = np.logspace(0, -np.log10(spread), n_features)
    rows = np.empty((work.rows, n_features))
    for component in range(k):
        own = labels == component
        noise = rng.normal(size=(own.sum(), n_features))
        if work.covariance_type == "full":
            axes = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
            rows[own] = (noise * deviations) @ axes.T + centres[component]
        else:
            rows[own] = noise * rng.permutation(deviations) + centres[component]
    return rows


def tiled(work: Work, rng: np.random.Generator, *, load: Callable[..., object]) -> np.ndarray:
    """A small real table again and again, with jitter of a tenth of each column's deviation."""
    table = load().data
    table = table[:, table.std(axis=0) > 0]
    found = table[rng.integers(len(table), size=work.rows)]
    return found + 0.1 * table.std(axis=0) * rng.normal(size=found.shape)


def unit(work: Work, rng: np.random.Generator) -> np.ndarray:
    """Overlapping Gaussians of unit covariance."""
    centres = 1.5 * np.random.default_rng(0).normal(size=(work.n_components, work.n_features))
    labels = rng.integers(work.n_components, size=work.rows)
    return centres[labels] + rng.normal(size=(work.rows, work.n_features))


def _rows(spread: float, apart: float = 3.0) -> Callable[..., np.ndarray]:
    return partial(correlated, spread=spread, apart=apart)


CORRELATED = (
    Work("A, 1/100", 1_000_000, 10, 10, "full", _rows(100), 2.0, 1.0),
    Work("P, 1/1000", 2_000_000, 4, 5, "full", _rows(1000), 2.0, 1.0),
    Work("B, 1/100", 200_000, 50, 20, "full", _rows(100), 8.0, 1.6),
    Work("W, 1/30", 50_000, 200, 8, "full", _rows(30), 20.0, 1.6),
    Work("C, 1/100", 500_000, 64, 64, "diag", _rows(100), 6.0, 1.6),
    Work("O, 1/10, overlapping", 500_000, 20, 10, "full", _rows(10, 0.5), 1.5, 1.0),
    Work("L, 1/30", 50_000, 32, 200, "full", _rows(30), 30.0, 1.0),
)

REAL = (
    Work("breast cancer", 200_000, 30, 8, "full", partial(tiled, load=datasets.load_breast_cancer)),
    Work("digits", 100_000, 61, 10, "full", partial(tiled, load=datasets.load_digits)),
    Work("diabetes", 500_000, 10, 3, "full", partial(tiled, load=datasets.load_diabetes)),
    Work("wine", 500_000, 13, 6, "diag", partial(tiled, load=datasets.load_wine)),
)

UNIT = (
    Work("A, unit", 1_000_000, 10, 10, "full", unit),
    Work("B, unit", 200_000, 50, 20, "full", unit, 2.0, 1.6),
    Work("C, unit", 500_000, 64, 64, "diag", unit, 2.0, 1.6),
    Work("D, unit", 5_000_000, 2, 3, "full", unit, 1.5),
    Work("tied, unit", 500_000, 50, 20, "tied", unit),
    Work("spherical, unit", 500_000, 50, 20, "spherical", unit),
)

WORKS = (*CORRELATED, *REAL, *UNIT)
