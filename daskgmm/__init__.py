"""Gaussian mixture models on data larger than memory, on one machine or a cluster, with Dask.

Imports are lazy: ``import daskgmm`` costs next to nothing, each name loads what it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from daskgmm import errors, jobs, monitoring, plotting
    from daskgmm.data.arrow_stream import open_table
    from daskgmm.data.dataset import open_dataset
    from daskgmm.estimators.bayesian import BayesianGaussianMixture
    from daskgmm.estimators.gaussian_mixture import GaussianMixture
    from daskgmm.estimators.merged import MergedMixture
    from daskgmm.estimators.persistence import load
    from daskgmm.estimators.selector import GaussianMixtureSelector
    from daskgmm.model.prior import Prior

__all__ = [
    "BayesianGaussianMixture",
    "GaussianMixture",
    "GaussianMixtureSelector",
    "MergedMixture",
    "Prior",
    "errors",
    "jobs",
    "load",
    "monitoring",
    "open_dataset",
    "open_table",
    "plotting",
]

_HOMES = {
    "BayesianGaussianMixture": "daskgmm.estimators.bayesian",
    "GaussianMixture": "daskgmm.estimators.gaussian_mixture",
    "GaussianMixtureSelector": "daskgmm.estimators.selector",
    "MergedMixture": "daskgmm.estimators.merged",
    "Prior": "daskgmm.model.prior",
    "load": "daskgmm.estimators.persistence",
    "open_dataset": "daskgmm.data.dataset",
    "open_table": "daskgmm.data.arrow_stream",
}


def __getattr__(name: str) -> Any:
    """A public name or module, imported on first use."""
    if name == "__version__":
        return import_module("importlib.metadata").version(__name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    return import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
