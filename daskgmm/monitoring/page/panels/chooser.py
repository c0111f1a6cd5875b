"""The panel that chooses the run to show."""

from collections.abc import Callable

from bokeh.models import Select

from daskgmm.monitoring.history import FitHistory
from daskgmm.monitoring.page.panels.base import sheet
from daskgmm.monitoring.page.view import PageView
from daskgmm.monitoring.text import time_of_day

_CSS = """
:host { margin-bottom: 10px; }
select.bk-input { background-color: var(--card); color: var(--text); border-color: var(--line);
  min-height: 32px; }
label { color: var(--faint); }
"""


class Chooser:
    """A list of the runs, visible where there are several.

    Parameters
    ----------
    chosen : str
        First characters of a run's id; empty for the first run.
    update : callable
        Called when another run has been chosen.
    """

    def __init__(self, chosen: str, update: Callable[[], None]) -> None:
        self.chosen = chosen
        self._update = update
        self.root = Select(
            name="chooser", sizing_mode="stretch_width", visible=False, stylesheets=sheet(_CSS),
            options=[("", "")], value="",
        )  # fmt: skip
        self.root.on_change("value", lambda _name, _old, new: self._choose(new))

    def show(self, view: PageView) -> None:
        """Update the list of runs."""
        follow = ("", f"Follow the newest that runs, of {len(view.runs)} fits")
        options = [follow, *((run.run_id, _label(run, view)) for run in view.runs)]
        if options != self.root.options:
            self.root.options = options
        self.root.visible = len(view.runs) > 1
        if view.run is not None and self.chosen and view.run.run_id.startswith(self.chosen):
            self.chosen = view.run.run_id
            self.root.value = self.chosen

    def _choose(self, new: str) -> None:
        if new != self.chosen:
            self.chosen = new
            self._update()


def _label(run: FitHistory, view: PageView) -> str:
    about = run.about
    names = (about.get("estimator"), run.run_id[:8], about.get("host"))
    known = [str(name) for name in names if name]
    return " · ".join([run.state, *known, f"since {time_of_day(run.started, view.now)}"])
