"""A scheduler's HTTP server, as far as it tells how its pages are served."""

from typing import Any


def dashboard_of(scheduler: Any) -> Any | None:
    """The Bokeh application of Dask's own pages, ``None`` where it serves none."""
    applications = scheduler.http_application.applications
    return next((one for one in applications if hasattr(one, "prefix")), None)


def prefix_of(scheduler: Any) -> str:
    """What comes before the paths of its pages, such as ``/proxied``; mostly nothing."""
    dashboard = dashboard_of(scheduler)
    return "" if dashboard is None else str(dashboard.prefix)
