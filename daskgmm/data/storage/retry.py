"""Retries of reads that fail for a passing reason."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import islice
from typing import ParamSpec, TypeVar

from daskgmm.errors import ClusterError

logger = logging.getLogger(__name__)

PAUSES = (1.0, 4.0, 16.0)
"""Seconds before each retry, on top of the store's own retries."""

NO_RETRY_AFTER_SECONDS = 60.0
"""A read that took longer to fail is not retried: the store's package has waited long enough for a
store that never answers."""

P = ParamSpec("P")
T = TypeVar("T")


def retried(action: Callable[P, T]) -> Callable[P, T]:
    """The same function, called again after a pause if storage fails for a passing reason.

    It must leave nothing behind when it fails. Other errors are raised at once: they would occur
    again.
    """

    @wraps(action)
    def persisting(*arguments: P.args, **options: P.kwargs) -> T:
        for pause in PAUSES:
            began = time.monotonic()
            try:
                return action(*arguments, **options)
            except ClusterError as error:
                if time.monotonic() - began > NO_RETRY_AFTER_SECONDS:
                    raise
                logger.warning("%s The read is tried again in %g s.", error.cause, pause)
                time.sleep(pause)
        return action(*arguments, **options)

    return persisting


def read_persistently(read: Callable[[], Iterator[T]]) -> Iterator[T]:
    """Yield what an iterator yields, read again where storage fails in passing.

    Parameters
    ----------
    read : callable
        Returns a new iterator over the same values each time; those that were yielded before
        the failure are skipped.
    """
    done, pauses, values = 0, iter(PAUSES), read()
    while True:
        began = time.monotonic()
        try:
            value = next(values)
        except StopIteration:
            return
        except ClusterError as error:
            pause = next(pauses, None)
            if pause is None or time.monotonic() - began > NO_RETRY_AFTER_SECONDS:
                raise
            logger.warning("%s It is tried again in %g s.", error.cause, pause)
            time.sleep(pause)
            values = islice(read(), done, None)
            continue
        yield value
        done += 1
