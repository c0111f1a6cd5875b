"""The disk that decoded rows and Dask's spilled data go to."""

import os
import shutil
from pathlib import Path
from typing import Any

import psutil

from daskgmm.data.storage.scratch import root
from daskgmm.jobs.doctor.finding import Findings, gib, ok, problem, warning

_IN_MEMORY = {"tmpfs", "ramfs"}
_NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3",
    "smbfs", "virtiofs",
}  # fmt: skip
_LITTLE = 5 * 2**30
_LEAST = 2**29
_REMEDY = "Name another folder: temporary-directory in Dask's configuration, or a worker's own "
_REMEDY += "--local-directory."


def space(worker: Any) -> Findings:
    """Room for decoded rows."""
    folder = existing(root(worker))
    if not os.access(folder, os.W_OK | os.X_OK):
        yield problem(f"{folder}, where rows are cached, can't be written to.", _REMEDY)
        return
    free = shutil.disk_usage(folder).free
    fact = f"{folder}, where decoded rows are cached and workers spill, has {gib(free)} free"
    if free < _LEAST:
        yield problem(f"{fact}.", f"Free some space. {_REMEDY}")
    elif free < _LITTLE:
        yield warning(f"{fact}: little.", f"Free some space. {_REMEDY}")
    else:
        yield ok(f"{fact}.")


def kind(worker: Any) -> Findings:
    """Whether it is a disk of this machine."""
    folder = existing(root(worker))
    found = file_system(folder)
    if found in _IN_MEMORY:
        yield warning(f"{folder} is a {found}: what goes there takes memory instead.", _REMEDY)
    elif found in _NETWORK or found.startswith("fuse."):
        yield warning(f"{folder} is on a network ({found}): slower than memory by far.", _REMEDY)
    else:
        yield ok(f"{folder} is on a disk ({found or 'of a kind not known'}).")


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    folder = folder.absolute()
    return next(one for one in (folder, *folder.parents) if one.exists())


def file_system(folder: Path) -> str:
    """The kind of file system that a folder is on, empty where the system doesn't tell."""
    mounts = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    folder = folder.resolve()
    return next((mounts[one] for one in (folder, *folder.parents) if one in mounts), "")
