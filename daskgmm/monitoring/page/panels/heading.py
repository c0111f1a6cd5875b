"""The panel of a fit's title, its state and the figures of its latest pass."""

from bokeh.models import Div

from daskgmm.monitoring.forecast import remaining_of
from daskgmm.monitoring.history import LOST, FitHistory
from daskgmm.monitoring.page.panels.base import sheet
from daskgmm.monitoring.page.view import PageView
from daskgmm.monitoring.phrases import (
    NO_WORKERS,
    STATES,
    Figure,
    at_most,
    ended,
    figures_of_event,
    pass_number,
    remaining,
    rows_and_columns,
    search_figures,
)
from daskgmm.monitoring.search_forecast import search_left
from daskgmm.monitoring.text import duration, html, time_of_day

_CSS = """
h1 { font-size: 20px; margin: 0 44px 2px 0; display: flex; flex-wrap: wrap; gap: 10px;
  align-items: center; }
p { margin: 2px 0; overflow-wrap: anywhere; }
.state { font-size: 13px; font-weight: 600; padding: 2px 10px; border-radius: 12px;
  color: #fff; background: #6b7280; }
.running { background: #2563c9; }
.converged { background: #1f7a4a; }
.max_iter { background: #96600a; }
.failed, .lost { background: #c0343a; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); gap: 8px 14px;
  margin: 10px 0 0; }
dt { font-size: 12px; color: var(--faint); }
dd { margin: 0; font-size: 17px; font-variant-numeric: tabular-nums; }
dd small { font-size: 13px; color: var(--faint); }
"""


class Heading:
    """Title of a fit, how far it is, and how long it will take."""

    def __init__(self) -> None:
        self.root = Div(name="heading", sizing_mode="stretch_width", stylesheets=sheet(_CSS))

    def show(self, view: PageView) -> None:
        """Show a title, the fit's process and rows, and the figures of its latest pass."""
        if view.run is None:
            self.root.text = (
                "<h1>No fit yet</h1><p>A fit on this cluster shows up here by itself.</p>"
            )
            return
        run = view.run
        state = (
            f'<span class="state {html(run.state)}">{html(STATES.get(run.state, run.state))}</span>'
        )
        figures = "".join(map(_definition, _figures(run)))
        self.root.text = (
            f"<h1>{html(_title(run))} {state}</h1>"
            f'<p class="faint">{html(_origin(run, view))}</p>{_trouble(view)}<dl>{figures}</dl>'
        )


def _title(run: FitHistory) -> str:
    about = run.about
    counts, kinds = about.get("n_components", ()), about.get("covariance_type", ())
    several = f"{min(counts)} to {max(counts)}" if len(set(counts)) > 1 else f"{[*counts, 0][0]}"
    title = str(about.get("estimator", "A fit"))
    return f"{title}: {several} components, {', '.join(dict.fromkeys(kinds))}" if counts else title


def _origin(run: FitHistory, view: PageView) -> str:
    about = run.about
    facts = [f"run {run.run_id[:8]}"]
    if about:
        facts.append(f"host {about.get('host')}, process {about.get('pid')}")
    facts.append(f"since {time_of_day(run.started, view.now)}")
    if about.get("rows"):
        facts.append(rows_and_columns(about["rows"], about.get("n_features", 0)))
    return " · ".join(facts)


def _trouble(view: PageView) -> str:
    """Cause of the fit's waiting, or of its early end."""
    run = view.run
    if run is None:
        return ""
    if run.running and not view.workers:
        return f'<p class="bad">{html(NO_WORKERS)}</p>'
    if view.silent is not None:
        since = time_of_day(view.now - view.silent, view.now)
        return f'<p class="bad">No news since {since} ({duration(view.silent)}).</p>'
    if run.state == LOST:
        return f'<p class="bad">{html(ended(LOST, run.iteration))}</p>'
    message = run.ending.get("message")
    return f'<p class="bad">{html(message)}</p>' if message else ""


def _figures(run: FitHistory) -> list[Figure]:
    latest = run.latest
    if not latest:
        left = search_left(run.search)
        ends = [] if left is None else [at_most(left)]
        return [*search_figures(run.search), *ends] or [Figure("pass", "none yet")]
    number = pass_number(run.iteration, latest.get("max_iter"))
    average = Figure("average pass", duration(run.seconds / max(run.passes, 1)))
    return [number, *figures_of_event(latest), average, _end(run)]


def _end(run: FitHistory) -> Figure:
    if not run.running:
        seconds = run.ending.get("seconds")
        return Figure("took", "–" if seconds is None else duration(seconds))
    left = remaining_of(run)
    if left is None:
        return Figure("left", "", "not known yet")
    return remaining(left.passes, left.seconds)


def _definition(figure: Figure) -> str:
    note = f" <small>{html(figure.note)}</small>" if figure.note else ""
    return f"<div><dt>{html(figure.label)}</dt><dd>{html(figure.value)}{note}</dd></div>"
