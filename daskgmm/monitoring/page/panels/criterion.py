"""The panel of a selection: its criterion against the number of components."""

from bokeh.models import Column, ColumnDataSource, Div, HoverTool, NumeralTickFormatter, Range1d
from bokeh.plotting import figure

from daskgmm.monitoring.candidates import LIVE, candidates_in, curves, span
from daskgmm.monitoring.page.panels.base import HEIGHT, sheet
from daskgmm.monitoring.page.view import PageView
from daskgmm.monitoring.text import html

_COLOURS = ("#3f7fd9", "#e08a1e", "#832db6", "#1f9e77", "#e5484d", "#717581")
_MARGIN = 0.08
_CARD = """
:host { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 12px 14px; box-sizing: border-box; }
"""
_TITLE = """
h2 { font-size: 14px; font-weight: 600; margin: 0 0 6px; }
h2 small { font-weight: 400; color: var(--faint); }
"""


class Criterion:
    """A chart with a line for each covariance type; candidates that go on are hollow."""

    def __init__(self) -> None:
        self._lines = ColumnDataSource({"x": [], "y": [], "colour": [], "kind": []})
        names = ("components", "value", "colour", "kind", "fill", "state")
        self._points = ColumnDataSource({name: [] for name in names})
        self._title = Div(sizing_mode="stretch_width", stylesheets=sheet(_TITLE))
        self._range = Range1d(0, 1)
        plot = figure(
            height=HEIGHT,
            y_range=self._range,
            sizing_mode="stretch_width",
            tools="box_zoom,reset,save",
            active_drag=None,  # as of the other charts
        )
        plot.multi_line("x", "y", color="colour", line_width=2, source=self._lines)
        dots = plot.scatter(
            "components", "value", size=8, line_width=2, line_color="colour", source=self._points,
            fill_color="colour", fill_alpha="fill",
        )  # fmt: skip
        tips = [("components", "@components"), ("covariance", "@kind"),
                ("criterion", "@value{0,0.00}"), ("", "@state")]  # fmt: skip
        plot.add_tools(HoverTool(tooltips=tips, renderers=[dots]))
        plot.toolbar.autohide, plot.toolbar_inner = True, True
        plot.xaxis.axis_label = "components"
        plot.xaxis.ticker.min_interval = 1
        plot.axis.minor_tick_line_color = None
        plot.yaxis.formatter = NumeralTickFormatter(format="0,0[.]0[00]")
        plot.xgrid.visible, plot.outline_line_color = False, None
        self.root = Column(
            self._title, plot, name="criterion", sizing_mode="stretch_width", visible=False,
            stylesheets=sheet(_CARD),
        )  # fmt: skip

    def show(self, view: PageView) -> None:
        """Show the candidates after the latest pass; hide the panel where there is no selection."""
        latest = {} if view.run is None else view.run.latest
        found = candidates_in(latest)
        self.root.visible = bool(found)
        if not found:
            return
        name = LIVE[latest.get("criterion") or "bic"].upper()
        lines = curves(found)
        colours = {kind: _COLOURS[at % len(_COLOURS)] for at, kind in enumerate(lines)}
        known = [one for one in found if one.value is not None]
        kinds = ", ".join(
            f'<span style="color:{colour}">●</span> {html(kind)}'
            for kind, colour in colours.items()
        )
        going = sum(one.running for one in found)
        self._title.text = (
            f"<h2>{name} of the candidates <small>the least is best; hollow: goes on "
            f"({going} of {len(found)}) · {kinds}</small></h2>"
        )
        low, high = span(found) or (0.0, 1.0)
        margin = _MARGIN * (high - low) or 1.0
        self._range.update(start=low - margin, end=high + margin)
        self._lines.data = {
            "x": [[one.n_components for one in curve if one in known] for curve in lines.values()],
            "y": [[one.value for one in curve if one in known] for curve in lines.values()],
            "colour": list(colours.values()),
            "kind": list(colours),
        }
        self._points.data = {
            "components": [one.n_components for one in known],
            "value": [one.value for one in known],
            "colour": [colours[one.covariance_type] for one in known],
            "kind": [one.covariance_type for one in known],
            "fill": [0.0 if one.running else 1.0 for one in known],
            "state": ["goes on" if one.running else "has stopped" for one in known],
        }
