"""Lines on a terminal that say how far a job is, redrawn several times a second."""

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

from daskgmm.cli.output.lines import ProgressLines, remaining_phrases
from daskgmm.monitoring.candidates import candidates_of, curve_lines
from daskgmm.monitoring.phrases import (
    FINDING_STARTS,
    READING_ROWS,
    at_most,
    change,
    figures_of_state,
    parts_done,
    pass_number,
    search_figures,
    speed,
    tolerance,
)
from daskgmm.monitoring.search_forecast import search_left, search_share
from daskgmm.monitoring.text import duration, plural, time_so_far

if TYPE_CHECKING:
    from daskgmm.jobs.listener import Start
    from daskgmm.monitoring.forecast import Forecast
    from daskgmm.passes.engine.progress import Event, PassProgress
    from daskgmm.training.states import FitState


_NARROW = 64
"""Width in characters below which notes and nouns are left out."""
_REDRAWS_A_SECOND = 5
_INDENT = "  "
_ECHO = "^C"
"""Text a terminal writes behind the last line at Ctrl-C; a line without room for it stays."""


@dataclass(frozen=True)
class LiveView:
    """A job at one moment, drawn for a terminal of any width.

    Parameters
    ----------
    frame : str
        The spinner's character.
    doing : str
        The job's current step.
    elapsed : float
        Seconds since the job began.
    note : str
        More about the step, for wide terminals.
    parts, done : int or None
        Partitions of the current pass and how many of them are done, where known.
    seconds : float
        Since that pass began.
    rows : int or None
        Rows that it reads, where known.
    workers : int or None
        Workers of the cluster, where there is one.
    forecast : Forecast or None
        Forecast of a fit.
    since : float
        Seconds since the fit's latest pass ended.
    search : sequence of mapping
        Latest events of a fit's search for starts, while it goes on.
    """

    frame: str
    doing: str
    elapsed: float
    note: str = ""
    parts: int | None = None
    done: int | None = None
    seconds: float = 0.0
    rows: int | None = None
    workers: int | None = None
    forecast: "Forecast | None" = None
    since: float = 0.0
    search: "Sequence[Event]" = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the view in lines no longer than the terminal is wide."""
        narrow = options.max_width < _NARROW
        grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
        for ratio in (None, 1, None):
            grid.add_column(ratio=ratio, no_wrap=True, overflow="ellipsis")
        first = self._search(narrow) if self.search else self._step(narrow)
        grid.add_row(f"{self.frame} {first[0]}", *first[1:])
        if self.forecast is not None and self.forecast.share is not None:
            grid.add_row(*_change_bar(self.forecast, self.forecast.share))
        yield grid
        for line in wrapped(self.facts(), options.max_width - len(_INDENT) - len(_ECHO)):
            yield Text(f"{_INDENT}{line}", no_wrap=True, overflow="ellipsis", style="dim")
        for line in self.curves(ascii_only=options.ascii_only):
            yield Text(f"{_INDENT}{line}", no_wrap=True, overflow="ellipsis")

    def _step(self, narrow: bool) -> Sequence[RenderableType]:
        """The step, and a bar of the parts of the current pass that are done."""
        words = " ".join(filter(None, (self.doing, "" if narrow else self.note)))
        if not self.parts or self.done is None:
            return (words, "", "")
        done = f"{self.done}/{self.parts}" if narrow else parts_done(self.done, self.parts)
        return (words, ProgressBar(total=self.parts, completed=self.done), done)

    def _search(self, narrow: bool) -> Sequence[RenderableType]:
        """How far the search for starts is, and a bar of the multiplications that it has made."""
        figures = search_figures(self.search)
        own = figures[:1] if narrow else [one for one in figures if one.label != "moves"]
        words = ", ".join(map(str, own))
        share = search_share(self.search)
        return (words, ProgressBar(total=1.0, completed=share), f"{share:.0%}")

    @property
    def share(self) -> float:
        """Share of the current pass that is done; 0 where that is unknown."""
        return self.done / self.parts if self.parts and self.done else 0.0

    def facts(self) -> list[str]:
        """Phrases below the bars."""
        figures = []
        if self.forecast is not None and (state := self.forecast.latest) is not None:
            # The change has a bar.
            known = figures_of_state(state, criterion=self.forecast.criterion)
            figures = [one for one in known if one.label != "change"]
        elif self.rows is not None and self.share:
            figures = [speed(self.rows * self.share, self.seconds)]
        figures += [one for one in search_figures(self.search) if one.label == "moves"]
        phrases = list(map(str, figures))
        if self.workers is not None:
            phrases.append(plural(self.workers, "worker"))
        return [*phrases, *self._left(), f"{time_so_far(self.elapsed)} so far"]

    def curves(self, *, ascii_only: bool) -> list[str]:
        """The criterion of a selection against the number of components, a line for each type."""
        if self.forecast is None or self.forecast.latest is None:
            return []
        criterion = self.forecast.criterion
        candidates = candidates_of(self.forecast.latest, criterion)
        return curve_lines(candidates, criterion, ascii_only=ascii_only)

    def _left(self) -> list[str]:
        if (most := search_left(self.search)) is not None:
            return [str(at_most(most))]
        known = remaining_phrases(self.forecast, self.since)
        if known or not 0 < self.share < 1:
            return known
        left = duration(self.seconds * (1 - self.share) / self.share)
        return [f"{left} left" if self.forecast is None else f"{left} left of this pass"]


def _change_bar(forecast: "Forecast", share: float) -> Sequence[RenderableType]:
    """A bar of the change's way towards ``tol``, on a logarithmic scale."""
    assert forecast.latest is not None  # noqa: S101  or there would be no share
    size = change(forecast.latest.best.change, None)
    return (f"  {size}", ProgressBar(total=1.0, completed=share), tolerance(forecast.tol))


