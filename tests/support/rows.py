"""A model and rows in several parts, for tests of what is written of them."""

from dataclasses import dataclass
from pathlib import Path
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
