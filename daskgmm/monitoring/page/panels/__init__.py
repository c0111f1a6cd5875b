"""The page's panels, one class a file, and the registry of them."""

from collections.abc import Callable

from bokeh.models import ColumnDataSource

from daskgmm.monitoring.page.panels.base import Panel
from daskgmm.monitoring.page.panels.bound import Bound
from daskgmm.monitoring.page.panels.change import Change
from daskgmm.monitoring.page.panels.criterion import Criterion
from daskgmm.monitoring.page.panels.heading import Heading
from daskgmm.monitoring.page.panels.parameters import Parameters
from daskgmm.monitoring.page.panels.speed import Speed
from daskgmm.monitoring.page.panels.weights import Weights
from daskgmm.monitoring.page.panels.workers import Workers

CHARTS: tuple[Callable[[ColumnDataSource], Panel], ...] = (Bound, Change, Weights, Speed)
"""Panels that draw the passes in a column source."""

TEXTS: tuple[Callable[[], Panel], ...] = (Heading, Criterion, Workers, Parameters)
"""Panels of the latest pass."""