def wrapped(phrases: Sequence[str], width: int) -> list[str]:
    """Lines of phrases with commas between them; no phrase is broken."""
    lines: list[str] = []
    for phrase in phrases:
        if lines and len(lines[-1]) + len(phrase) + 2 <= width:
            lines[-1] += f", {phrase}"
        else:
            lines.append(phrase)
    return lines


class LiveDisplay:
    """Shows a job as a `LiveView` that is redrawn until the job ends, and then erased.

    Parameters
    ----------
    lines : ProgressLines
        Logs the start, which stays on the terminal, and has the forecast.
    console : Console
        Console of standard error.
    """

    def __init__(self, lines: ProgressLines, console: Console) -> None:
        self._lines = lines
        self._doing, self._note = "starting", ""
        self._began = self._pass_began = self._pass_ended = time.monotonic()
        self._pass: PassProgress | None = None
        self._passes = 0
        self._iteration = 0
        self._rows: int | None = None
        self._spinner = Spinner("line" if console.options.ascii_only else "dots")
        self._live = Live(
            console=console,
            get_renderable=self._view,
            refresh_per_second=_REDRAWS_A_SECOND,
            transient=True,
            redirect_stdout=False,  # results go there
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def wait(self, what: str) -> None:
        """Show that the job waits for a cluster."""
        self._doing, self._note = what, ""

    def start(self, start: "Start") -> None:
        """Show that the job reads rows."""
        self._lines.start(start)
        self._rows = start.rows
        self._doing = READING_ROWS

    def watch(self, a_pass: "PassProgress") -> None:
        """Show the progress of a pass that begins."""
        self._passes += 1
        self._doing, self._note = self._step(a_pass)
        self._pass, self._pass_began = a_pass, time.monotonic()

    def tell(self, state: "FitState") -> None:
        """Show the figures of a pass that a fit has made."""
        self._lines.tell(state)
        self._iteration, self._rows = state.iteration, state.rows
        self._pass_ended = time.monotonic()

    def _step(self, a_pass: "PassProgress") -> tuple[str, str]:
        """Purpose of a pass, and a note on it."""
        forecast = self._lines.forecast
        if a_pass.name.startswith("gmm-init"):
            return READING_ROWS, ""
        if forecast is None:
            again = f", pass {self._passes}" if self._passes > 1 else ""
            return f"{self._lines.verb.lower()} rows{again}", ""
        if a_pass.name == "gmm-pass":
            number = pass_number(self._iteration + 1, forecast.max_iter)
            return f"{number.label} {number.value}", number.note
        return "scoring", ""

    def _view(self) -> LiveView:
        now = time.monotonic()
        frames, milliseconds = self._spinner.frames, self._spinner.interval
        view = LiveView(
            frames[int(1000 * now / milliseconds) % len(frames)],
            self._doing,
            now - self._began,
            note=self._note,
            rows=self._rows,
            forecast=self._lines.forecast,
            since=now - self._pass_ended,
        )
        return view if self._pass is None else self._in_pass(view, self._pass, now)

    def _in_pass(self, view: LiveView, a_pass: "PassProgress", now: float) -> LiveView:
        done, workers = a_pass.done(), a_pass.workers()
        if a_pass.name == "gmm-init-starts":
            return replace(view, doing=FINDING_STARTS, workers=workers, search=a_pass.events())
        seconds = now - self._pass_began
        return replace(view, parts=a_pass.parts, done=done, seconds=seconds, workers=workers)
