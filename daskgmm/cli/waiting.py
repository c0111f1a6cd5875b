"""Lines that come now and then, while nothing else tells that a job goes on."""

import threading
import time
from collections.abc import Callable


class Waiting:
    """Has something said every so many seconds, by a thread of its own, until it is ended.

    Parameters
    ----------
    say : callable
        Given the seconds since the waiting began.
    every : float
        Seconds from one time to the next.
    """

    def __init__(self, say: Callable[[float], None], every: float) -> None:
        self._say, self._every = say, every
        self._ended = threading.Event()
        threading.Thread(target=self._wait, name="daskgmm-waiting", daemon=True).start()

    def end(self) -> None:
        """Have nothing more said."""
        self._ended.set()

    def _wait(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(self._every):
            self._say(time.monotonic() - began)
