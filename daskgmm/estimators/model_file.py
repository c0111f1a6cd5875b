"""Model files: safetensors, so numbers and plain text only; nothing in them can run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from daskgmm.data.places import Place
from daskgmm.errors import DataError
from daskgmm.model.moments import Moments
from daskgmm.model.prediction import Predictor

FORMAT = 1
MODEL_FILE = "model.safetensors"
"""A run directory's model."""

_KEY = "daskgmm"
_FITTED = (
    "converged_", "n_iter_", "lower_bound_", "lower_bounds_", "n_rows_", "n_passes_", "history_",
    "n_features_in_",
)  # fmt: skip


@dataclass(frozen=True)
class ModelFile:
    """A model file's two halves.

    Parameters
    ----------
    tensors : mapping of str to ndarray
    metadata : mapping
        Plain JSON values.
    """

    tensors: Mapping[str, np.ndarray[Any, Any]]
    metadata: Mapping[str, Any]


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
    metadata = json.dumps(_metadata(estimator, moments), allow_nan=True)
    return bytes(
        serialise({k: np.ascontiguousarray(v) for k, v in tensors.items()}, {_KEY: metadata})
    )


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
        "format": FORMAT,
        "version": version("daskgmm"),
        "estimator": type(estimator).__name__,
        "parameters": _plain_parameters(estimator),
        "fitted": {name: getattr(estimator, name) for name in _FITTED if hasattr(estimator, name)},
        "feature_names": None if names is None else list(names),
        "dtype": str(estimator._dtype),  # noqa: SLF001
        "moments": sums,
    }


def _plain_parameters(estimator: Any) -> dict[str, Any]:
    """Constructor parameters as JSON; what can't be written down is left at its default."""
    found = estimator.get_params(deep=False)
    del found["callbacks"]
    if isinstance(found["random_state"], np.random.RandomState):
        del found["random_state"]
    if found["dtype"] is not None:
        found["dtype"] = str(np.dtype(found["dtype"]))
    for name in ("weights_init", "means_init", "precisions_init"):
        if found[name] is not None:
            found[name] = np.asarray(found[name]).tolist()
    return {name: getattr(value, "item", lambda v=value: v)() for name, value in found.items()}


def take_apart(content: bytes, name: str) -> ModelFile:
    """A model file's two halves.

    Raises
    ------
    DataError
        A later version wrote it. What is no model file at all fails as it will.
    """
    tensors = parse(content)
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_KEY])
    if metadata["format"] > FORMAT:
        raise DataError(
            f"{name} was written by daskgmm {metadata['version']} in format "
            f"{metadata['format']}; this one reads up to {FORMAT}.",
            "Upgrade daskgmm.",
        )
    return ModelFile(tensors, metadata)


def save(estimator: Any, path: Any, storage_options: dict[str, Any] | None) -> None:
    """Write an estimator to a path or URL, whole or not at all."""
    folder, name = Place.of_file(path, storage_options or {})
    folder.write(name, to_bytes(estimator))
