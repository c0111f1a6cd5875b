"""Model files, read as far as applying a model asks for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError

from daskgmm.data.addresses import address_of, file_system
from daskgmm.data.credentials import shown_address
from daskgmm.data.failures import explained
from daskgmm.errors import DataError
from daskgmm.estimators.fitted import Fitted
from daskgmm.estimators.model_file import FORMAT, MODEL_FILE
from daskgmm.estimators.tensor_file import TensorFile
from daskgmm.model.covariance import covariance_named
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import Predictor


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
            The file is not a model.
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
            It is no model file of ours, or of a later version.
        """
        with explained_as_model(name):
            file = TensorFile.from_bytes(content, name, FORMAT)
            return cls(name, file, _fitted(file))


def read(path: Any, storage_options: Mapping[str, Any]) -> tuple[bytes, str]:
    """A model file's content, and its address as errors show it; see `Stored.at`."""
    address = address_of(path)
    shown = shown_address(address)
    with explained(f"The model file {shown}", seen=False):
        filesystem, key = file_system(address, storage_options)
        if filesystem.isdir(key):
            key, shown = (f"{folder.rstrip('/')}/{MODEL_FILE}" for folder in (key, shown))
    with explained(f"The model file {shown}", seen=False), filesystem.open(key, "rb") as file:
        return file.read(), shown


@contextmanager
def explained_as_model(name: str) -> Iterator[None]:
    """Turn what fails in taking a file apart into the error that it is no model."""
    try:
        yield
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{name} is not a daskgmm model file ({type(error).__name__}).",
            "Give a file that save() or `daskgmm fit` wrote.",
        ) from error


def _fitted(file: TensorFile) -> Fitted:
    metadata, tensors = file.metadata, file.tensors
    parameters, names = metadata["parameters"], metadata["feature_names"]
    mixture = Mixture(
        covariance_named(parameters["covariance_type"]),
        *(tensors[key] for key in ("weights", "means", "covariances", "factors")),
    )
    frame = Frame(tensors["frame.origin"], tensors["frame.scale"])
    forced = None if parameters["dtype"] is None else np.dtype(metadata["dtype"])
    columns = None if names is None else tuple(map(str, names))
    return Fitted(Predictor(mixture, frame, forced), columns)
