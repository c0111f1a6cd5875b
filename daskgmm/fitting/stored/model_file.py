"""Model files: estimators are written as safetensors, and fitted models read without estimators.

A file holds numbers and text only, so nothing in it can run. Applying a model doesn't need
scikit-learn, which alone takes two seconds to import.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.errors import first_line, input_errors
from daskgmm.data.storage.folder import Folder
from daskgmm.data.storage.json import require_form
from daskgmm.data.storage.urls import address_of, file_system
from daskgmm.errors import DataError
from daskgmm.fitting.fitted import Fitted
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.fitting.stored import posteriors
from daskgmm.fitting.stored.clusters import FORM, Merging, clusters_in
from daskgmm.fitting.stored.identity import plain_parameters
from daskgmm.fitting.stored.tensors import MALFORMED, TensorFile, digest, read_whole
from daskgmm.model.bayesian.priors import Priors
from daskgmm.model.covariance import covariance_named
from daskgmm.model.frame import Frame
from daskgmm.model.missing.patterns import Missing
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.noise import Noise
from daskgmm.model.prediction import Predictor
from daskgmm.model.questions.clusters import ClusterPredictor

FORMAT = 1
MODEL_FILE = "model.safetensors"
"""Name of the model file in a run directory."""

MERGED = "MergedMixture"
"""Tag of models whose components are joined into clusters."""

DIGEST = "sha256"
"""Name of the digest in the metadata; files of earlier versions have no digest."""

_NUMBER = int | float
_METADATA = {
    "estimator": str,
    "parameters": {"covariance_type": str, "dtype": str | None, "missing?": str},
    "fitted": {
        "converged_?": bool | None,
        "n_iter_?": int,
        "lower_bound_?": _NUMBER,
        "lower_bounds_?": [_NUMBER],
        "n_rows_?": int,
        "n_rows_dropped_?": int,
        "n_passes_?": int,
        "history_?": [dict],
        "refinement_?": dict | None,
        "n_features_in_": int,
    },
    "feature_names": list | None,
    "dtype": str,
    "moments": dict | None,
    "merging?": FORM,
    "priors?": dict,
}
"""Form of a model file's metadata; see `daskgmm.data.storage.json.require_form`."""
_MOMENTS = {"log_likelihood": _NUMBER, "weight": _NUMBER, "rows": int}

_OUTSIDE = ("format", "version", DIGEST)
"""Metadata of the file format and version, which the digest leaves out."""

FITTED = (
    "converged_", "n_iter_", "lower_bound_", "lower_bounds_", "n_rows_", "n_rows_dropped_",
    "n_passes_", "history_", "refinement_", "n_features_in_",
)  # fmt: skip


def to_bytes(estimator: FittedMixture, merging: Merging | None = None) -> bytes:
    """Serialise a fitted estimator, and its clusters if it has any, as a model file's content."""
    predictor, moments = estimator._predictor, estimator._moments  # noqa: SLF001  a protocol's
    mixture, frame = predictor.mixture, predictor.frame
    tensors: dict[str, NDArray[Any]] = {
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
        "factors": mixture.factors,
        "frame.origin": frame.origin,
        "frame.scale": frame.scale,
    }
    if mixture.noise is not None:
        noise = mixture.noise
        tensors |= {
            "noise.weight": np.array([noise.weight]),
            "noise.low": noise.low,
            "noise.sides": noise.sides,
        }
    tensors |= posteriors.tensors_of(estimator)
    if moments is not None:
        tensors |= {
            "moments.origins": moments.origins,
            "moments.sums": moments.sums,
            "moments.shared": moments.shared,
        }
    metadata = _metadata(estimator, moments)
    if merging is not None:
        tensors |= merging.tensors
        metadata |= {"estimator": MERGED, "merging": merging.facts}
    metadata[DIGEST] = content_digest(metadata, tensors)
    return TensorFile(tensors, metadata).to_bytes(FORMAT)


