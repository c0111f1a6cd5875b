"""What is fitted, how far it is, and how long it will take."""

from bokeh.models import Div

from daskgmm.monitoring.history import RUNNING, FitHistory
from daskgmm.monitoring.page.panels.base import sheet
from daskgmm.monitoring.page.view import PageView
from daskgmm.monitoring.remaining import left
from daskgmm.monitoring.text import amount, clock, duration, number, text

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
    """The first thing to read."""

    def __init__(self) -> None:
        self.root = Div(name="heading", sizing_mode="stretch_width", stylesheets=sheet(_CSS))

    def show(self, view: PageView) -> None:
        """A title, a line of who and where, and the figures of the latest pass."""
        if view.run is None:
            self.root.text = (
                "<h1>No fit yet</h1><p>A fit on this cluster shows up here by itself.</p>"
            )
            return
        run = view.run
        state = f'<span class="state {text(run.state)}">{text(_STATES.get(run.state, ""))}</span>'
        facts = "".join(
            f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(run)
        )
        self.root.text = (
            f"<h1>{text(_title(run))} {state}</h1>"
            f'<p class="faint">{text(_origin(run, view))}</p>{_trouble(view)}<dl>{facts}</dl>'
        )


_STATES = {
    RUNNING: "running",
    "converged": "converged",
    "max_iter": "stopped at max_iter",
    "failed": "failed",
    "interrupted": "interrupted",
    "lost": "its process left",
}


def _title(run: FitHistory) -> str:
    about = run.about
    counts, kinds = about.get("n_components", ()), about.get("covariance_type", ())
    several = f"{min(counts)} to {max(counts)}" if len(set(counts)) > 1 else f"{[*counts, 0][0]}"
    title = str(about.get("estimator", "A fit"))
    return f"{title}: {several} components, {', '.join(dict.fromkeys(kinds))}" if counts else title


def _origin(run: FitHistory, view: PageView) -> str:
    about = run.about
    told = [f"run {run.run_id[:8]}"]
    if about:
        told.append(f"host {about.get('host')}, process {about.get('pid')}")
    told.append(f"since {clock(run.started, view.now)}")
    if about.get("rows"):
        told.append(f"{amount(about['rows'])} rows × {about.get('n_features')} columns")
    return " · ".join(told)


def _trouble(view: PageView) -> str:
    """What it waits for, or what it failed of."""
    run = view.run
    if run is None:
        return ""
    if run.running and not view.workers:
        return '<p class="bad">The cluster has no workers: the fit waits for some.</p>'
    if view.silent is not None:
        since = clock(view.now - view.silent, view.now)
        return f'<p class="bad">No news since {since} ({duration(view.silent)}).</p>'
    message = run.ending.get("message")
    return f'<p class="bad">{text(message)}</p>' if message else ""


def _facts(run: FitHistory) -> list[tuple[str, str]]:
    latest = run.latest
    if not latest:
        return [("pass", "none yet")]
    most, tol = latest.get("max_iter"), latest.get("tol")
    facts = [
        ("pass", f"{run.iteration} <small>of {most} at most</small>"),
        ("lower bound", number(latest.get("lower_bound"), 7)),
        ("change", f"{number(latest.get('change'), 3)} <small>to {number(tol, 3)}</small>"),
        ("rows per second", amount(run.points[-1].rows_per_second or 0.0)),
        ("seconds a pass", number(run.seconds / max(run.passes, 1), 3)),
    ]
    if latest.get("starts", 1) > 1:
        going = f"{latest.get('starts_going', '–')} <small>of {latest['starts']} go on</small>"
        facts.append(("starts", going))
    facts.append(_end(run))
    return facts


def _end(run: FitHistory) -> tuple[str, str]:
    if not run.running:
        seconds = run.ending.get("seconds")
        return "took", "–" if seconds is None else duration(seconds)
    ahead = left(run)
    if ahead is None:
        return "left", "<small>not known yet</small>"
    unit = "pass" if ahead.passes == 1 else "passes"
    return "left, about", f"{ahead.passes} <small>{unit}, {duration(ahead.seconds)}</small>"
