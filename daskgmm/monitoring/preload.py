"""Puts fits on a scheduler's dashboard: ``dask scheduler --preload daskgmm.monitoring.preload``."""

from typing import Any

from daskgmm.monitoring.service.installing import on_scheduler, warn


def dask_setup(scheduler: Any) -> None:
    """Put fits on the dashboard of a scheduler that has just started."""
    warn(on_scheduler(scheduler))