def content_digest(metadata: Mapping[str, Any], tensors: Mapping[str, Any]) -> str:
    """SHA-256 of a model file's content, independent of the version that wrote it."""
    content = {name: value for name, value in metadata.items() if name not in _OUTSIDE}
    return digest(content, tensors)


def _metadata(estimator: FittedMixture, moments: Moments | None) -> dict[str, Any]:
    names = getattr(estimator, "feature_names_in_", None)
    sums = None
    if moments is not None:
        sums = {
            "log_likelihood": moments.log_likelihood,
            "weight": moments.weight,
            "rows": moments.rows,
        }
    return {
        "estimator": type(estimator).__name__,
        "covariance_type": estimator._predictor.mixture.covariance.name,  # noqa: SLF001  as fitted
        "parameters": plain_parameters(estimator),
        "fitted": {name: getattr(estimator, name) for name in FITTED if hasattr(estimator, name)},
        "feature_names": None if names is None else list(names),
        "dtype": str(estimator._dtype),  # noqa: SLF001
        "moments": sums,
        **posteriors.facts_of(estimator),
    }


def save(
    estimator: FittedMixture,
    path: Any,
    storage_options: dict[str, Any] | None,
    merging: Merging | None = None,
) -> None:
    """Write an estimator to a path or URL, completely or not at all."""
    folder, name = Folder.of_file(path, storage_options or {})
    folder.write(name, to_bytes(estimator, merging))


_REMEDY = "Restore it from a copy, or fit and save the model again."


@dataclass(frozen=True, eq=False)
class Stored:
    """Content of a model file.

    Parameters
    ----------
    name : str
        Name of the file in errors.
    file : TensorFile
    fitted : Fitted
    """

    name: str
    file: TensorFile
    fitted: Fitted

    @classmethod
    def at(cls, path: Any, storage_options: Mapping[str, Any] | None) -> Self:
        """Read a model file, or that of a run directory, from a path or fsspec URL.

        It raises what `read` and `of` raise.
        """
        return cls.of(*read(path, storage_options or {}))

    @classmethod
    def of(cls, content: bytes, name: str) -> Self:
        """Parse the content of a model file; `name` is for errors.

        Raises
        ------
        DataError
            The content is not that of a model file, is damaged, or of a later version.
        """
        with explained_as_model(name):
            file = TensorFile.from_bytes(content)
            if "checkpoint" in file.metadata:  # checkpoints number their formats separately
                raise ValueError("it is the checkpoint of a fit")
            file.require_known(FORMAT, name)
            require_form(file.metadata, dict.fromkeys(_METADATA, object))
        with explained_as_damaged(name):
            sealed = file.metadata.get(DIGEST)
            if sealed not in (None, content_digest(file.metadata, file.tensors)):
                raise ValueError("its content does not match its digest")
            return cls(name, file, _fitted(file))

    def moments(self) -> Moments | None:
        """The moments of the rows that the model was fitted on, if it holds any.

        Raises
        ------
        KeyError, ValueError
            They are damaged.
        """
        sums = self.file.metadata["moments"]
        if sums is None:
            return None
        require_form(sums, _MOMENTS, "moments")
        origins, totals, shared = (
            self.file.tensors[f"moments.{key}"] for key in ("origins", "sums", "shared")
        )
        found = Moments(origins, totals, shared, **{name: sums[name] for name in _MOMENTS})
        found.require_sound(self.fitted.predictor.mixture)
        return found

    def priors(self) -> Priors | None:
        """The priors of a variational mixture; it raises what `merging` raises."""
        found, facts = self.fitted.n_features, self.file.metadata.get("priors")
        return posteriors.priors_in(self.file.tensors, facts, found)

    def merging(self) -> Merging | None:
        """How components were joined into clusters, if they were.

        Raises
        ------
        KeyError, ValueError
            The clusters are damaged.
        """
        facts, predictor = self.file.metadata.get("merging"), self.fitted.predictor
        if facts is None or not isinstance(predictor, ClusterPredictor):
            return None
        return Merging.of_file(self.file.tensors, facts, predictor)


