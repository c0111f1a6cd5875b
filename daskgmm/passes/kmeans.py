"""k-means over all rows by dask-ml, whose `k-means||` is made for distributed rows."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from daskgmm.data.containers.task_spec import DataNode, Task, TaskRef
from daskgmm.data.source import Part, Source
from daskgmm.errors import ConfigurationError
from daskgmm.model.frame import Frame
from daskgmm.model.missing.patterns import complete
from daskgmm.model.typing import Doubles, Floats
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.client import as_passes_do
from daskgmm.passes.engine.grouping import lengths_together
from daskgmm.passes.engine.keys import Phase, counted, token
from daskgmm.passes.engine.work import read_part
from daskgmm.passes.engine.workers import explaining_losses

ROUNDS = 5
"""Rounds that draw candidates, each 2 K of them (Bahmani et al., 2012, section 5)."""

MOST_STEPS = 20
"""Most steps of Lloyd's algorithm: each reads all rows, and EM starts from any centres nearby."""


def require_dask_ml() -> None:
    """Raise ConfigurationError if dask-ml is not installed."""
    if find_spec("dask_ml") is None:
        raise ConfigurationError(
            "init_params='k-means||' needs dask-ml, which is not installed.",
            "Install it with: pip install 'daskgmm[kmeans]', or start from 'kmeans'.",
        )


@dataclass(frozen=True, eq=False)
class AllRows:
    """All rows of a source, for dask-ml.

    Parameters
    ----------
    source : Source
    lengths : tuple of int
        Rows of each part, or of all parts that those join.
    leaves_out : bool
        Whether rows may be left out. dask-ml takes no weights: rows of weight zero are, and rows
        with missing values.
    """

    source: Source
    lengths: tuple[int, ...]
    leaves_out: bool

    def standard(self, frame: Frame) -> Any:
        """Dask array of shape (n, D) in a frame's coordinates, with known chunks."""
        import dask.array as da

        source, suffix = self.source, token()
        name, argument = f"gmm-init-rows-{suffix}", f"gmm-init-frame-{suffix}"
        graph: dict[Any, Any] = {**source.graph, argument: DataNode(argument, frame)}
        rows = lengths_together(source, self.lengths)
        kept = [index for index, length in enumerate(rows) if length]
        for position, index in enumerate(kept):
            part, key = source.parts[index], (name, position, 0)
            inputs = [TaskRef(wanted) for wanted in part.inputs]
            graph[key] = Task(key, _standard, part, source.dtype, TaskRef(argument), *inputs)
        lengths = tuple(rows[index] for index in kept)
        array = da.Array(graph, name, (lengths, (source.n_features,)), dtype=source.dtype)
        # The rows of a part that stay are not counted yet.
        return array.compute_chunk_sizes() if self.leaves_out else array

    def centres(self, frame: Frame, n_components: int, seed: int) -> tuple[Doubles, int]:
        """Centres (K, D) in data units, and the number of passes that were made."""
        from dask_ml.cluster import KMeans

        clustering = KMeans(
            n_components,
            oversampling_factor=2 * n_components,
            init_max_iter=ROUNDS,
            max_iter=MOST_STEPS,
            random_state=seed,
            n_init=1,
        )
        with (
            one_thread(),
            explaining_losses(),
            _steadied(),
            as_passes_do(),
            counted(Phase.INITIALISATION),
        ):
            clustering.fit(self.standard(frame))
        # Passes: a check, the first cost, two a round, one a step, and the last cost.
        passes = self.leaves_out + 1 + 1 + 2 * ROUNDS + clustering.n_iter_ + 1
        return frame.leave(clustering.cluster_centers_.astype(np.float64)), passes


@contextmanager
def _steadied() -> Iterator[None]:
    # Several threads would add up the candidates' centres in the order in which they finish.
    with threadpool_limits(1, user_api="openmp"), warnings.catch_warnings():
        # If all rows are candidates, dask-ml divides by the number of other rows, which is zero.
        warnings.filterwarnings("ignore", "invalid value", RuntimeWarning)
        yield


def _standard(part: Part, dtype: np.dtype[Any], frame: Frame, *inputs: Any) -> Floats:
    """Rows (n, D) of a part in frame coordinates, without those that are left out."""
    found = [np.empty((0, len(frame.origin)), dtype)]
    for block in read_part(part, inputs):
        rows = block.rows if block.weights is None else block.rows[:, block.weights > 0]
        rows, _ = complete(rows, None)
        z = np.empty(rows.shape, dtype)
        frame.standardise(rows, out=z)
        found.append(z.T)
    return np.ascontiguousarray(np.concatenate(found))
