"""Checks of memory and disk: a worker's memory limit, and its folder for temporary files."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from daskgmm.data.storage.scratch import root
from daskgmm.jobs.cluster.local import memory_share
from daskgmm.jobs.doctor.finding import Findings, gib, ok, problem, warning
from daskgmm.jobs.doctor.processor import tasks_of
from daskgmm.passes.memory import TARGET, TaskSizes, available_memory, worker_bytes

_IN_MEMORY = {"tmpfs", "ramfs"}
_NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3",
    "smbfs", "virtiofs",
}  # fmt: skip
_LITTLE = 5 * 2**30
_LEAST = 2**29
_REMEDY = "Choose another folder: temporary-directory in Dask's configuration, or the option "
_REMEDY += "--local-directory of a worker."


def space(worker: Any) -> Findings:
    """Check that the folder for decoded rows has free space."""
    folder = existing(root(worker))
    if not os.access(folder, os.W_OK | os.X_OK):
        yield problem(f"{folder}, where rows are cached, can't be written to.", _REMEDY)
        return
    free = shutil.disk_usage(folder).free
    fact = f"{folder}, where decoded rows are cached and workers spill, has {gib(free)} free"
    if free < _LEAST:
        yield problem(f"{fact}.", f"Free some space. {_REMEDY}")
    elif free < _LITTLE:
        yield warning(f"{fact}, which is little.", f"Free some space. {_REMEDY}")
    else:
        yield ok(f"{fact}.")


def kind(worker: Any) -> Findings:
    """Check that the folder for decoded rows is on a disk of this machine."""
    folder = existing(root(worker))
    found = file_system_kind(folder)
    if found in _IN_MEMORY:
        yield warning(f"{folder} is a {found}: files there take memory.", _REMEDY)
    elif found in _NETWORK or found.startswith("fuse."):
        yield warning(f"{folder} is on a network ({found}): much slower than memory.", _REMEDY)
    else:
        yield ok(f"{folder} is on a disk ({found or 'unknown file system'}).")


def existing(folder: Path) -> Path:
    """The folder, or the nearest folder above it that exists."""
    folder = folder.absolute()
    return next(one for one in (folder, *folder.parents) if one.exists())


def file_system_kind(folder: Path) -> str:
    """Kind of the file system that a folder is on; empty if unknown."""
    mounts = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    folder = folder.resolve()
    return next((mounts[one] for one in (folder, *folder.parents) if one in mounts), "")


_FEATURES = 20
_COMPONENTS = 20
_USUAL = TaskSizes(
    n_features=_FEATURES,
    length=_FEATURES * (_FEATURES + 1) // 2 + _FEATURES + 1,
    n_components=_COMPONENTS,
    most_components=_COMPONENTS,
    block_rows=2**16,
    part_rows=2**20,
    row_dtype=np.dtype(np.float64),
    dtype=np.dtype(np.float64),
)
_PASS = f"a pass over {_FEATURES} columns with {_COMPONENTS} full components"


def limit(worker: Any) -> Findings:
    """Check that a typical pass fits into a worker's memory limit, and that limit into memory."""
    available = available_memory()
    found = memory_share(threads=1) if worker is None else worker.memory_manager.memory_limit
    needed = worker_bytes(_USUAL, tasks_of(worker))
    if not found:
        yield warning(
            f"The worker has no memory limit, so Dask never spills or pauses it; {gib(available)} "
            "are free.",
            "Start it with --memory-limit.",
        )
        return
    if found < needed:
        yield problem(
            f"A worker may take {gib(found)}, but {_PASS} takes {gib(needed)}.",
            "Use fewer workers or threads, or more memory.",
        )
    elif TARGET * found < needed:
        yield warning(
            f"A worker may take {gib(found)}, of which Dask uses {TARGET:.0%} before it spills, "
            f"but {_PASS} takes {gib(needed)}.",
            "Use fewer workers or threads, or more memory.",
        )
    else:
        yield ok(f"A worker may take {gib(found)}; {_PASS} takes {gib(needed)}.")
    if found > available:
        yield warning(
            f"A worker may take {gib(found)}, but only {gib(available)} are free.",
            "Stop other programs that use memory, or set a lower limit.",
        )
