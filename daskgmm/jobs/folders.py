"""Folders that outputs are made in."""

import os
from pathlib import Path

from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.folder import require_folder
from daskgmm.errors import ConfigurationError, OutputError

REPLACEMENT = "_replacing"
"""Folder in a run directory, or in an output in a store, where what is to replace it is made:
readers of Parquet skip names like it."""


def require_writable(folder: Path) -> None:
    """Raise OutputError unless files can be made in a folder."""
    require_folder(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"The output's folder {folder} can't be written to.",
            "Choose another one, or change its permissions.",
        )


def require_writable_here(path: str) -> None:
    """Refuse a file that can't be made on this machine, before any work is done.

    Raises
    ------
    ConfigurationError
        It is a URL.
    OutputError
        Its folder is missing or can't be written to.
    """
    if "://" in path:
        raise ConfigurationError(
            f"{shown_address(path)} is a URL, and this is written on this machine only.",
            "Give a path, and copy the file from there.",
        )
    require_writable(Path(path).resolve().parent)
