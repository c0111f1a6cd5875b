"""``/daskgmm.json`` on a scheduler's HTTP server: the state of fits, for programs.

``?run=ID`` gives one fit only.
"""

import json
from dataclasses import asdict, fields
from typing import Any

from daskgmm.monitoring.history import FitHistory, Point
from daskgmm.monitoring.service.state import ClusterFits


def dashboard_of(scheduler: Any) -> Any | None:
    """The Bokeh application of Dask's own pages; ``None`` where none are served."""
    applications = scheduler.http_application.applications
    return next((one for one in applications if hasattr(one, "prefix")), None)


def prefix_of(scheduler: Any) -> str:
    """Prefix of the paths of the scheduler's pages, such as ``/proxied``; empty by default."""
    dashboard = dashboard_of(scheduler)
    return "" if dashboard is None else str(dashboard.prefix)


PATH = "/daskgmm.json"

_POINT_FIELDS = tuple(field.name for field in fields(Point))


def add(scheduler: Any, fits: ClusterFits) -> None:
    """Serve ``/daskgmm.json`` on a scheduler's HTTP server."""
    from tornado.web import RequestHandler

    class Answer(RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", "application/json")
            self.set_header("Cache-Control", "no-store")
            wanted = self.get_query_argument("run", "")
            self.write(json.dumps(runs_as_json(fits, wanted), allow_nan=False))

    scheduler.http_application.add_handlers(".*$", [(prefix_of(scheduler) + PATH, Answer)])


def runs_as_json(fits: ClusterFits, wanted: str = "") -> dict[str, Any]:
    """The runs whose ids begin with `wanted`, in plain JSON values; those that run first."""
    runs = (run for run in fits.histories.runs if run.run_id.startswith(wanted))
    return {"runs": [_run(run, fits) for run in runs]}


def _run(run: FitHistory, fits: ClusterFits) -> dict[str, Any]:
    progress = fits.tasks.progress_of(run.run_id) if run.running else None
    return {
        "run_id": run.run_id,
        "state": run.state,
        "heard": run.heard,
        "start": run.about or None,
        "starts": [event for _, event in sorted(run.starts.items())],
        "passes": [_point(point) for point in run.points],
        "every": run.every,
        "latest": run.latest or None,
        "end": run.ending or None,
        "totals": {"passes": run.passes, "rows": run.rows, "seconds": run.seconds},
        "progress": None if progress is None else asdict(progress),
    }


def _point(point: Point) -> dict[str, Any]:
    """The point as a dict; `asdict` would copy each weight while the scheduler waits."""
    return {name: getattr(point, name) for name in _POINT_FIELDS}
