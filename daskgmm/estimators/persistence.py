"""Reading model files back."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from safetensors import SafetensorError

from daskgmm.data.credentials import shown_address
from daskgmm.data.failures import explained
from daskgmm.errors import DataError
from daskgmm.estimators.gaussian_mixture import GaussianMixture
from daskgmm.estimators.model_file import FORMAT, MODEL_FILE
from daskgmm.estimators.tensor_file import TensorFile
from daskgmm.model.covariance import covariance_named
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.prediction import Predictor


def load(path: Any, *, storage_options: dict[str, Any] | None = None) -> Any:
    """Read what ``save`` wrote.

    Parameters
    ----------
    path : path or fsspec URL
        A model file, or a run directory with one in it.
    storage_options : dict, optional
        For fsspec.

    Returns
    -------
    GaussianMixture

    Raises
    ------
    MissingInputError
        There is no such file.
    DataError
        The file is not a model.
    ClusterError
        Its store doesn't answer.
    """
    return from_bytes(*read(path, storage_options or {}))


def read(path: Any, storage_options: Mapping[str, Any]) -> tuple[bytes, str]:
    """A model file's content, and its address as errors show it; see `load`."""
    address = os.fspath(path)
    if "://" not in address and Path(address).is_dir():
        address = os.path.join(address, MODEL_FILE)  # noqa: PTH118  the path's own style is kept
    shown = shown_address(address)
    with (
        explained(f"The model file {shown}"),
        fsspec.open(address, "rb", **storage_options) as file,
    ):
        return file.read(), shown


def from_bytes(content: bytes, name: str) -> Any:
    """The estimator in a model file's content; `name` is for errors.

    Raises
    ------
    DataError
        It is no model file of ours, or of a later version.
    """
    try:
        return _restore(TensorFile.from_bytes(content, name, FORMAT))
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{name} is not a daskgmm model file ({type(error).__name__}).",
            "Give a file that save() or `daskgmm fit` wrote.",
        ) from error


def _restore(file: TensorFile) -> Any:
    metadata, tensors = file.metadata, file.tensors
    mixture = Mixture(
        covariance_named(metadata["parameters"]["covariance_type"]),
        *(tensors[key] for key in ("weights", "means", "covariances", "factors")),
    )
    estimator = GaussianMixture(**metadata["parameters"])
    frame = Frame(tensors["frame.origin"], tensors["frame.scale"])
    dtype = np.dtype(metadata["dtype"])
    forced = None if estimator.dtype is None else dtype
    estimator._predictor = Predictor(mixture, frame, forced)  # noqa: SLF001
    estimator._dtype = dtype  # noqa: SLF001
    estimator._moments = _moments(file)  # noqa: SLF001
    for key, value in metadata["fitted"].items():
        setattr(estimator, key, value)
    if metadata["feature_names"] is not None:
        estimator.feature_names_in_ = np.asarray(metadata["feature_names"], dtype=object)
    return estimator


def _moments(file: TensorFile) -> Moments | None:
    sums = file.metadata["moments"]
    if sums is None:
        return None
    origins, totals, shared = (
        file.tensors[f"moments.{key}"] for key in ("origins", "sums", "shared")
    )
    return Moments(origins, totals, shared, **sums)
