"""Rows for tests to fit, in memory and in files: the same for the same arguments."""

from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd

from daskgmm import GaussianMixture

NAMES = ["a", "b"]
N, K = 1000, 3


@dataclass(frozen=True)
class Rows:
    """Rows (1000, 2) in two Parquet files of 250, 250, 100 and 400 rows, and a model of them."""

    folder: Path
    frame: pd.DataFrame
    model: Any

    @property
    def parquet(self) -> Path:
        """The folder of files."""
        return self.folder / "rows"

    @property
    def csv(self) -> Path:
        """The same in one file, of which nobody knows the length."""
        return self.folder / "rows.csv"

    @property
    def saved(self) -> Path:
        """The model's file."""
        return self.folder / "model.safetensors"


def prepare(folder: Path) -> Rows:
    """Write them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 2)) + rng.integers(0, K, (N, 1)) * 5, columns=NAMES)
    frame["id"] = np.arange(N)
    frame["word"] = [f"w{i}" for i in range(N)]
    (folder / "rows").mkdir()
    frame[:600].to_parquet(folder / "rows" / "0.parquet", row_group_size=250, index=False)
    frame[600:].to_parquet(folder / "rows" / "1.parquet", index=False)
    frame.to_csv(folder / "rows.csv", index=False)
    model = GaussianMixture(K, random_state=0).fit(frame[NAMES])
    model.save(folder / "model.safetensors")
    return Rows(folder, frame, model)


def gaussian(n, n_features, seed=1, dtype=np.float64):
    """Rows (n, D) of one Gaussian at the origin, with standard deviation 2."""
    return np.random.default_rng(seed).normal(0, 2, (n, n_features)).astype(dtype)


def separated(n=300, seed=0, *, apart=6.0, offset=0.0):
    """Rows (n, 2) of three round clusters at the corners of a triangle, with legs `apart` long."""
    random = np.random.default_rng(seed)
    centres = apart * np.array([[0, 0], [1, 0], [0, 1]])
    return offset + centres[random.integers(0, 3, n)] + random.normal(size=(n, 2))


def overlapping(n, n_features, seed=0, *, n_clusters=3, spread=2.0):
    """Rows (n, D) of round clusters whose centres have the standard deviation `spread`."""
    random = np.random.default_rng(seed)
    centres = random.normal(0, spread, (n_clusters, n_features))
    labels = random.integers(0, n_clusters, n)
    return centres[labels] + random.normal(size=(n, n_features))


def two_groups(n=2_000, n_features=3, *, apart=4.0):
    """Rows (n, D) whose first half is `apart` from the second in each feature."""
    rows = np.random.default_rng(0).normal(size=(n, n_features))
    rows[: n // 2] += apart
    return rows


def parquet_of(rows, path, row_group_size=None):
    """Write rows (n, D) with the columns a, b, c, ... and return the path."""
    frame = pd.DataFrame(rows, columns=list(ascii_lowercase[: rows.shape[1]]))
    frame.to_parquet(path, row_group_size=row_group_size)
    return path


def correlated(n, n_features, n_components, *, spread, apart, seed=5):
    """Rows (n, D) with random axes in each component, and the component of each.

    Deviations fall from 1 to 1 / spread, and centres are `apart` deviations from the origin along
    each feature.
    """
    rng = np.random.default_rng(seed)
    centres = apart * rng.normal(size=(n_components, n_features))
    labels = np.arange(n) % n_components
    deviations = np.logspace(0, -np.log10(spread), n_features)
    rows = np.empty((n, n_features))
    for k, centre in enumerate(centres):
        axes, own = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0], labels == k
        rows[own] = (rng.normal(size=(own.sum(), n_features)) * deviations) @ axes.T + centre
    return rows, labels
