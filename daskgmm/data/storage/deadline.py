"""Last words to storage of what was interrupted or failed."""

import threading
from collections.abc import Callable
from contextlib import suppress

SECONDS_AFTER_INTERRUPT = 1.5
"""An interrupted command has three of them, in turn, and is to end within five seconds even
where its store never answers."""


def try_after_error(error: BaseException, action: Callable[[], None]) -> None:
    """Do something after an error that is told anyway, whatever becomes of it.

    Parameters
    ----------
    error : BaseException
        Who interrupts waits no longer than `SECONDS_AFTER_INTERRUPT`.
    action : callable
        Takes its time after a failure.
    """
    if isinstance(error, Exception):
        with suppress(Exception):
            action()
    else:
        run_within(action, SECONDS_AFTER_INTERRUPT)


def run_within(action: Callable[[], None], seconds: float) -> None:
    """Do something, but wait for it no longer than some seconds, and never fail.

    What takes longer goes on in a thread that ends with the process.
    """

    def attempt() -> None:
        with suppress(Exception):
            action()

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
