"""Who watches every fit.

Observers can't fail a fit.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from daskgmm.monitoring import events, notebook
from daskgmm.monitoring.observer import About, Ending, Observer, Pass

logger = logging.getLogger(__name__)

USUAL: tuple[Callable[[], Observer | None], ...] = (
    events.for_this_cluster,
    notebook.for_this_notebook,
)
"""Each makes an observer for a fit that begins here, or none where there is nobody to tell."""


def usual() -> list[Observer]:
    """An observer of each kind that has somebody to tell here."""
    found = []
    for make in USUAL:
        try:
            found.append(make())
        except Exception as error:  # noqa: BLE001  no observer can fail a fit
            logger.warning("A fit is not watched (%s: %s).", type(error).__name__, error)
    return [one for one in found if one is not None]


class Guarded:
    """Tells observers; one that fails is warned of once and told no more but the end.

    Parameters
    ----------
    observers : iterable of Observer
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)
        self._failed: list[Observer] = []

    def start(self, about: About) -> None:
        """The fit begins."""
        self._each(lambda one: one.start(about))

    def tell(self, made: Pass) -> None:
        """One more pass has been made."""
        self._each(lambda one: one.tell(made))

    def end(self, ending: Ending) -> None:
        """The fit has ended: those that failed let go of what they hold."""
        for observer in self._failed:
            with suppress(Exception):
                observer.end(ending)
        self._each(lambda one: one.end(ending))

    def _each(self, tell: Callable[[Observer], Any]) -> None:
        for observer in list(self._observers):
            try:
                tell(observer)
            except Exception as error:
                self._observers.remove(observer)
                self._failed.append(observer)
                name = f"{type(observer).__module__}.{type(observer).__qualname__}"
                logger.warning(
                    "The observer %s failed and is told only the end of this fit (%s: %s).",
                    name, type(error).__name__, error,
                    exc_info=logger.isEnabledFor(logging.DEBUG),
                )  # fmt: skip
