"""Models by name: a run directory or a model file."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daskgmm.data.credentials import shown_address
from daskgmm.errors import MissingInputError
from daskgmm.estimators.model_file import MODEL_FILE
from daskgmm.jobs.runs import Run


@dataclass(frozen=True)
class Model:
    """A model that was found.

    Parameters
    ----------
    name : str
        What it was asked for as.
    estimator : GaussianMixture
        Fitted.
    run : Run or None
        The run that it comes from, where a run directory was named.
    """

    name: str
    estimator: Any
    run: Run | None = None


def find_model(name: str, storage_options: dict[str, Any] | None = None) -> Model:
    """The model in a run directory or model file, local or a URL.

    Raises
    ------
    MissingInputError
        There is none.
    DataError
        The file is not a model.
    """
    from daskgmm.estimators.persistence import load

    if "://" in name:
        inside = "" if name.endswith(".safetensors") else f"/{MODEL_FILE}"
        shown = shown_address(name)
        return Model(shown, load(f"{name.rstrip('/')}{inside}", storage_options=storage_options))
    path = Path(name)
    if not path.is_dir():
        shown = shown_address(name)
        return Model(shown, load(path))
    if not os.path.isfile(path / MODEL_FILE):  # noqa: PTH113  is_file() raises where it may not look
        raise MissingInputError(
            f"{name} is a directory without {MODEL_FILE}, so it is no run directory.",
            "Name the directory that `daskgmm fit` wrote, or a model file.",
        )
    return Model(name, load(path / MODEL_FILE), Run.at(path))
