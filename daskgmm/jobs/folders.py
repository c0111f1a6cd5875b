"""Folders that outputs are made in."""

import os
from pathlib import Path

from daskgmm.data.places import require_folder
from daskgmm.errors import OutputError

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
