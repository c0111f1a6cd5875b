"""`MergedMixture`: a fitted mixture whose components are joined into clusters."""

import copy
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import ConfigurationError
from daskgmm.estimators.inputs import as_source, require_unchanged
from daskgmm.estimators.methods.predict import predict_rows
from daskgmm.fitting.fitted import Fitted
from daskgmm.fitting.merging import entropy_path
from daskgmm.fitting.stored import model_file
from daskgmm.fitting.stored.clusters import Merging
from daskgmm.model.questions.clusters import ClusterPredictor
from daskgmm.model.questions.merging import MergePath, by_overlap

if TYPE_CHECKING:
    import dask.array as da

    from daskgmm.data.dataset import Dataset
    from daskgmm.estimators.gaussian_mixture import GaussianMixture

CRITERIA = ("entropy", "overlap")


class MergedMixture:
    """A fitted mixture whose components are joined into clusters, as `merge` makes it.

    It is the same density; only labels are of clusters. A cluster may have any shape, as each is a
    mixture itself.

    Parameters
    ----------
    mixture : GaussianMixture
        A fitted one, of K components.
    merging : Merging
        The joins, and the cluster of each component.

    Attributes
    ----------
    mixture_ : GaussianMixture
        The mixture of K components.
    clusters_ : ndarray of shape (K,)
        The cluster of each component; clusters are numbered from 0, by their first components.
    n_clusters_ : int
        Number C of clusters.
    criterion_ : str
        ``"entropy"`` or ``"overlap"``.
    merging : Merging
        The same facts as plain values.
    path_ : DataFrame
        A row for each number of clusters from K to 1: ``n_clusters``; ``joined``, the pair of
        clusters, each a tuple of components, whose join led there; and ``entropy`` of the clusters
        (nats a row), or ``distance``, the Bhattacharyya distance of that pair (nats).
    """

    def __init__(self, mixture: "GaussianMixture", merging: Merging) -> None:
        self.mixture_ = mixture
        self.clusters_: NDArray[np.int64] = merging.clusters
        self.criterion_ = merging.criterion
        self.merging = merging
        self._clustered = copy.copy(mixture)
        own = mixture._predictor  # noqa: SLF001  the same floor's
        predictor = ClusterPredictor(
            own.mixture, own.frame, own.dtype, missing=own.missing, clusters=merging.clusters
        )
        self._clustered._predictor = predictor  # noqa: SLF001

    def __repr__(self) -> str:
        return f"<MergedMixture: {len(self.clusters_)} components in {self.n_clusters_} clusters>"

    @property
    def n_clusters_(self) -> int:
        """Number C of clusters."""
        return int(self.clusters_.max()) + 1

    @property
    def path_(self) -> Any:
        """DataFrame with a row for each number of clusters from K to 1."""
        import pandas as pd

        return pd.DataFrame(self.steps())

    def steps(self) -> list[dict[str, Any]]:
        """The rows of ``path_`` as dicts."""
        path = self.merging.path
        name = "entropy" if self.criterion_ == "entropy" else "distance"
        numbers = range(path.n_components, 0, -1)
        return [
            {"n_clusters": number, "joined": joined, name: value}
            for number, joined, value in zip(numbers, ((), *path.joined), path.values, strict=True)
        ]

    @overload
    def predict(self, X: NDArray[Any]) -> NDArray[np.int64]: ...
    @overload
    def predict(self, X: "da.Array | Dataset") -> "da.Array": ...
    @overload
    def predict(self, X: Any) -> Any: ...  # type: ignore[overload-cannot-match]  # dask is Any here
    def predict(self, X: Any) -> Any:
        """Most probable cluster of each row, of shape (n,)."""
        return predict_rows(self._clustered, X, ClusterPredictor.labels)

    @overload
    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.floating]: ...
    @overload
    def predict_proba(self, X: "da.Array | Dataset") -> "da.Array": ...
    @overload
    def predict_proba(self, X: Any) -> Any: ...  # type: ignore[overload-cannot-match]  # dask is Any here
    def predict_proba(self, X: Any) -> Any:
        """Probability of each cluster given each row, of shape (n, C)."""
        return predict_rows(self._clustered, X, ClusterPredictor.responsibilities)

    @overload
    def score_samples(self, X: NDArray[Any]) -> NDArray[np.floating]: ...
    @overload
    def score_samples(self, X: "da.Array | Dataset") -> "da.Array": ...
    @overload
    def score_samples(self, X: Any) -> Any: ...  # type: ignore[overload-cannot-match]  # dask is Any here
    def score_samples(self, X: Any) -> Any:
        """Log-density at each row (nats), of shape (n,): the mixture's."""
        return self.mixture_.score_samples(X)

    def to_sql(
        self, table: str, dialect: str = "duckdb", columns: Sequence[str] | None = None
    ) -> str:
        """One SELECT of each row's cluster, its probabilities and the log-density.

        Errors and sizes are those of `daskgmm.GaussianMixture.to_sql`.

        Parameters
        ----------
        table : str
            The table's name, with its schema if it has one.
        dialect : str, default 'duckdb'
            As there.
        columns : sequence of str, optional
            The columns of the features, in their order; by default the names they were fitted by.
        """
        return self._clustered.to_sql(table, dialect, columns)

    def to_onnx(self) -> Any:
        """An ONNX model of clusters, as `daskgmm.GaussianMixture.to_onnx` of components."""
        return self._clustered.to_onnx()

    def save(self, path: Any, *, storage_options: dict[str, Any] | None = None) -> None:
        """Write the mixture and its clusters to a safetensors file, completely or not at all.

        Parameters
        ----------
        path : path or fsspec URL
        storage_options : dict, optional
            Options for fsspec.
        """
        model_file.save(self.mixture_, path, storage_options, self.merging)


def merged(mixture: "GaussianMixture", n_clusters: Any, criterion: str, X: Any) -> MergedMixture:
    """Join a fitted mixture's components; see `daskgmm.GaussianMixture.merge`."""
    if criterion not in CRITERIA:
        raise ConfigurationError(
            f"criterion={criterion!r} is not known.", f"Use one of: {', '.join(CRITERIA)}."
        )
    Fitted.of(mixture).require_no_noise("A MergedMixture")
    path = _path(mixture, criterion, X)
    wanted = path.n_clusters if n_clusters is None else n_clusters
    whole = isinstance(wanted, Integral) and not isinstance(wanted, bool)
    if not whole or not 1 <= wanted <= path.n_components:
        raise ConfigurationError(
            f"n_clusters={wanted!r} for {path.n_components} components.",
            f"Give a whole number from 1 to {path.n_components}, or None.",
        )
    return MergedMixture(mixture, Merging(path.clusters(int(wanted)), path, criterion))


def _path(mixture: "GaussianMixture", criterion: str, X: Any) -> MergePath:
    predictor = mixture._predictor  # noqa: SLF001  the same floor's
    if criterion == "overlap":
        if X is not None:
            raise ConfigurationError(
                "X was given, but overlap is that of components and reads no rows.",
                "Leave X out, or use criterion='entropy'.",
            )
        return by_overlap(predictor.mixture)
    if X is None:
        raise ConfigurationError(
            "Entropy is that of rows, and X is missing.",
            "Give X, the rows that were fitted or others like them, or use criterion='overlap'.",
        )
    found = entropy_path(predictor, as_source(mixture, X, reset=False))
    require_unchanged(X)
    return found
