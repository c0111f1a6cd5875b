"""Who watches every fit."""

import logging
from collections.abc import Callable

from daskgmm.monitoring import events, notebook
from daskgmm.monitoring.observer import Observer

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
