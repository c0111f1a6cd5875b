"""Last words to storage of what was interrupted or failed."""

import threading
from collections.abc import Callable
from contextlib import suppress

SECONDS_FOR_LAST_WORDS = 1.5
"""An interrupted command has three of them, in turn, and is to end within five seconds even
where its store never answers."""


def last_words(error: BaseException, action: Callable[[], None]) -> None:
    """Do something after an error that is told anyway, whatever becomes of it.

    Parameters
    ----------
    error : BaseException
        Who interrupts waits no longer than `SECONDS_FOR_LAST_WORDS`.
    action : callable
        Takes its time after a failure.
    """
    if isinstance(error, Exception):
        with suppress(Exception):
            action()
    else:
        in_time(action, SECONDS_FOR_LAST_WORDS)


def in_time(action: Callable[[], None], seconds: float) -> None:
    """Do something, but wait for it no longer than some seconds, and never fail.

    What takes longer goes on in a thread that ends with the process.
    """

    def attempt() -> None:
        with suppress(Exception):
            action()

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
