"""Trying again where storage fails in passing."""

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from daskgmm.errors import ClusterError

logger = logging.getLogger(__name__)

PAUSES = (1.0, 4.0, 16.0)
"""Seconds before a read that failed in passing is tried again, beside the store's own retries."""

NO_RETRY_AFTER_SECONDS = 60.0
"""A read that took so long to fail isn't tried again: a store that never answers at all is
waited for by its own package long enough."""

P = ParamSpec("P")
T = TypeVar("T")


def retried(action: Callable[P, T]) -> Callable[P, T]:
    """The same function, called again after a while where storage fails in passing.

    It must leave nothing behind when it fails. Other errors are raised at once, for they would
    come again.
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
                logger.warning("%s It is tried again in %g s.", error.cause, pause)
                time.sleep(pause)
        return action(*arguments, **options)

    return persisting
