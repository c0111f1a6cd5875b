"""Checks of a process's environment: Dask's settings, optional packages, compiled kernels."""

from importlib.util import find_spec
from typing import Any

import dask
import distributed  # noqa: F401  it declares most of the settings

from daskgmm.jobs.cluster.local import PROFILE, PROFILER_STOPS_WORKERS
from daskgmm.jobs.doctor.finding import Findings, ok, warning

_MEMORY = "distributed.worker.memory"
_OFF = {
    "target": "workers don't spill data early",
    "spill": "nothing is spilled to disk",
    "pause": "workers start tasks even when their memory is full",
    "terminate": "the system kills full workers instead, and perhaps other processes",
}


def of_worker(worker: Any) -> Findings:
    """Check that workers spill and pause when memory runs short, and that nothing stops them."""
    off = [name for name in _OFF if dask.config.get(f"{_MEMORY}.{name}") is False]
    for name in off:
        yield warning(f"{_MEMORY}.{name} is off: {_OFF[name]}.", "Leave it at its default.")
    if not off:
        yield ok("Workers spill and pause when memory runs short.")
    if worker is not None and PROFILER_STOPS_WORKERS and dask.config.get(PROFILE):
        yield warning(
            "On Python 3.11 Dask's profiler may stop a worker for five minutes, where threads "
            "begin meanwhile (https://github.com/dask/distributed/issues/8616).",
            "Use a newer Python, or start workers with "
            "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False.",
        )


def of_scheduler(saturation: float, failures: int) -> Findings:
    """Check that the scheduler queues tasks, and that a task may lose its worker.

    Parameters
    ----------
    saturation : float
        Dask's setting ``worker-saturation``; infinite where tasks are not queued.
    failures : int
        Dask's setting ``allowed-failures``: workers that a task may lose.
    """
    if saturation == float("inf"):
        yield warning(
            "distributed.scheduler.worker-saturation is inf: tasks are not queued, and rows may "
            "be read faster than they are used.",
            "Leave it at its default.",
        )
    elif failures < 1:
        yield warning(
            "distributed.scheduler.allowed-failures is 0: one lost worker ends a fit.",
            "Leave it at its default of 3.",
        )
    else:
        yield ok(f"The scheduler queues tasks; one may lose its worker {failures} times.")


OPTIONAL = {
    "matplotlib": ("plot", "figures"),
    "s3fs": ("s3", "S3"),
    "zarr": ("zarr", "Zarr"),
    "h5py": ("hdf5", "HDF5"),
    "bokeh": ("dashboard", "the dashboard"),
    "polars": ("polars", "Polars frames"),
    "dask_ml": ("kmeans", "k-means||"),
    "deltalake": ("delta", "Delta tables"),
    "pyiceberg": ("iceberg", "Iceberg tables"),
}
"""Optional modules: the extra that installs each, and the feature that needs it."""


def optional(_worker: Any) -> Findings:
    """List the optional packages that are missing; none of them is needed by every user."""
    missing = [names for module, names in OPTIONAL.items() if find_spec(module) is None]
    if not missing:
        yield ok("All optional packages are installed.")
        return
    extras, uses = (", ".join(words) for words in zip(*missing, strict=True))
    extras = extras.replace(" ", "")
    yield ok(f"Not installed, and needed only for {uses}: pip install 'daskgmm[{extras}]'.")


def cache(_worker: Any) -> Findings:
    """Check that numba finds a folder for compiled kernels that it may write to."""
    from daskgmm.model.kernels.loops import moments

    folder = moments.loop.folder()
    if folder is None:
        yield warning(
            "No folder for compiled kernels can be written to, so every process compiles them.",
            "Set NUMBA_CACHE_DIR to a folder that can be written to.",
        )
    else:
        yield ok(f"Compiled kernels are kept in {folder}.")
