"""Start of a command: what imports would do that the command has no use for.

Importing the libraries makes half a million objects that stay. Garbage collections would go through
them several times, for a fifth of the time of the imports. And scikit-learn imports `scipy.stats`,
for another fifth, whose functions no command calls.
"""

import gc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daskgmm.jobs.listener import Listener, Start

_UNUSED = "scipy.stats"

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


class Deferred:
    """Finder of modules that load `scipy.stats` only if an attribute of it is asked for."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's specification, whose loader waits; none for other modules."""
        spec = PathFinder.find_spec(name, path, target) if name == _UNUSED else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def defer() -> None:
    """Load in this process what is imported but not used only once it is used."""
    sys.meta_path.insert(0, Deferred)


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
