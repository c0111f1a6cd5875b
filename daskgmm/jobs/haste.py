"""Last words of a process that must end soon."""

import threading
from collections.abc import Callable
from contextlib import suppress


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
