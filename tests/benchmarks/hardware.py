"""What this machine can do at best: rates to hold a benchmark against."""

import os
import platform
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

_SIDE, _TIMES = 1200, 4


def processor() -> str:
    """The processor's name, which belongs beside every figure, and the number of its cores."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"


def has_widest_vectors() -> bool:
    """Whether the processor has AVX-512."""
    with suppress(OSError):
        return " avx512f " in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return False


@cache
def product_rate(dtype: str = "float64") -> float:
    """Floating-point operations a second of large products, one at a time on each core."""
    left, right = np.random.default_rng(0).random((2, _SIDE, _SIDE)).astype(dtype)
    out = [np.empty_like(left) for _ in range(os.cpu_count() or 1)]

    def multiply(into: np.ndarray) -> None:
        for _ in range(_TIMES):
            np.matmul(left, right, out=into)

    with threadpool_limits(1, user_api="blas"):
        seconds = _together(multiply, out)
    return len(out) * _TIMES * 2 * _SIDE**3 / seconds


@cache
def bandwidth() -> float:
    """Bytes a second that all cores together read from memory."""
    arrays = [np.ones(2**25) for _ in range(os.cpu_count() or 1)]
    return sum(array.nbytes for array in arrays) / _together(np.max, arrays)


def _together(work: object, arguments: list[np.ndarray]) -> float:
    """Shortest of three times in which threads work on an argument each (seconds)."""
    seconds = []
    for _ in range(3):
        threads = [threading.Thread(target=work, args=(one,)) for one in arguments]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
