"""The works that are timed: rows, D, K and covariance type, with start values for all."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Work:
    """One row of the table.

    Parameters
    ----------
    name : str
    rows, n_features, n_components : int
    covariance_type : str
    """

    name: str
    rows: int
    n_features: int
    n_components: int
    covariance_type: str

    @property
    def title(self) -> str:
        """Name and sizes, for the table."""
        sizes = f"{self.rows:,} x {self.n_features}, K = {self.n_components}"
        return f"{self.name}: {sizes}, {self.covariance_type}"

    @property
    def centres(self) -> np.ndarray:
        """Where the rows' Gaussians lie, of shape (K, D)."""
        rng = np.random.default_rng(0)
        return 1.5 * rng.normal(size=(self.n_components, self.n_features))

    def data(self) -> np.ndarray:
        """Rows (n, D) from overlapping Gaussians, always the same."""
        rng = np.random.default_rng(1)
        labels = rng.integers(self.n_components, size=self.rows)
        return self.centres[labels] + rng.normal(size=(self.rows, self.n_features))

    def start(self) -> dict[str, object]:
        """Constructor parameters of every peer: the same start, and no early stop."""
        n_components, n_features = self.n_components, self.n_features
        precisions = {
            "full": np.stack([np.eye(n_features)] * n_components) / 4,
            "tied": np.eye(n_features) / 4,
            "diag": np.full((n_components, n_features), 0.25),
            "spherical": np.full(n_components, 0.25),
        }
        return {
            "n_components": n_components,
            "covariance_type": self.covariance_type,
            "weights_init": np.full(n_components, 1 / n_components),
            "means_init": self.centres + 0.5,
            "precisions_init": precisions[self.covariance_type],
            "tol": 0,
        }


WORKS = (
    Work("A", 1_000_000, 10, 10, "full"),
    Work("B", 200_000, 50, 20, "full"),
    Work("C", 500_000, 64, 64, "diag"),
    Work("D", 5_000_000, 2, 3, "full"),
    Work("tied", 500_000, 50, 20, "tied"),
    Work("spherical", 500_000, 50, 20, "spherical"),
)
