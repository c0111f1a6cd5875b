"""What a terminal shows of a job: a picture of values, at any width.

The moving lines on a terminal.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from daskgmm.cli.output.lines import ProgressLines, going_in_words, left_in_words, speed_in_words
from daskgmm.monitoring.text import count, stopwatch

if TYPE_CHECKING:
    from daskgmm.jobs.listener import Start
    from daskgmm.monitoring.forecast import Forecast
    from daskgmm.passes.engine.progress import PassProgress
    from daskgmm.training.states import FitState


_NARROW = 64
"""Columns below which words are left out."""


@dataclass(frozen=True)
class LiveView:
    """A job at a moment.

    Parameters
    ----------
    frame : str
        Of the spinner.
    doing : str
        What goes on.
    parts, done : int or None
        Of the pass that is under way, where known.
    seconds : float
        Since that pass began.
    rows : int or None
        That it reads, where known.
    workers : int or None
        Of the cluster.
    elapsed : float
        Seconds since the job began.
    forecast : Forecast or None
        Of a fit.
    passed : float
        Seconds since the forecast's latest pass.
    """

    frame: str
    doing: str
    elapsed: float
    parts: int | None = None
    done: int | None = None
    seconds: float = 0.0
    rows: int | None = None
    workers: int | None = None
    forecast: "Forecast | None" = None
    passed: float = 0.0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it; no line is longer than the terminal is wide."""
        narrow = options.max_width < _NARROW
        grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
        for ratio in (None, 1, None):
            grid.add_column(ratio=ratio, no_wrap=True, overflow="ellipsis")
        doing = self.doing.split(" of at most ")[0] if narrow else self.doing
        grid.add_row(f"{self.frame} {doing}", *self._pass(narrow))
        if self.forecast is not None and self.forecast.share is not None:
            grid.add_row(*_way(self.forecast, self.forecast.share))
        yield grid
        for line in flowed(self.facts(), options.max_width - 2):
            yield Text(f"  {line}", no_wrap=True, overflow="ellipsis", style="dim")

    def _pass(self, narrow: bool) -> Sequence[RenderableType]:
        """How much of the pass is done."""
        if not self.parts or self.done is None:
            return ("", "")
        told = f"{self.done}/{self.parts}" if narrow else f"{self.done} of {self.parts} parts"
        return (ProgressBar(total=self.parts, completed=self.done), told)

    @property
    def share(self) -> float:
        """Of the pass that is under way, where known; else 0."""
        return self.done / self.parts if self.parts and self.done else 0.0

    def facts(self) -> list[str]:
        """What else there is to say, in phrases."""
        state = None if self.forecast is None else self.forecast.latest
        told = []
        if state is not None:
            bound = f"lower bound {state.best.lower_bound:.6f}"
            told = [bound, *going_in_words(state), speed_in_words(state)]
        elif self.rows is not None and self.share:
            told = [f"{count(self.rows * self.share / self.seconds)} rows/s"]
        if self.workers is not None:
            told.append(f"{self.workers} worker{'s' * (self.workers != 1)}")
        return [*told, *self._left(), f"{stopwatch(self.elapsed)} so far"]

    def _left(self) -> list[str]:
        known = left_in_words(self.forecast, self.passed)
        if known or not 0 < self.share < 1:
            return known
        left = stopwatch(self.seconds * (1 - self.share) / self.share)
        return [f"{left} left" if self.forecast is None else f"this pass {left} more"]


def _way(forecast: "Forecast", share: float) -> Sequence[RenderableType]:
    """How far the change has come towards ``tol``, on a log scale."""
    assert forecast.latest is not None  # noqa: S101  or there would be no share
    change = forecast.latest.best.change
    bar = ProgressBar(total=1.0, completed=share)
    return (f"  change {change:.2e}", bar, f"tol {forecast.tol:.1e}")


def flowed(phrases: Sequence[str], width: int) -> list[str]:
    """Phrases with commas between them, as many on each line as it has room for."""
    lines: list[str] = []
    for phrase in phrases:
        if lines and len(lines[-1]) + len(phrase) + 2 <= width:
            lines[-1] += f", {phrase}"
        else:
            lines.append(phrase)
    return lines


_PICTURES_A_SECOND = 5


class LiveDisplay:
    """Lines that say how far a job is; they go when the job ends.

    Parameters
    ----------
    lines : ProgressLines
        Says the start, which stays, and knows the forecast.
    console : Console
        Of standard error.
    """

    def __init__(self, lines: ProgressLines, console: Console) -> None:
        self._lines = lines
        self._doing = "starting"
        self._began = self._pass_began = self._told = time.monotonic()
        self._pass: PassProgress | None = None
        self._passes = 0
        self._iteration = 0
        self._rows: int | None = None
        self._spinner = Spinner("line" if console.options.ascii_only else "dots")
        self._live = Live(
            console=console,
            get_renderable=self._view,
            refresh_per_second=_PICTURES_A_SECOND,
            transient=True,
            redirect_stdout=False,  # results go there
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def wait(self, what: str) -> None:
        """The job waits for a cluster."""
        self._doing = what

    def start(self, start: "Start") -> None:
        """Rows are about to be read."""
        self._lines.start(start)
        self._rows = start.rows
        self._doing = "reading all rows"

    def watch(self, a_pass: "PassProgress") -> None:
        """A pass is about to be made."""
        self._passes += 1
        self._doing = self._name_of(a_pass)
        self._pass, self._pass_began = a_pass, time.monotonic()

    def tell(self, state: "FitState") -> None:
        """A fit has made one more pass."""
        self._lines.tell(state)
        self._iteration, self._rows = state.iteration, state.rows
        self._told = time.monotonic()

    def _name_of(self, a_pass: "PassProgress") -> str:
        forecast = self._lines.forecast
        if a_pass.name == "gmm-init":
            return "reading all rows"
        if forecast is None:
            again = f", pass {self._passes}" if self._passes > 1 else ""
            return f"{self._lines.verb.lower()} rows{again}"
        if a_pass.name == "gmm-pass":
            return f"pass {self._iteration + 1} of at most {forecast.max_iter}"
        return "scoring"

    def _view(self) -> LiveView:
        now = time.monotonic()
        frames, milliseconds = self._spinner.frames, self._spinner.interval
        view = LiveView(
            frames[int(1000 * now / milliseconds) % len(frames)],
            self._doing,
            now - self._began,
            rows=self._rows,
            forecast=self._lines.forecast,
            passed=now - self._told,
        )
        return view if self._pass is None else self._in_pass(view, self._pass, now)

    def _in_pass(self, view: LiveView, a_pass: "PassProgress", now: float) -> LiveView:
        done, workers = a_pass.done(), a_pass.workers()
        if view.forecast is not None and a_pass.name == "gmm-init" and done == a_pass.parts:
            return replace(view, doing="finding starts in a sample", workers=workers)
        seconds = now - self._pass_began
        return replace(view, parts=a_pass.parts, done=done, seconds=seconds, workers=workers)