def read(path: Any, storage_options: Mapping[str, Any]) -> tuple[bytes, str]:
    """Read a model file's content, and its address as errors show it.

    Raises
    ------
    MissingInputError
        There is no such file.
    DataError
        It is a folder.
    ClusterError
        Its store doesn't answer.
    """
    address = address_of(path)
    shown = shown_address(address)
    with input_errors(f"The model file {shown}", seen=False):
        filesystem, key = file_system(address, storage_options)
        if filesystem.isdir(key):
            key, shown = (f"{folder.rstrip('/')}/{MODEL_FILE}" for folder in (key, shown))
            if filesystem.isdir(key):
                raise DataError(f"{shown} is a folder, not a model file.", _REMEDY)
    with input_errors(f"The model file {shown}", seen=False), filesystem.open(key, "rb") as file:
        return read_whole(file), shown


@contextmanager
def explained_as_model(name: str) -> Iterator[None]:
    """Turn errors in parsing a file into the error that it is not a model file."""
    try:
        yield
    except MALFORMED as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{name} is not a daskgmm model file ({first_line(error)}).",
            "Give a file that save() or `daskgmm fit` wrote.",
        ) from error


@contextmanager
def explained_as_damaged(name: str) -> Iterator[None]:
    """Turn errors in the content of a model file into the error that it is damaged."""
    try:
        yield
    except MALFORMED as error:
        if isinstance(error, DataError):
            raise
        fact = f"{error} is missing" if isinstance(error, KeyError) else first_line(error)
        raise DataError(f"{name} is a damaged model file: {fact}.", _REMEDY) from error


def _fitted(file: TensorFile) -> Fitted:
    metadata, tensors = file.metadata, file.tensors
    require_form(metadata, _METADATA)
    parameters, names = metadata["parameters"], metadata["feature_names"]
    kind = metadata.get("covariance_type", parameters["covariance_type"])
    mixture = Mixture(
        covariance_named(kind),
        *(tensors[key] for key in ("weights", "means", "covariances", "factors")),
        noise=_noise(tensors),
    )
    mixture = posteriors.with_posterior(mixture, tensors)
    mixture.require_sound()
    frame = Frame(tensors["frame.origin"], tensors["frame.scale"])
    frame.require_sound(mixture.n_features)
    with np.errstate(over="ignore"):
        ends = (
            frame.leave(mixture.means),
            mixture.covariance.rescale(mixture.covariances, frame.scale),
        )
    if not all(np.isfinite(values).all() for values in ends):
        raise ValueError("its means or covariances are infinite in the units of the data")
    columns = None if names is None else tuple(names)
    if columns is not None:
        require_form(list(columns), [str], "feature_names")
        if len(columns) != mixture.n_features:
            raise ValueError(f"it has {len(columns)} names for {mixture.n_features} features")
    if metadata["dtype"] not in ("float32", "float64"):
        raise ValueError(f"its dtype is {metadata['dtype']!r}")
    forced = None if parameters["dtype"] is None else np.dtype(metadata["dtype"])
    found = Predictor(mixture, frame, forced, missing=Missing(parameters.get("missing", "error")))
    return Fitted(_predictor(file, found), columns)


def _noise(tensors: Mapping[str, NDArray[Any]]) -> Noise | None:
    if "noise.weight" not in tensors:
        return None
    (weight,) = tensors["noise.weight"].tolist()
    return Noise(weight, tensors["noise.low"], tensors["noise.sides"])


def _predictor(file: TensorFile, found: Predictor) -> Predictor:
    if file.metadata["estimator"] != MERGED:
        return found
    clusters = clusters_in(file.tensors, found.mixture.n_components)
    return ClusterPredictor(
        found.mixture, found.frame, found.dtype, missing=found.missing, clusters=clusters
    )
