"""Adds the page to Dask's own ones, by ways of Dask's that may move: callers guard it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from daskgmm.monitoring.http import dashboard_of, prefix_of
from daskgmm.monitoring.state import Board

PATH = "/daskgmm"


def add(scheduler: Any, board: Board) -> Callable[[], None]:
    """Serve the page and link to it in the navigation of all pages."""
    if dashboard_of(scheduler) is None:
        raise LookupError("the scheduler serves no dashboard: Bokeh is missing there, or it is off")
    from distributed.dashboard.core import BokehApplication
    from distributed.dashboard.scheduler import template_variables
    from tornado.ioloop import IOLoop

    from daskgmm.monitoring.page.document import fill

    variables = template_variables(scheduler)  # the same ones for each of Dask's pages
    pages = variables["pages"]
    application = BokehApplication(
        {PATH: partial(_page, board, fill)},
        scheduler,
        prefix=prefix_of(scheduler),
        template_variables=variables,
    )
    application.initialize(IOLoop.current())
    application.start()
    scheduler.http_application.add_application(application)
    pages.insert(pages.index("status") + 1 if "status" in pages else 0, PATH.strip("/"))
    return partial(application.stop, wait=False)


def _page(board: Board, fill: Any, scheduler: Any, extra: Any, document: Any) -> None:
    fill(document, board, extra, lambda: _names(scheduler))


def _names(scheduler: Any) -> dict[str, str]:
    """The workers' names by their addresses."""
    return {address: str(worker.name) for address, worker in scheduler.workers.items()}
