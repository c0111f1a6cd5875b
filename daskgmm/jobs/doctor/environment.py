"""Checks of a process's environment: Dask's settings, optional packages, kept kernels."""

from importlib.util import find_spec
from typing import Any

import dask
import distributed  # noqa: F401  which has most of the settings

from daskgmm.jobs.doctor.finding import Findings, ok, warning

_MEMORY = "distributed.worker.memory"
_OFF = {
    "target": "what it holds is never spilled early",
    "spill": "nothing is spilled to disk",
    "pause": "a full worker takes more tasks",
    "terminate": "the system kills it instead, and perhaps others",
}


def of_worker(_worker: Any) -> Findings:
    """What workers do when memory runs short."""
    off = [name for name in _OFF if dask.config.get(f"{_MEMORY}.{name}") is False]
    for name in off:
        yield warning(f"{_MEMORY}.{name} is off: {_OFF[name]}.", "Leave it at its default.")
    if not off:
        yield ok("Workers spill and pause when memory runs short.")


def of_scheduler(saturation: float, failures: int) -> Findings:
    """How the scheduler hands out tasks, and how often one may lose its worker."""
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
}
"""Modules: the extra that brings each, and what needs it."""


def optional(_worker: Any) -> Findings:
    """What can't be done: no trouble for who needs none of it."""
    missing = [names for module, names in OPTIONAL.items() if find_spec(module) is None]
    if not missing:
        yield ok("All optional packages are installed.")
        return
    extras, uses = (", ".join(words) for words in zip(*missing, strict=True))
    extras = extras.replace(" ", "")
    yield ok(f"Not installed, and needed only for {uses}: pip install 'daskgmm[{extras}]'.")


def cache(_worker: Any) -> Findings:
    """Whether numba finds a folder that it may write to."""
    from numba.core.caching import FunctionCache

    from daskgmm.model.kernels.loops import moments

    try:
        # By any function of the module: it is the file that decides.
        folder = FunctionCache(moments.loop.__wrapped__).cache_path
    except RuntimeError:  # no place will do
        yield warning(
            "No folder for compiled kernels can be written to, so each process compiles anew.",
            "Set NUMBA_CACHE_DIR to a folder that can.",
        )
    else:
        yield ok(f"Compiled kernels are kept in {folder}.")
