"""A fit that is watched from elsewhere, in words."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from daskgmm.cli.output.tables import table
from daskgmm.monitoring.follow import News
from daskgmm.monitoring.history import LOST, FitHistory
from daskgmm.monitoring.messages import END, START
from daskgmm.monitoring.observer import Reason
from daskgmm.monitoring.remaining import left
from daskgmm.monitoring.text import count, duration

WELL = (Reason.CONVERGED.value, Reason.MAX_ITER.value)
"""States of a fit that has ended as it should."""

_NAMED = ("estimator", "n_components", "covariance_type", "n_features", "pid", "host")
"""What a fit's start names; others log events too, and may leave it out."""

_SILENCE_SECONDS = 10.0
_PICTURES_A_SECOND = 4


@contextmanager
def shown(*, as_json: bool) -> Iterator[Callable[[News], None]]:
    """What to tell news to: JSON lines, moving lines on a terminal, or a line an event."""
    console = Console()
    if as_json or not console.is_terminal or console.is_dumb_terminal:
        yield _print_as_json if as_json else _print
    else:
        with _Picture(console) as picture:
            yield picture.tell


def _print_as_json(news: News) -> None:
    if news.event is not None:
        click.echo(as_line(news.event))
        sys.stdout.flush()  # a program reads as they come


def _print(news: News) -> None:
    if news.event is not None and news.run is not None:
        click.echo(event_line(news.event, news.run))
        sys.stdout.flush()


class _Picture:
    """Lines that say how far the fit is; its end stays."""

    def __init__(self, console: Console) -> None:
        self._run: FitHistory | None = None
        self._console = console
        self._live = Live(
            console=console,
            get_renderable=self._lines,
            refresh_per_second=_PICTURES_A_SECOND,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tell(self, news: News) -> None:
        self._run = news.run
        if news.run is not None and news.event is not None and self._stays(news.run, news.event):
            self._console.print(Text(event_line(news.event, news.run)))

    def _stays(self, run: FitHistory, event: Mapping[str, Any]) -> bool:
        return event["event"] == START or (event["event"] == END and run.state in WELL)

    def _lines(self) -> Text | Group:
        run = self._run
        if run is None:  # which has been said
            return Group()
        now = time.time()
        first = f"run {run.run_id[:8]}  {duration(max(now - run.started, 0))}"
        second = "reading rows and finding starts"
        if run.latest:
            most = run.latest.get("max_iter")
            first += f"  pass {run.iteration}" + (f" of at most {most}" if most else "")
            second = _pass_in_words(run.latest)
        lines = [first, second]
        if (ahead := left(run)) is not None:
            passes = f"{ahead.passes} pass{'es' * (ahead.passes != 1)}"
            lines.append(f"about {passes} more, {duration(ahead.seconds)} left")
        if run.running and now - run.heard > _SILENCE_SECONDS:
            lines.append(f"no news for {duration(now - run.heard)}")
        return Text("\n".join(lines))


def as_line(event: Mapping[str, Any]) -> str:
    """An event as a line of JSON."""
    return json.dumps(event, allow_nan=False)


def event_line(event: Mapping[str, Any], run: FitHistory) -> str:
    """An event as a line of text."""
    if event["event"] == START:
        return _start_in_words(event)
    if event["event"] == END:
        return ended_in_words(run)
    return f"Pass {event['iteration']}: {_pass_in_words(event)}"


def ended_in_words(run: FitHistory) -> str:
    """How a fit ended."""
    passes = f"{run.iteration} pass{'es' * (run.iteration != 1)}"
    return {
        Reason.CONVERGED.value: f"The fit converged in {passes}.",
        Reason.MAX_ITER.value: f"The fit stopped after {passes}, as many as it may make.",
        Reason.FAILED.value: f"The fit failed after {passes}: {run.ending.get('message')}",
        Reason.INTERRUPTED.value: f"The fit was interrupted after {passes}.",
        LOST: f"The process of the fit has left the cluster after {passes}, without a word.",
    }[run.state]


def _state_in_words(run: FitHistory) -> str:
    return "stopped at max_iter" if run.state == Reason.MAX_ITER.value else run.state


def _start_in_words(event: Mapping[str, Any]) -> str:
    told = {name: "?" if event.get(name) is None else event[name] for name in _NAMED}
    rows = f"{event['rows']:,} rows" if event.get("rows") is not None else "rows"
    features = f"{told['n_features']} column{'s' * (told['n_features'] != 1)}"
    numbers = ", ".join(map(str, dict.fromkeys(told["n_components"])))
    kinds = ", ".join(dict.fromkeys(told["covariance_type"]))
    return (
        f"Run {event['run_id']}: {told['estimator']} of {numbers} components ({kinds}) "
        f"on {rows} of {features}, by process {told['pid']} on {told['host']}."
    )


def _pass_in_words(event: Mapping[str, Any]) -> str:
    bound, change, tol = (event.get(name) for name in ("lower_bound", "change", "tol"))
    told = ["lower bound " + ("unknown" if bound is None else f"{bound:.6f}")]
    if change is not None:
        towards = "" if tol is None else f" towards {tol:.2g}"
        told.append(f"change {change:.2e}{towards}")
    if event.get("starts", 1) > 1:
        told.append(f"{event.get('starts_going', '?')} of {event['starts']} go on")
    if event.get("seconds"):
        told.append(f"{count(event.get('rows', 0) / event['seconds'])} rows/s")
    return ", ".join(told)


def runs_table(runs: Sequence[FitHistory]) -> str:
    """Fits, a row each."""
    rows = [("run", "state", "estimator", "passes", "lower bound", "change", "last heard")]
    now = time.time()
    for run in runs:
        bound, change = run.latest.get("lower_bound"), run.latest.get("change")
        rows.append(
            (
                run.run_id,
                _state_in_words(run),
                str(run.about.get("estimator", "")),
                str(run.iteration),
                "" if bound is None else f"{bound:.6f}",
                "" if change is None else f"{change:.2e}",
                f"{duration(max(now - run.heard, 0))} ago",
            )
        )
    return table(rows)
