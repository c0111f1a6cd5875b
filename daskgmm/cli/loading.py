"""Start of a command without garbage collection, which would search all that is imported.

Importing the libraries makes half a million objects that stay. Collections would go through them
several times, for a fifth of the time of the imports.
"""

import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daskgmm.jobs.listener import Listener, Start

COMMANDS = ("fit", "select", "update", "predict", "score")
"""Commands that import most of the libraries, then call `Listener.start` before they read rows."""


def begin() -> None:
    """Collect no garbage until `end`, in a process that runs one command."""
    gc.disable()


def end() -> None:
    """Collect garbage again, but never search what has been made before; only after `begin`."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


class Loading:
    """Listener that ends the loading when rows are to be read.

    Parameters
    ----------
    inner : Listener
        Is called with all events.
    """

    def __init__(self, inner: "Listener") -> None:
        self.wait, self.tell, self.watch = inner.wait, inner.tell, inner.watch
        self._start = inner.start

    def start(self, start: "Start") -> None:
        """End the loading."""
        end()
        self._start(start)
