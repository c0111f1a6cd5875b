"""Environments of their own, for packages that ours does without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


def environment(folder: Path, *packages: str) -> Path:
    """Make one with these packages and return it; skip the test where they can't be had.

    Where ``CI`` is set they must be.
    """
    uv = (sys.executable, "-m", "uv")
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    into = ("--python", folder / "bin" / "python")
    done = subprocess.run(
        [*uv, "pip", "install", "--quiet", *into, *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = f"{', '.join(packages)} can't be installed: {done.stderr.strip()}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return folder
