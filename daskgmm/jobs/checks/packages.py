"""Packages that only some things need."""

from importlib.util import find_spec
from typing import Any

from daskgmm.jobs.doctor.finding import Findings, ok

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
