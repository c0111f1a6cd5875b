"""A run from its inputs to its results: plain values in, plain values out, our errors only.

Each function is what the command of its name calls, with the same options and defaults. They
run in any process and thread: also where an event loop runs, or within a task of a Dask worker.
Nothing here prints, reads a command line or ends the process.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskgmm.jobs.fitting import fit
    from daskgmm.jobs.planning.report import plan
    from daskgmm.jobs.predicting import predict
    from daskgmm.jobs.sampling import sample
    from daskgmm.jobs.scoring import score
    from daskgmm.jobs.selecting import select
    from daskgmm.jobs.updating import update

__all__ = ["fit", "plan", "predict", "sample", "score", "select", "update"]

# Modules are verbs in -ing: a module jobs/fit.py would shadow the function `jobs.fit`.
_HOMES = {
    "fit": "daskgmm.jobs.fitting",
    "select": "daskgmm.jobs.selecting",
    "predict": "daskgmm.jobs.predicting",
    "sample": "daskgmm.jobs.sampling",
    "update": "daskgmm.jobs.updating",
    "score": "daskgmm.jobs.scoring",
    "plan": "daskgmm.jobs.planning.report",
}


def __getattr__(name: str) -> Any:
    """A job, whose module is imported on first use, as jobs need most of the package."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
