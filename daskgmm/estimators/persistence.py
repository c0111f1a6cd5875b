"""Estimators from model files."""

from typing import Any

import numpy as np

from daskgmm.estimators.gaussian_mixture import GaussianMixture
from daskgmm.estimators.stored import Stored, explained_as_model
from daskgmm.estimators.tensor_file import TensorFile
from daskgmm.model.moments import Moments


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
    return restored(Stored.at(path, storage_options))


def restored(model: Stored) -> Any:
    """The estimator that was saved.

    Raises
    ------
    DataError
        Its parameters or attributes are no such estimator's.
    """
    with explained_as_model(model.name):
        return _restored(model)


def _restored(model: Stored) -> Any:
    metadata = model.file.metadata
    estimator = GaussianMixture(**metadata["parameters"])
    estimator._predictor = model.fitted.predictor  # noqa: SLF001
    estimator._dtype = np.dtype(metadata["dtype"])  # noqa: SLF001
    estimator._moments = _moments(model.file)  # noqa: SLF001
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
