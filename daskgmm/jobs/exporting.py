"""Write a model in another language."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from daskgmm.data.storage.durable import write_whole
from daskgmm.errors import ConfigurationError
from daskgmm.export.onnx import to_onnx
from daskgmm.export.sql import to_sql
from daskgmm.jobs.models import SavedModel, find_model
from daskgmm.jobs.runs.directory import require_writable_here


def _sql(model: SavedModel, table: str, dialect: str, columns: Sequence[str] | None) -> bytes:
    query = to_sql(model.fitted, table, dialect, columns)
    return f"-- {_origin(model)}\n{query}\n".encode()


def _onnx(model: SavedModel) -> bytes:
    made = to_onnx(model.fitted, np.dtype(model.stored.file.metadata["dtype"]))
    made.doc_string = _origin(model)
    content: bytes = made.SerializeToString()
    return content


FORMATS: dict[str, Callable[..., bytes]] = {"sql": _sql, "onnx": _onnx}
"""What writes a model in each language; it takes the model, and options of its own."""


def export(
    name: str,
    path: str,
    to: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Write a model to a file, all of it or nothing.

    Parameters
    ----------
    name : str
        Run directory or model file.
    path : str
        File on this machine.
    to : str or None
        A name in `FORMATS`; by default the file's ending.
    storage_options : mapping or None
        Options for the model's store.
    options
        Of SQL: ``table``, ``dialect`` and ``columns``, as `daskgmm.export.sql.to_sql` takes them.

    Raises
    ------
    ConfigurationError
        The language is not known, or an option of it.
    OutputError
        The file can't be written.
    """
    language = to or Path(path).suffix.lower().removeprefix(".")
    if language not in FORMATS:
        raise ConfigurationError(
            f"The name of the file {path} does not say what to write.",
            f"Name the language (--to {' or '.join(FORMATS)}), or let the name end in it.",
        )
    require_writable_here(path)
    write_whole(Path(path), FORMATS[language](find_model(name, storage_options), **options))


def _origin(model: SavedModel) -> str:
    """Words on a model's size and where it comes from."""
    fitted, identity = model.fitted, model.identity()
    run = f"run {identity['run_id']}, " if identity["run_id"] else ""
    return (
        f"Mixture of {fitted.n_components} Gaussians over {fitted.n_features} columns, from "
        f"daskgmm: {run}model {identity['model_sha256']}"
    )
