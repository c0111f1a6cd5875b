"""Fit, score and label several times more rows than the workers' memory holds.

Run ``python examples/out_of_core.py``; ``--help`` tells the sizes that can be chosen. It writes
rows drawn from a known mixture as a Parquet data set, starts workers with a memory limit, and
reports how long a pass takes, what each worker's memory peaked at, whether any was restarted
or paused, and how close the fitted means are to the true ones. It exits with 1 if a worker
was restarted or a mean was missed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from dask.utils import format_bytes, parse_bytes
from distributed import Client, LocalCluster

from daskgmm import GaussianMixture, open_dataset

ROWS_PER_GROUP = 100_000
GROUPS_PER_FILE = 10


@dataclass(frozen=True)
class Truth:
    """The mixture that rows are drawn from.

    Parameters
    ----------
    weights : ndarray of shape (K,)
    means : ndarray of shape (K, D)
    factors : ndarray of shape (K, D, D)
        Square roots of the covariances.
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    @classmethod
    def random(cls, n_components: int, n_features: int, seed: int) -> "Truth":
        """Overlapping clusters, correlated, the heaviest three times the lightest."""
        rng = np.random.default_rng(seed)
        weights = np.linspace(1, 3, n_components)
        return cls(
            weights / weights.sum(),
            rng.normal(scale=3, size=(n_components, n_features)),
            np.eye(n_features)
            + rng.normal(scale=0.5 / n_features**0.5, size=(n_components, n_features, n_features)),
        )

    def draw(self, n_rows: int, rng: np.random.Generator) -> np.ndarray:
        """Rows of shape (D, n), features first as Parquet stores them."""
        ...
