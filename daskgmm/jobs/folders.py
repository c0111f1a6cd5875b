"""Folders that outputs are made in."""

import os
from pathlib import Path

from daskgmm.errors import OutputError


def require_writable(folder: Path) -> None:
    """Raise OutputError unless files can be made in a folder."""
    if not folder.is_dir():
        there = "is not a folder" if folder.exists() else "does not exist"
        raise OutputError(f"The output's folder {folder} {there}.", f"Make it: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"The output's folder {folder} can't be written to.",
            "Choose another one, or change its permissions.",
        )
