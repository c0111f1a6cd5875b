"""Output of ``daskgmm watch`` about a fit in another process."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from daskgmm.cli.output.lines import PATIENCE
from daskgmm.cli.output.tables import table
from daskgmm.monitoring.candidates import candidates_in, curve_lines
from daskgmm.monitoring.follow import News
from daskgmm.monitoring.forecast import remaining_of
from daskgmm.monitoring.history import FitHistory
from daskgmm.monitoring.observer import Reason
from daskgmm.monitoring.phrases import (
    BEFORE_PASSES,
    NO_WORKERS,
    STATES,
    WORKERS_CAME,
    ended,
    figures_of_event,
    pass_number,
    remaining,
    rows_and_columns,
    search_line,
)
from daskgmm.monitoring.schema import END, START, STARTS
from daskgmm.monitoring.text import capitalised, duration, time_so_far

WELL = (Reason.CONVERGED.value, Reason.MAX_ITER.value)
"""States of a fit that has ended without an error."""

_NAMED = ("estimator", "n_components", "covariance_type", "pid", "host")
"""Fields of a fit's start that are printed, if it has them: other programs log events too."""

_SILENCE_SECONDS = 10.0
_REDRAWS_A_SECOND = 4

logger = logging.getLogger(__name__)


@contextmanager
def shown(*, as_json: bool) -> Iterator[Callable[[News], None]]:
    """A function that prints news: as JSON, as moving lines on a terminal, or a line an event."""
    console = Console()
    if as_json or not console.is_terminal or console.is_dumb_terminal:
        yield _print_as_json if as_json else LinePrinter().show
    else:
        with WatchDisplay(console) as display:
            yield display.show


def _print_as_json(news: News) -> None:
    _log_workers(news)
    if news.event is not None:
        click.echo(as_line(news.event))
        sys.stdout.flush()  # a program reads them as they come


def _log_workers(news: News) -> None:
    if news.has_workers is not None:
        logger.info(WORKERS_CAME if news.has_workers else NO_WORKERS)


class LinePrinter:
    """Prints a line an event, but for a search for starts only one now and then."""

    def __init__(self) -> None:
        self._latest: float | None = None

    def show(self, news: News) -> None:
        """Print the event, if it is worth a line, and log that the workers are gone or back."""
        _log_workers(news)
        if news.event is None or news.run is None:
            return
        at = news.event.get("time", 0.0)
        if self._latest is None:
            self._latest = at
        if news.event["event"] != STARTS or at - self._latest >= PATIENCE:
            self._latest = at
            click.echo(event_line(news.event, news.run))
            sys.stdout.flush()


class WatchDisplay:
    """Lines on a terminal that say how far a fit is; those of its start and end stay.

    Parameters
    ----------
    console : Console
        Console of standard output.
    """

    def __init__(self, console: Console) -> None:
        self._run: FitHistory | None = None
        self._has_workers = True
        self._console = console
        self._live = Live(
            console=console,
            get_renderable=self.lines,
            refresh_per_second=_REDRAWS_A_SECOND,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, news: News) -> None:
        """Show the fit as it is after some news."""
        self._run = news.run
        if news.has_workers is not None:
            self._has_workers = news.has_workers
        if news.run is not None and news.event is not None and self._stays(news.run, news.event):
            self._console.print(Text(event_line(news.event, news.run)))

    def _stays(self, run: FitHistory, event: Mapping[str, Any]) -> bool:
        return event["event"] == START or (event["event"] == END and run.state in WELL)

    def lines(self) -> Text | Group:
        """Lines that describe the fit at this moment."""
        run = self._run
        if run is None:  # a log line has already reported the waiting
            return Group()
        now = time.time()
        first = f"run {run.run_id[:8]}  {time_so_far(max(now - run.started, 0))}"
        second = search_line(run.search) if run.search else BEFORE_PASSES
        if run.latest:
            first += f"  {pass_number(run.iteration, run.latest.get('max_iter'))}"
            second = _pass_line(run.latest)
        lines = [first, second]
        criterion = run.latest.get("criterion") or "bic"
        bars = str(sys.stdout.encoding).lower().startswith("utf")
        lines += curve_lines(candidates_in(run.latest), criterion, ascii_only=not bars)
        if (left := remaining_of(run)) is not None:
            lines.append(str(remaining(left.passes, left.seconds)))
        if not self._has_workers:
            lines.append(NO_WORKERS)
        elif run.running and now - run.heard > _SILENCE_SECONDS:
            lines.append(f"no news for {duration(now - run.heard)}")
        return Text("\n".join(lines))


def as_line(event: Mapping[str, Any]) -> str:
    """An event as a line of JSON."""
    return json.dumps(event, allow_nan=False)


def event_line(event: Mapping[str, Any], run: FitHistory) -> str:
    """An event as a line of text."""
    if event["event"] == START:
        return _start_line(event)
    if event["event"] == END:
        return end_line(run)
    if event["event"] == STARTS:
        return capitalised(search_line([event]))
    return f"Pass {event['iteration']}: {_pass_line(event)}"


def end_line(run: FitHistory) -> str:
    """How a fit ended, in a sentence."""
    ending = run.ending
    return ended(
        run.state,
        run.iteration,
        seconds=ending.get("seconds"),
        bound=ending.get("lower_bound"),
        message=ending.get("message"),
    )


def _start_line(event: Mapping[str, Any]) -> str:
    known = {name: "?" if event.get(name) is None else event[name] for name in _NAMED}
    n_features = event.get("n_features")
    rows = "rows" if n_features is None else rows_and_columns(event.get("rows"), n_features)
    numbers = ", ".join(map(str, dict.fromkeys(known["n_components"])))
    kinds = ", ".join(dict.fromkeys(known["covariance_type"]))
    return (
        f"Run {event['run_id']}: {known['estimator']} of {numbers} components ({kinds}) "
        f"on {rows}, by process {known['pid']} on {known['host']}."
    )


def _pass_line(event: Mapping[str, Any]) -> str:
    return ", ".join(map(str, figures_of_event(event)))


def runs_table(runs: Sequence[FitHistory]) -> str:
    """A table of fits, a row each."""
    rows = [("run", "state", "estimator", "passes", "lower bound", "change", "last heard")]
    now = time.time()
    for run in runs:
        bound, change = run.latest.get("lower_bound"), run.latest.get("change")
        rows.append(
            (
                run.run_id,
                STATES[run.state],
                str(run.about.get("estimator", "")),
                str(run.iteration),
                "" if bound is None else f"{bound:.6f}",
                "" if change is None else f"{change:.2e}",
                f"{duration(max(now - run.heard, 0))} ago",
            )
        )
    return table(rows)
