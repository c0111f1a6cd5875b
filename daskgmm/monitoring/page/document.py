"""The page in one browser: its panels, updated every second."""

import logging
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from bokeh.document import Document
from distributed.dashboard.components.scheduler import BOKEH_THEME, env

from daskgmm.monitoring.page.feed import Feed
from daskgmm.monitoring.page.panels import CHARTS, TEXTS
from daskgmm.monitoring.page.panels.base import Panel
from daskgmm.monitoring.page.panels.chooser import Chooser
from daskgmm.monitoring.page.view import view
from daskgmm.monitoring.service.state import ClusterFits

_MILLISECONDS = 1000

logger = logging.getLogger(__name__)


class Page:
    """The page that one browser shows.

    Parameters
    ----------
    fits : ClusterFits
    workers : callable
        Returns the names of the cluster's workers by their addresses.
    chosen : str
        First characters of the run's id; empty for the first run.
    """

    def __init__(
        self, fits: ClusterFits, workers: Callable[[], Mapping[str, str]], chosen: str
    ) -> None:
        self._fits, self._workers = fits, workers
        self._feed = Feed()
        self._chooser = Chooser(chosen, self.update)
        charts = [chart(self._feed.source) for chart in CHARTS]
        self._panels: list[Panel] = [self._chooser, *charts, *(text() for text in TEXTS)]
        self._shown: Any = None

    @property
    def roots(self) -> list[Any]:
        """The panels' Bokeh models; the template has a place for each."""
        return [panel.root for panel in self._panels]

    def update(self) -> None:
        """Redraw the panels if something has changed."""
        now = view(self._fits, self._chooser.chosen, self._workers())
        silent = None if now.silent is None else int(now.silent)
        versions = self._fits.histories.version, self._fits.tasks.version
        state = (*versions, now.run and now.run.run_id, silent, tuple(now.workers))
        if state == self._shown:
            return
        self._shown = state
        self._feed.show(now.run)
        for panel in self._panels:
            panel.show(now)


def fill(
    document: Document,
    fits: ClusterFits,
    variables: Mapping[str, Any],
    workers: Callable[[], Mapping[str, str]],
) -> None:
    """Make a browser's document; ``?run=`` in its address chooses a run."""
    chosen = document.session_context.request.arguments.get("run", [b""])
    page = Page(fits, workers, chosen[0].decode(errors="replace"))
    page.update()
    document.title = "Dask: Gaussian mixtures"
    document.template = env.from_string(_template())
    document.template_variables.update(variables)
    document.theme = BOKEH_THEME
    for root in page.roots:
        document.add_root(root)

    def update() -> None:
        try:
            page.update()
        except Exception as error:  # noqa: BLE001  it would be raised again every second
            document.remove_periodic_callback(callback)
            logger.warning("A page of fits stays as it is (%s: %s).", type(error).__name__, error)

    callback = document.add_periodic_callback(update, _MILLISECONDS)


def _template() -> str:
    return files(__package__).joinpath("page.html").read_text(encoding="utf-8")
