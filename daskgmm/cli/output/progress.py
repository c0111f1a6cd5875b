"""Shows how far a job is: moving lines on a terminal, log lines elsewhere."""

import logging
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from daskgmm.cli.loading import Loading
from daskgmm.cli.output import logs
from daskgmm.cli.output.lines import ProgressLines

if TYPE_CHECKING:
    from rich.console import Console

    from daskgmm.jobs.listener import Listener
    from daskgmm.monitoring.forecast import Forecast

_EVERY = 10
"""Passes from one log line to the next."""

logger = logging.getLogger(__name__)


@contextmanager
def progress(*, shown: bool, verb: str, forecast: "Forecast | None" = None) -> "Iterator[Listener]":
    """A listener that shows a job's progress on standard error.

    Logs as JSON have the progress even where `shown` is false; there the log level decides.

    Parameters
    ----------
    shown : bool
        Whether progress is shown.
    verb : str
        The job in a word, such as "Fitting".
    forecast : Forecast or None
        Forecast of a fit before its first pass.
    """
    with _listener(shown=shown, verb=verb, forecast=forecast) as inner:
        yield Loading(inner)


@contextmanager
def _listener(*, shown: bool, verb: str, forecast: "Forecast | None") -> "Iterator[Listener]":
    from daskgmm.jobs.listener import Silence

    if logs.as_json():
        with _events(verb) as events:
            yield events
    elif not shown:
        with _warnings_only():
            yield Silence()
    elif not logger.isEnabledFor(logging.INFO):
        yield Silence()
    elif (console := _moving_console()) is not None:
        from daskgmm.cli.output.live import LiveDisplay

        with LiveDisplay(ProgressLines(verb, every=0, forecast=forecast), console) as display:
            yield display
    else:
        with closing(ProgressLines(verb, every=_EVERY, forecast=forecast)) as lines:
            yield lines


def _moving_console() -> "Console | None":
    """Standard error, if it is a terminal whose cursor can move; else ``None``."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console

    console = Console(stderr=True)
    return None if console.is_dumb_terminal else console


@contextmanager
def _events(verb: str) -> "Iterator[Listener]":
    from daskgmm.cli.output.json_logs import JsonEvents

    job = "fit" if verb == "Fitting" else click.get_current_context().info_name
    with closing(JsonEvents(str(job), verb)) as events:
        yield events
        events.end()


@contextmanager
def _warnings_only() -> Iterator[None]:
    """Log warnings only in the block, or everything when debugging."""
    ours = logging.getLogger("daskgmm")
    level = ours.level
    ours.setLevel(logging.WARNING if level == logging.INFO else level)
    try:
        yield
    finally:
        ours.setLevel(level)
