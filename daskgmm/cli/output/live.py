"""What a terminal shows of a job: a picture of values, at any width."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from daskgmm.cli.output.lines import going_in_words, left_in_words, speed_in_words
from daskgmm.monitoring.numbers import clock, count

if TYPE_CHECKING:
    from daskgmm.training.forecast import Forecast

_NARROW = 64
"""Columns below which words are left out."""


@dataclass(frozen=True)
class View:
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
        return [*told, *self._left(), f"{clock(self.elapsed)} so far"]

    def _left(self) -> list[str]:
        known = left_in_words(self.forecast, self.passed)
        if known or not 0 < self.share < 1:
            return known
        left = clock(self.seconds * (1 - self.share) / self.share)
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
