"""Where compiled kernels are kept."""

from typing import Any

from daskgmm.jobs.doctor.finding import Findings, ok, warning


def cache(_worker: Any) -> Findings:
    """Whether numba finds a folder that it may write to."""
    from numba.core.caching import FunctionCache

    from daskgmm.model.kernels import loops

    try:
        # By any function of the module: it is the file that decides.
        folder = FunctionCache(loops.loop.__wrapped__).cache_path
    except RuntimeError:  # no place will do
        yield warning(
            "No folder for compiled kernels can be written to, so each process compiles anew.",
            "Set NUMBA_CACHE_DIR to a folder that can.",
        )
    else:
        yield ok(f"Compiled kernels are kept in {folder}.")
