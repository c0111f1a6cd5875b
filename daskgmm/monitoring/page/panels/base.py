"""The interface of the page's panels, and the look they share."""

from typing import Any, Protocol

from bokeh.models import HoverTool, InlineStyleSheet
from bokeh.plotting import figure

from daskgmm.monitoring.page.view import PageView

HEIGHT = 250

# The page's own variables reach into Bokeh's shadow trees, its rules don't.
STYLE = """
:host { color: var(--text); font-size: 14px; margin: 0; width: 100%; }
.bk-clearfix { display: block !important; width: 100%; min-width: 0; }
.faint { color: var(--faint); }
.bad { color: var(--bad); font-weight: 600; }
"""


class Panel(Protocol):
    """A part of the page; `root` is its Bokeh model."""

    root: Any

    def show(self, view: PageView) -> None:
        """Update the model to a view."""


def chart(name: str, tooltips: list[tuple[str, str]], y: str = "linear", **options: Any) -> Any:
    """An empty chart over passes; `name` is its place in the template."""
    plot = figure(
        name=name,
        height=HEIGHT,
        sizing_mode="stretch_width",
        y_axis_type=y,
        tools="box_zoom,reset,save",
        active_drag=None,  # on a touch screen it would keep the page from being scrolled
        **options,
    )
    plot.add_tools(HoverTool(tooltips=tooltips, mode="mouse", line_policy="nearest"))
    plot.toolbar.autohide, plot.toolbar_inner = True, True
    plot.xaxis.axis_label = "pass"
    plot.xaxis.ticker.min_interval = 1
    plot.xgrid.visible = False
    plot.outline_line_color = None
    return plot


def sheet(css: str) -> list[InlineStyleSheet]:
    """Style sheets of a panel of text."""
    return [InlineStyleSheet(css=STYLE + css)]
