"""Environments of their own, for packages that ours does without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

UV = {"UV_SYSTEM_CERTS": "true"}
"""Has uv trust what this machine trusts, as pip does: a proxy's certificate, for one."""

OURS = ("--editable", str(ROOT))
"""This package as it is now: uv would keep a wheel of it from before."""


def environment(folder: Path, *packages: str) -> Path:
    """Make one with these packages and return its Python; skip where they can't be had.

    Where ``CI`` is set they must be.
    """
    uv = (sys.executable, "-m", "uv")
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    done = subprocess.run(
        [*uv, "pip", "install", "--quiet", "--python", python, *packages],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | UV,
    )
    if done.returncode:
        reason = f"{', '.join(packages)} can't be installed: {done.stderr.strip()}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return python
