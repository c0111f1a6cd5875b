"""Actions that must not delay or hide the error that they follow."""

import threading
from collections.abc import Callable
from contextlib import suppress

SECONDS_AFTER_INTERRUPT = 1.5
"""An interrupted command runs up to three such actions in turn, and must end within five seconds
even if its store never answers."""


def try_after_error(error: BaseException, action: Callable[[], None]) -> None:
    """Try an action after an error that is reported anyway; its own failure is ignored.

    Parameters
    ----------
    error : BaseException
        After an interrupt the action gets at most `SECONDS_AFTER_INTERRUPT`.
    action : callable
        After a failure it may take as long as it needs.
    """
    if isinstance(error, Exception):
        with suppress(Exception):
            action()
    else:
        run_within(action, SECONDS_AFTER_INTERRUPT)


def run_within(action: Callable[[], None], seconds: float) -> None:
    """Run an action, wait at most some seconds for it, and ignore its failure.

    An action that takes longer goes on in a thread that ends with the process.
    """

    def attempt() -> None:
        with suppress(Exception):
            action()

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
