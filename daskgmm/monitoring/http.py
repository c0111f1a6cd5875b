"""``/daskgmm.json``: what the scheduler knows of fits, for programs; ``?run=ID`` of one only.

A scheduler's HTTP server, as far as it tells how its pages are served.
"""

import json
from dataclasses import asdict, fields
from typing import Any

from daskgmm.monitoring.history import FitHistory, Point
from daskgmm.monitoring.state import Board


def dashboard_of(scheduler: Any) -> Any | None:
    """The Bokeh application of Dask's own pages, ``None`` where it serves none."""
    applications = scheduler.http_application.applications
    return next((one for one in applications if hasattr(one, "prefix")), None)


def prefix_of(scheduler: Any) -> str:
    """What comes before the paths of its pages, such as ``/proxied``; mostly nothing."""
    dashboard = dashboard_of(scheduler)
    return "" if dashboard is None else str(dashboard.prefix)


PATH = "/daskgmm.json"

_OF_POINTS = tuple(field.name for field in fields(Point))


def add(scheduler: Any, board: Board) -> None:
    """Serve it on a scheduler's HTTP server."""
    from tornado.web import RequestHandler

    class Answer(RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", "application/json")
            self.set_header("Cache-Control", "no-store")
            wanted = self.get_query_argument("run", "")
            self.write(json.dumps(told(board, wanted), allow_nan=False))

    scheduler.http_application.add_handlers(".*$", [(prefix_of(scheduler) + PATH, Answer)])


def told(board: Board, wanted: str = "") -> dict[str, Any]:
    """The runs whose ids begin so, those that run first, in plain JSON values."""
    runs = (run for run in board.history.runs if run.run_id.startswith(wanted))
    return {"runs": [_run(run, board) for run in runs]}


def _run(run: FitHistory, board: Board) -> dict[str, Any]:
    progress = board.tally.of(run.run_id) if run.running else None
    return {
        "run_id": run.run_id,
        "state": run.state,
        "heard": run.heard,
        "start": run.about or None,
        "passes": [_point(point) for point in run.points],
        "every": run.every,
        "latest": run.latest or None,
        "end": run.ending or None,
        "totals": {"passes": run.passes, "rows": run.rows, "seconds": run.seconds},
        "progress": None if progress is None else asdict(progress),
    }


def _point(point: Point) -> dict[str, Any]:
    """Without copies, which `asdict` would make of each weight while the scheduler waits."""
    return {name: getattr(point, name) for name in _OF_POINTS}
