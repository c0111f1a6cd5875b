"""Jobs from inputs to results: they take and return plain values, and raise only our errors.

Each function is called by the command of the same name, with the same options and defaults. It
runs in any process and thread, also where an event loop runs or within a task of a Dask worker.
It doesn't print, read a command line or end the process.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskgmm.jobs.adapting import adapt
    from daskgmm.jobs.fitting import fit
    from daskgmm.jobs.imputing import impute
    from daskgmm.jobs.merging import merge
    from daskgmm.jobs.planning.report import plan
    from daskgmm.jobs.predicting import predict
    from daskgmm.jobs.sampling import sample
    from daskgmm.jobs.scoring import score
    from daskgmm.jobs.selecting import select
    from daskgmm.jobs.updating import update

__all__ = [
    "adapt",
    "fit",
    "impute",
    "merge",
    "plan",
    "predict",
    "sample",
    "score",
    "select",
    "update",
]

# Modules are verbs in -ing: a module jobs/fit.py would shadow the function `jobs.fit`.
_HOMES = {
    "fit": "daskgmm.jobs.fitting",
    "select": "daskgmm.jobs.selecting",
    "predict": "daskgmm.jobs.predicting",
    "impute": "daskgmm.jobs.imputing",
    "adapt": "daskgmm.jobs.adapting",
    "merge": "daskgmm.jobs.merging",
    "sample": "daskgmm.jobs.sampling",
    "update": "daskgmm.jobs.updating",
    "score": "daskgmm.jobs.scoring",
    "plan": "daskgmm.jobs.planning.report",
}


def __getattr__(name: str) -> Any:
    """A job, imported from its module on first use, as jobs need most of the package."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
