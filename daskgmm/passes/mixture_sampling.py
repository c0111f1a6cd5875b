"""Rows drawn from a mixture: in memory, as lazy arrays, or as a source to be written."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from daskgmm.data.containers.task_spec import DataNode, Task, TaskRef
from daskgmm.data.sinks import OutputField
from daskgmm.data.source import Block, Floats, Source
from daskgmm.errors import ConfigurationError
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import NOISE, Predictor
from daskgmm.model.typing import Doubles
from daskgmm.passes.engine.keys import shared_key, token

_MOST_VALUES_AT_ONCE = 2**24
_VALUES_A_CHUNK = 2**21


def draw(predictor: Predictor, n_samples: Any, random: np.random.RandomState) -> tuple[Any, Any]:
    """Rows (n, D) and their components (n,); see `GaussianMixture.sample`."""
    if not isinstance(n_samples, (int, np.integer)) or n_samples < 1:
        raise ConfigurationError(
            f"Invalid value for 'n_samples': {n_samples}.",
            "The sampling requires at least one sample.",
        )
    if n_samples * predictor.mixture.n_features > _MOST_VALUES_AT_ONCE:
        return _draw_lazily(predictor, int(n_samples), int(random.randint(2**31)))
    mixture = predictor.in_data_units
    weights = _weights(mixture)
    # In single precision weights sum to 1 only nearly, and multinomial() is strict.
    counts = random.multinomial(n_samples, weights / weights.sum())
    labels = np.repeat(_labels(mixture), counts)
    noise = random.standard_normal((int(n_samples), mixture.n_features))
    return _colour(predictor, noise, labels), labels


def _weights(mixture: Mixture) -> Doubles:
    """Weights (K,) of the components, and that of noise where there is any."""
    noise = mixture.noise
    return mixture.weights if noise is None else np.append(mixture.weights, noise.weight)


def _labels(mixture: Mixture) -> NDArray[np.int64]:
    """Labels in the order of the weights."""
    components = np.arange(mixture.n_components)
    return components if mixture.noise is None else np.append(components, NOISE)


def _colour(predictor: Predictor, noise: Doubles, labels: np.ndarray[Any, Any]) -> Doubles:
    mixture = predictor.in_data_units
    rows: Doubles = mixture.means[labels]
    for k in np.unique(labels):
        own = labels == k
        if k == NOISE and mixture.noise is not None:  # the normal distribution makes it uniform
            rows[own] = mixture.noise.low + mixture.noise.sides * ndtr(noise[own])
        else:
            rows[own] += mixture.covariance.colour(noise[own], mixture.factors, int(k))
    return rows


def _draw_chunk(predictor: Predictor, rows: int, seed: int, chunk: int) -> tuple[Any, Any]:
    random = np.random.Generator(np.random.Philox(key=[seed, chunk]))
    weights = _weights(predictor.mixture)
    drawn = random.choice(len(weights), size=rows, p=weights / weights.sum())
    labels = _labels(predictor.mixture)[drawn]
    noise = random.standard_normal((rows, predictor.mixture.n_features))
    return _colour(predictor, noise, labels), labels


def _draw_lazily(predictor: Predictor, n_samples: int, seed: int) -> tuple[Any, Any]:
    import operator

    import dask.array as da

    n_features = predictor.mixture.n_features
    sizes = _sizes(n_features, n_samples)
    suffix = token()
    drawn, rows, labels, shared = (
        f"gmm-predict-{what}-{suffix}" for what in ("draw", "rows", "labels", "argument")
    )
    graph: dict[Any, Any] = {shared: DataNode(shared, predictor)}
    for i, length in enumerate(sizes):
        both = TaskRef((drawn, i))
        graph[drawn, i] = Task((drawn, i), _draw_chunk, TaskRef(shared), length, seed, i)
        graph[rows, i, 0] = Task((rows, i, 0), operator.itemgetter(0), both)
        graph[labels, i] = Task((labels, i), operator.itemgetter(1), both)
    X = da.Array(graph, rows, (sizes, (n_features,)), dtype=np.float64)
    return X, da.Array(graph, labels, (sizes,), dtype=np.int64)


def _sizes(n_features: int, n_samples: int) -> tuple[int, ...]:
    size = max(_VALUES_A_CHUNK // n_features, 1)
    return tuple(min(size, n_samples - start) for start in range(0, n_samples, size))


@dataclass(frozen=True)
class SamplePart:
    """Rows that are drawn when they are read, the same rows each time.

    Parameters
    ----------
    predictor : hashable
        Key of the predictor in the graph.
    rows : int
        Number of rows.
    seed : int
    number : int
        The part's number.
    """

    predictor: Hashable
    rows: int
    seed: int
    number: int

    @property
    def inputs(self) -> Sequence[Hashable]:
        """Key of the predictor in the graph."""
        return (self.predictor,)

    @property
    def label(self) -> str:
        """Name of the part in errors."""
        return f"sample, part {self.number}"

    def read(self, *inputs: Any) -> Iterator[Block]:
        """Yield one block; the last feature is the component of each row."""
        (predictor,) = inputs
        rows, labels = _draw_chunk(predictor, self.rows, self.seed, self.number)
        yield Block(np.vstack([rows.T, labels]))


def sample_source(predictor: Predictor, n_samples: int, seed: int) -> Source:
    """Source of rows to be drawn, each with its component as one more feature."""
    n_features = predictor.mixture.n_features
    key = shared_key("gmm-predict", token())
    sizes = _sizes(n_features, n_samples)
    parts = tuple(SamplePart(key, rows, seed, number) for number, rows in enumerate(sizes))
    graph: dict[Hashable, Any] = {key: DataNode(key, predictor)}
    return Source(parts, n_features + 1, np.dtype(np.float64), lengths=sizes, graph=graph)


@dataclass(frozen=True)
class Drawn:
    """The columns to write for rows that were drawn.

    Parameters
    ----------
    names : tuple of str
        Names of the features.
    labels : bool
        Whether to write the rows' components too.
    clusters : tuple of int or None
        The cluster of each component, to write in its place.
    """

    takes_missing: ClassVar[bool] = False

    names: tuple[str, ...]
    labels: bool = False
    clusters: tuple[int, ...] | None = None

    @property
    def fields(self) -> tuple[OutputField, ...]:
        """Fields of the rows and, if they are written, of the labels."""
        rows = OutputField("rows", np.dtype(np.float64), self.names, vector=True)
        label = OutputField("label", np.dtype(np.int32), ("label",))
        return (rows, label) if self.labels else (rows,)

    @property
    def n_values(self) -> int:
        """Values of a row: D features and a label."""
        return len(self.names) + 1

    def of(self, rows: Floats) -> Mapping[str, NDArray[Any]]:
        """Columns (n,) by name, for rows (n, D + 1)."""
        columns: dict[str, NDArray[Any]] = dict(zip(self.names, rows.T[:-1], strict=True))
        if self.labels:
            found = rows[:, -1].astype(np.int32)
            known = self.clusters
            columns["label"] = found if known is None else np.array(known, np.int32)[found]
        return columns
