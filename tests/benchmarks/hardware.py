"""What this machine can do at best: rates to hold a benchmark against."""

import os
import threading
import time
from functools import cache

import numpy as np
from threadpoolctl import threadpool_limits

_SIDE = 1200


@cache
def product_rate(dtype: str = "float64") -> float:
    """Floating-point operations a second of square matrix products, one on each core."""
    square = np.random.default_rng(0).random((_SIDE, _SIDE)).astype(dtype)
    out = [np.empty_like(square) for _ in range(os.cpu_count() or 1)]

    def multiply(into: np.ndarray) -> None:
        for _ in range(4):
            np.matmul(square, square, out=into)

    with threadpool_limits(1, user_api="blas"):
        seconds = _together(multiply, out)
    return len(out) * 4 * 2 * _SIDE**3 / seconds


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
