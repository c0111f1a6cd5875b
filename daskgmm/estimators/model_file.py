"""Model files: safetensors, so numbers and plain text only; nothing in them can run."""

from collections.abc import Mapping
from typing import Any

from daskgmm.data.storage.folder import Place
from daskgmm.estimators.plain import plain_parameters
from daskgmm.estimators.tensor_file import TensorFile
from daskgmm.fitting.tensors import digest
from daskgmm.model.moments import Moments
from daskgmm.model.prediction import Predictor

FORMAT = 1
MODEL_FILE = "model.safetensors"
"""A run directory's model."""

DIGEST = "sha256"
"""Name of the digest in the metadata; earlier files have none."""

_NUMBER = int | float
METADATA = {
    "estimator": str,
    "parameters": {"covariance_type": str, "dtype": str | None},
    "fitted": {
        "converged_?": bool | None,
        "n_iter_?": int,
        "lower_bound_?": _NUMBER,
        "lower_bounds_?": [_NUMBER],
        "n_rows_?": int,
        "n_passes_?": int,
        "history_?": [dict],
        "n_features_in_": int,
    },
    "feature_names": list | None,
    "dtype": str,
    "moments": dict | None,
}
"""Form of a model file's metadata; see `daskgmm.data.json_text.require_form`."""
MOMENTS = {"log_likelihood": _NUMBER, "weight": _NUMBER, "rows": int}

_OUTSIDE = ("format", "version", DIGEST)
"""Metadata that the digest is not of: the container's."""

FITTED = (
    "converged_", "n_iter_", "lower_bound_", "lower_bounds_", "n_rows_", "n_passes_", "history_",
    "n_features_in_",
)  # fmt: skip


def to_bytes(estimator: Any) -> bytes:
    """A fitted estimator as the content of a model file."""
    predictor: Predictor = estimator._predictor  # noqa: SLF001  the estimator's own helper
    moments: Moments | None = estimator._moments  # noqa: SLF001
    mixture, frame = predictor.mixture, predictor.frame
    tensors = {
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
        "factors": mixture.factors,
        "frame.origin": frame.origin,
        "frame.scale": frame.scale,
    }
    if moments is not None:
        tensors |= {
            "moments.origins": moments.origins,
            "moments.sums": moments.sums,
            "moments.shared": moments.shared,
        }
    metadata = _metadata(estimator, moments)
    metadata[DIGEST] = content_digest(metadata, tensors)
    return TensorFile(tensors, metadata).to_bytes(FORMAT)


def content_digest(metadata: Mapping[str, Any], tensors: Mapping[str, Any]) -> str:
    """What tells a model file's content from all others, whoever wrote it."""
    said = {name: value for name, value in metadata.items() if name not in _OUTSIDE}
    return digest(said, tensors)


def _metadata(estimator: Any, moments: Moments | None) -> dict[str, Any]:
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
    }


def save(estimator: Any, path: Any, storage_options: dict[str, Any] | None) -> None:
    """Write an estimator to a path or URL, whole or not at all."""
    folder, name = Place.of_file(path, storage_options or {})
    folder.write(name, to_bytes(estimator))
