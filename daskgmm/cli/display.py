"""The moving lines on a terminal."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

from daskgmm.cli.output.lines import Lines
from daskgmm.cli.output.live import View

if TYPE_CHECKING:
    from daskgmm.jobs.listener import Start
    from daskgmm.passes.engine.progress import Pass
    from daskgmm.training.states import FitState

_PICTURES_A_SECOND = 5


class Display:
    """Lines that say how far a job is; they go when the job ends.

    Parameters
    ----------
    lines : Lines
        Says the start, which stays, and knows the forecast.
    console : Console
        Of standard error.
    """

    def __init__(self, lines: Lines, console: Console) -> None:
        self._lines = lines
        self._doing = "starting"
        self._began = self._pass_began = self._told = time.monotonic()
        self._pass: Pass | None = None
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

    def watch(self, a_pass: "Pass") -> None:
        """A pass is about to be made."""
        self._passes += 1
        self._doing = self._name_of(a_pass)
        self._pass, self._pass_began = a_pass, time.monotonic()

    def tell(self, state: "FitState") -> None:
        """A fit has made one more pass."""
        self._lines.tell(state)
        self._iteration, self._rows = state.iteration, state.rows
        self._told = time.monotonic()

    def _name_of(self, a_pass: "Pass") -> str:
        forecast = self._lines.forecast
        if a_pass.name == "gmm-init":
            return "reading all rows"
        if forecast is None:
            again = f", pass {self._passes}" if self._passes > 1 else ""
            return f"{self._lines.verb.lower()} rows{again}"
        if a_pass.name == "gmm-pass":
            return f"pass {self._iteration + 1} of at most {forecast.max_iter}"
        return "scoring"

    def _view(self) -> View:
        now = time.monotonic()
        frames, milliseconds = self._spinner.frames, self._spinner.interval
        view = View(
            frames[int(1000 * now / milliseconds) % len(frames)],
            self._doing,
            now - self._began,
            rows=self._rows,
            forecast=self._lines.forecast,
            passed=now - self._told,
        )
        return view if self._pass is None else self._in_pass(view, self._pass, now)

    def _in_pass(self, view: View, a_pass: "Pass", now: float) -> View:
        done, workers = a_pass.done(), a_pass.workers()
        if view.forecast is not None and a_pass.name == "gmm-init" and done == a_pass.parts:
            return replace(view, doing="finding starts in a sample", workers=workers)
        seconds = now - self._pass_began
        return replace(view, parts=a_pass.parts, done=done, seconds=seconds, workers=workers)
