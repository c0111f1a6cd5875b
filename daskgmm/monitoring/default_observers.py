"""The observers that every fit has, and a group of observers that can't fail a fit."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

from daskgmm.monitoring.observer import FitEnd, FitPass, FitStart, Observer

logger = logging.getLogger(__name__)

DEFAULT_OBSERVERS = (
    "daskgmm.monitoring.events",
    "daskgmm.monitoring.notebook",
)
"""Modules whose ``observer()`` makes one for a fit that begins, or ``None`` where it has no use."""


def default_observers() -> list[Observer]:
    """The default observers that have a use in this process."""
    found: list[Observer | None] = []
    for name in DEFAULT_OBSERVERS:
        try:
            found.append(import_module(name).observer())
        except Exception as error:  # noqa: BLE001  no observer can fail a fit
            logger.warning("A fit is not observed (%s: %s).", type(error).__name__, error)
    return [one for one in found if one is not None]


class ObserverGroup:
    """Calls observers in turn; one that fails gets a warning and one more call, at the end.

    Parameters
    ----------
    observers : iterable of Observer
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)
        self._failed: list[Observer] = []

    def start(self, about: FitStart) -> None:
        """Call each observer at the start of the fit."""
        self._each(lambda one: one.start(about))

    def tell(self, made: FitPass) -> None:
        """Call each observer after one more pass."""
        self._each(lambda one: one.tell(made))

    def end(self, ending: FitEnd) -> None:
        """Call each observer at the end of the fit; failed ones can then release resources."""
        for observer in self._failed:
            with suppress(Exception):
                observer.end(ending)
        self._each(lambda one: one.end(ending))

    def _each(self, call: Callable[[Observer], Any]) -> None:
        for observer in list(self._observers):
            try:
                call(observer)
            except Exception as error:
                self._observers.remove(observer)
                self._failed.append(observer)
                name = f"{type(observer).__module__}.{type(observer).__qualname__}"
                logger.warning(
                    "The observer %s failed and gets only the end of this fit (%s: %s).",
                    name, type(error).__name__, error,
                    exc_info=logger.isEnabledFor(logging.DEBUG),
                )  # fmt: skip
