"""The panel of the current pass by worker."""

from bokeh.models import Div

from daskgmm.monitoring.page.panels.base import sheet
from daskgmm.monitoring.page.view import PageView
from daskgmm.monitoring.phrases import search_line
from daskgmm.monitoring.search_forecast import search_share
from daskgmm.monitoring.service.state import TaskProgress
from daskgmm.monitoring.text import capitalised, html

MOST = 40

_CSS = """
.rows { display: grid; grid-template-columns: fit-content(45%) 1fr max-content; gap: 6px 10px;
  align-items: center; }
.row { display: contents; }
.row > :first-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.row > :last-child { text-align: right; font-variant-numeric: tabular-nums; }
.track { background: var(--track); border-radius: 4px; height: 12px; overflow: hidden; }
.bar { background: var(--accent); height: 100%; border-radius: 4px; }
.all { margin-bottom: 10px; }
.all .track { height: 16px; }
"""


class Workers:
    """Bars of the tasks that the workers have finished, together and each."""

    def __init__(self) -> None:
        self.root = Div(name="workers", sizing_mode="stretch_width", stylesheets=sheet(_CSS))

    def show(self, view: PageView) -> None:
        """Show how many tasks of the current pass are done, by worker."""
        if view.progress is None:
            ended = view.run is not None and not view.run.running
            status = "The fit has ended." if ended else "No pass is being made."
            self.root.text = f'<p class="faint">{status}</p>'
            return
        starts = () if view.run is None else view.run.search
        search = _bar(capitalised(search_line(starts)), search_share(starts)) if starts else ""
        self.root.text = search + _all(view.progress) + _each(view.progress, view)


def _all(progress: TaskProgress) -> str:
    share = progress.finished / progress.total
    done = f"{progress.phase.capitalize()}: {progress.finished} of {progress.total} tasks"
    return _bar(done, share)


def _bar(text: str, share: float) -> str:
    return f'<div class="all"><p style="margin:0 0 4px">{html(text)}</p>{_track(share)}</div>'


def _each(progress: TaskProgress, view: PageView) -> str:
    done = {address: progress.done.get(address, 0) for address in view.workers}
    most = max(max(done.values(), default=0), -(-progress.total // max(len(done), 1)), 1)
    shown = sorted(done, key=lambda address: _order(view.workers[address]))
    rows = [
        f'<div class="row"><span title="{html(address)}">worker {html(view.workers[address])}'
        f"</span>{_track(done[address] / most)}<span>{done[address]}</span></div>"
        for address in shown[:MOST]
    ]
    rest = shown[MOST:]
    others = sum(done[address] for address in rest)
    note = f'<p class="faint">{len(rest)} more workers: {others} tasks</p>' if rest else ""
    return f'<div class="rows">{"".join(rows)}</div>{note}'


def _track(share: float) -> str:
    return f'<div class="track"><div class="bar" style="width:{100 * share:.1f}%"></div></div>'


def _order(name: str) -> tuple[bool, int, str]:
    """Sort key of a worker: by number where its name is one."""
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
