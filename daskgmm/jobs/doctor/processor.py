"""Checks of the processor: the vector width that BLAS uses, and threads per core."""

import os
from pathlib import Path
from typing import Any

from daskgmm.jobs.doctor.finding import Findings, ok, problem, warning


def cores() -> int:
    """Number of cores that affinity and the container allow this process."""
    from dask.system import cpu_count

    return int(cpu_count())


def tasks_of(worker: Any) -> int:
    """Number of tasks that a worker runs at a time; without a worker one, as embedded ones do."""
    return 1 if worker is None else int(worker.state.nthreads)


def limits(worker: Any) -> Findings:
    """Check that tasks have as many cores as threads, by affinity and the container's limit."""
    machine, usable, tasks = os.cpu_count() or 1, cores(), tasks_of(worker)
    if tasks > usable:
        yield warning(
            f"{tasks} threads run tasks, but affinity or the container allows only {usable} of "
            f"the machine's {machine} cores.",
            "Use fewer threads, or allow more cores.",
        )
    else:
        yield ok(f"Tasks, {tasks} at a time, may use {usable} of the machine's {machine} cores.")


_WIDE = frozenset({"skylakex", "cooperlake", "sapphirerapids"})
_MIDDLE = _WIDE | {"haswell", "zen"}
_WIDTHS = (("avx512vl", "AVX-512", _WIDE, "SkylakeX"), ("avx2", "AVX2", _MIDDLE, "Haswell"))
"""CPU flag, its name, OpenBLAS's kernels that use it, and one that all such CPUs can run."""


def vector_width(_worker: Any) -> Findings:
    """Check that OpenBLAS uses the widest vectors that the CPU has."""
    found = {lib["architecture"] for lib in _libraries() if "architecture" in lib}
    if not found:
        yield ok("OpenBLAS, which may choose slow kernels, is not used.")
    flags = _flags()
    for name in sorted(found):
        missed = next((row for row in _WIDTHS if row[0] in flags), None)
        if missed is None or name.lower() in missed[2]:
            yield ok(f"OpenBLAS uses its kernels for {name}.")
        else:
            _, width, _, kernel = missed
            yield problem(
                f"OpenBLAS uses its kernels for {name}, but the CPU has {width}: products of "
                f"matrices take up to twice as long{_reason()}.",
                f"Set OPENBLAS_CORETYPE={kernel} before Python starts, here and for workers.",
            )


def threads(worker: Any) -> Findings:
    """Check that BLAS has no more threads than cores, outside of passes, which limit it."""
    tasks, usable = tasks_of(worker), cores()
    most = max((lib["num_threads"] for lib in _libraries()), default=1)
    fact = f"BLAS threads per task: {most}; tasks at a time: {tasks}; cores: {usable}."
    if most > 1 and most * tasks > usable:
        yield warning(
            fact,
            "Set OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1: passes limit BLAS to one thread, "
            "but other work on the same cores doesn't.",
        )
    else:
        yield ok(fact)


def _libraries() -> list[dict[str, Any]]:
    import scipy.linalg  # noqa: F401  it may load a BLAS of its own
    from threadpoolctl import threadpool_info

    return [lib for lib in threadpool_info() if lib["user_api"] == "blas"]


def _flags() -> frozenset[str]:
    """Flags of the CPU, from Linux's ``/proc/cpuinfo``; empty on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    lines = (line.partition(":") for line in text.splitlines())
    return frozenset(
        next((value for name, _, value in lines if name.strip() == "flags"), "").split()
    )


def _reason() -> str:
    chosen = os.environ.get("OPENBLAS_CORETYPE")
    return f" (OPENBLAS_CORETYPE={chosen} asks for it)" if chosen else ""
