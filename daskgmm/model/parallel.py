"""Parts of a computation on the threads that a process can spare, with the same bits on any number.

`each` computes the parts where it is called. Within a block of `helped` other threads take some of
them meanwhile. What the parts are must follow from sizes alone, never from the number of threads,
and their results are in order: what is made of them is then the same however many threads there
are. NumPy and the compiled loops let other threads run while they compute; SciPy's functions of
LAPACK do not.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from itertools import pairwise, starmap
from threading import Lock
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")

_MOST_HELPERS = 64
"""Threads that help in a computation, at the most; they begin as they are needed."""

MOST_PARTS = 8
"""Parts of rows, at the most, whose sums are added: each has arrays of its own."""

FEWEST_ROWS = 4096
"""Rows of such a part, at the least."""

_WORTH_A_PART = 2.0**25
"""Multiplications that are worth a part: those of a few milliseconds."""

_SLICE_VALUES = 2**16
"""Numbers of the matrices of a slice of components, at the most, unless one has more."""


class Lender:
    """Counts the threads that computations of a process borrow."""

    def __init__(self) -> None:
        self._lent, self._lock = 0, Lock()

    def borrow(self, most: int, free: int) -> int:
        """Number of threads that may be used until they are given back.

        Parameters
        ----------
        most : int
        free : int
            Number of threads that nothing but borrowers may be using now.
        """
        with self._lock:
            found = max(min(most, free - self._lent), 0)
            self._lent += found
            return found

    def give_back(self) -> None:
        """Take one thread back."""
        with self._lock:
            self._lent -= 1


class _Helpers:
    """Threads of a computation's own, which run as far as a lender has threads to lend."""

    def __init__(self, lender: Lender, free: Callable[[], int], pool: ThreadPoolExecutor) -> None:
        self._lender, self._free, self._pool = lender, free, pool

    def each(self, function: Callable[[S], T], parts: Sequence[S]) -> list[T]:
        waiting, found = deque(enumerate(parts)), dict[int, T]()
        errors = dict[int, Exception]()

        def work() -> None:
            while not errors:
                try:
                    index, part = waiting.popleft()
                except IndexError:
                    return
                try:
                    found[index] = function(part)
                except Exception as error:  # noqa: BLE001  raised below
                    errors[index] = error

        def help_out() -> None:
            try:
                work()
            finally:
                self._lender.give_back()

        futures: list[Future[None]] = []
        try:
            futures += [
                self._pool.submit(copy_context().run, help_out)
                for _ in range(self._lender.borrow(len(parts) - 1, self._free()))
            ]
            work()
        finally:
            waiting.clear()  # of an interrupt nobody goes on
            for future in futures:
                if future.cancel():
                    self._lender.give_back()
                else:
                    future.result()
        if errors:
            # Parts are begun in order, so that this one has failed on any number of threads.
            raise errors[min(errors)]
        return [found[index] for index in range(len(parts))]


_helpers: ContextVar[_Helpers | None] = ContextVar("threads that help", default=None)


@contextmanager
def helped(lender: Lender, free: Callable[[], int]) -> Iterator[None]:
    """Let other threads take parts of what the block computes by `each`.

    Parameters
    ----------
    lender : Lender
        The one of all computations that share the threads.
    free : callable
        Number of threads that nothing but borrowers may be using now.
    """
    with ThreadPoolExecutor(_MOST_HELPERS, thread_name_prefix="daskgmm") as pool:
        token = _helpers.set(_Helpers(lender, free, pool))
        try:
            yield
        finally:
            _helpers.reset(token)


def each(function: Callable[[S], T], parts: Sequence[S]) -> list[T]:
    """Results of a function of each part, in order.

    Where parts fail, the error is that of the first of them.
    """
    helpers = _helpers.get()
    if helpers is None or len(parts) < 2:
        return [function(part) for part in parts]
    return helpers.each(function, parts)


class Turns(Generic[T]):
    """What the parts of a computation take turns with, one for each thread that is at work.

    To take memory anew costs as much as a product over it, where a process gives back what it frees
    at once, as Dask's workers do.
    """

    def __init__(self) -> None:
        self._idle: list[T] = []

    @contextmanager
    def one(self, make: Callable[[], T]) -> Iterator[T]:
        """Lend one that nothing else uses meanwhile, or make one; it is lent again if all is well.

        Parameters
        ----------
        make : callable
            The same each time.
        """
        try:
            own = self._idle.pop()
        except IndexError:
            own = make()
        yield own
        self._idle.append(own)


def parts_of_rows(
    n_rows: int, multiplications: float, values: float = 0.0, n_features: int = 1
) -> list[slice]:
    """Stretches of rows, as many as a power of two, whose sums are added in order.

    Parameters
    ----------
    n_rows : int
    multiplications : float
        Of all rows: a few are one part.
    values : float
        Numbers of a part's sums. They take at most twice the memory of the part's rows.
    n_features : int
        D, the numbers of a row.
    """
    fewest = max(FEWEST_ROWS, values / (2 * n_features))
    most = min(MOST_PARTS, n_rows / fewest, multiplications / _WORTH_A_PART)
    count = 2 ** int(math.log2(max(most, 1)))
    edges = [n_rows * part // count for part in range(count + 1)]
    return list(starmap(slice, pairwise(edges)))


def slices_of_components(n_components: int, n_features: int) -> list[slice]:
    """Slices of components with a matrix (D, D) each.

    What is computed for each component by itself is the same whatever they are.
    """
    count = -(-n_components // max(_SLICE_VALUES // n_features**2, 1))
    edges = [n_components * number // count for number in range(count + 1)]
    return list(starmap(slice, pairwise(edges)))
