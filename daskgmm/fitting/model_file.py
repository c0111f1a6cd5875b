"""Model files, read as far as applying a model asks for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from daskgmm.data.json_text import require_form
from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.errors import explained, first_line
from daskgmm.data.storage.urls import address_of, file_system
from daskgmm.errors import DataError
from daskgmm.estimators.fitted import Fitted
from daskgmm.estimators.model_file import DIGEST, FORMAT, METADATA, MODEL_FILE, content_digest
from daskgmm.estimators.tensor_file import SENSELESS, TensorFile, read_whole
from daskgmm.model.covariance import covariance_named
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import Predictor

_REMEDY = "Restore it from a copy, or fit and save the model again."


@dataclass(frozen=True, eq=False)
class Stored:
    """A model file's content.

    Parameters
    ----------
    name : str
        How errors call the file.
    file : TensorFile
    fitted : Fitted
    """

    name: str
    file: TensorFile
    fitted: Fitted

    @classmethod
    def at(cls, path: Any, storage_options: Mapping[str, Any] | None) -> Self:
        """What is in a model file, or in that of a run directory; a path or fsspec URL.

        Raises
        ------
        MissingInputError
            There is no such file.
        DataError
            The file is not a model, or damaged.
        ClusterError
            Its store doesn't answer.
        """
        return cls.of(*read(path, storage_options or {}))

    @classmethod
    def of(cls, content: bytes, name: str) -> Self:
        """What is in a model file's content; `name` is for errors.

        Raises
        ------
        DataError
            It is no model file of ours, damaged, or of a later version.
        """
        with explained_as_model(name):
            file = TensorFile.from_bytes(content, name, FORMAT)
            require_form(file.metadata, dict.fromkeys(METADATA, object))
        with explained_as_damaged(name):
            sealed = file.metadata.get(DIGEST)
            if sealed not in (None, content_digest(file.metadata, file.tensors)):
                raise ValueError("its content is not that of its digest")
            return cls(name, file, _fitted(file))


def read(path: Any, storage_options: Mapping[str, Any]) -> tuple[bytes, str]:
    """A model file's content, and its address as errors show it; see `Stored.at`."""
    address = address_of(path)
    shown = shown_address(address)
    with explained(f"The model file {shown}", seen=False):
        filesystem, key = file_system(address, storage_options)
        if filesystem.isdir(key):
            key, shown = (f"{folder.rstrip('/')}/{MODEL_FILE}" for folder in (key, shown))
            if filesystem.isdir(key):
                raise DataError(f"{shown} is a folder, and no model file.", _REMEDY)
    with explained(f"The model file {shown}", seen=False), filesystem.open(key, "rb") as file:
        return read_whole(file), shown


@contextmanager
def explained_as_model(name: str) -> Iterator[None]:
    """Turn what fails in taking a file apart into the error that it is no model."""
    try:
        yield
    except SENSELESS as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{name} is not a daskgmm model file ({first_line(error)}).",
            "Give a file that save() or `daskgmm fit` wrote.",
        ) from error


@contextmanager
def explained_as_damaged(name: str) -> Iterator[None]:
    """Turn what fails in using a model file's content into the error that it is damaged."""
    try:
        yield
    except SENSELESS as error:
        if isinstance(error, DataError):
            raise
        fact = f"there is no {error}" if isinstance(error, KeyError) else first_line(error)
        raise DataError(f"{name} is a damaged model file: {fact}.", _REMEDY) from error


def _fitted(file: TensorFile) -> Fitted:
    metadata, tensors = file.metadata, file.tensors
    require_form(metadata, METADATA)
    parameters, names = metadata["parameters"], metadata["feature_names"]
    kind = metadata.get("covariance_type", parameters["covariance_type"])
    mixture = Mixture(
        covariance_named(kind),
        *(tensors[key] for key in ("weights", "means", "covariances", "factors")),
    )
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
            raise ValueError(f"it names {len(columns)} of {mixture.n_features} features")
    if metadata["dtype"] not in ("float32", "float64"):
        raise ValueError(f"its dtype is {metadata['dtype']!r}")
    forced = None if parameters["dtype"] is None else np.dtype(metadata["dtype"])
    return Fitted(Predictor(mixture, frame, forced), columns)
