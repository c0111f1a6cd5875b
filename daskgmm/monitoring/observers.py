"""Who watches every fit."""

from collections.abc import Callable

from daskgmm.monitoring import events
from daskgmm.monitoring.observer import Observer

USUAL: tuple[Callable[[], Observer | None], ...] = (events.for_this_cluster,)
"""Each makes an observer for a fit that begins here, or none where there is nobody to tell."""


def usual() -> list[Observer]:
    """An observer of each kind that has somebody to tell here."""
    return [one for one in (make() for make in USUAL) if one is not None]
