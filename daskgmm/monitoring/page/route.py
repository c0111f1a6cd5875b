"""Adds the page to Dask's dashboard by internals of Dask; callers catch what fails."""

from collections.abc import Callable
from functools import partial
from typing import Any

from daskgmm.monitoring.service.http import dashboard_of, prefix_of
from daskgmm.monitoring.service.state import ClusterFits

PATH = "/daskgmm"


def add(scheduler: Any, fits: ClusterFits) -> Callable[[], None]:
    """Serve the page and link to it in the navigation of all pages."""
    if dashboard_of(scheduler) is None:
        raise LookupError("the scheduler serves no dashboard: Bokeh is missing there, or it is off")
    from distributed.dashboard.core import BokehApplication
    from distributed.dashboard.scheduler import template_variables
    from tornado.ioloop import IOLoop

    from daskgmm.monitoring.page.document import fill

    variables = template_variables(scheduler)  # one dict for all of Dask's pages
    pages = variables["pages"]
    application = BokehApplication(
        {PATH: partial(_page, fits, fill)},
        scheduler,
        prefix=prefix_of(scheduler),
        template_variables=variables,
    )
    application.initialize(IOLoop.current())
    application.start()
    scheduler.http_application.add_application(application)
    pages.insert(pages.index("status") + 1 if "status" in pages else 0, PATH.strip("/"))
    return partial(application.stop, wait=False)


def _page(fits: ClusterFits, fill: Any, scheduler: Any, extra: Any, document: Any) -> None:
    fill(document, fits, extra, lambda: _names(scheduler))


def _names(scheduler: Any) -> dict[str, str]:
    """The workers' names by their addresses."""
    return {address: str(worker.name) for address, worker in scheduler.workers.items()}
