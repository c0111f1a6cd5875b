"""The moving line on a terminal."""

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

from daskgmm.cli.lines import Lines, in_words, since

if TYPE_CHECKING:
    from daskgmm.jobs.events import Parts, Start
    from daskgmm.training.states import FitState


class Display:
    """A line that says how far a job is; it goes when the job ends.

    Parameters
    ----------
    lines : Lines
        Says the start, which stays.
    most : int or None
        Most passes of a fit.
    """

    def __init__(self, lines: Lines, most: int | None) -> None:
        self._lines = lines
        self._limit = "" if most is None else f" of at most {most}"
        self._began = time.monotonic()
        self._text = "starting"
        self._parts: Parts | None = None
        self._spinner = Spinner("dots")
        self._live = Live(
            console=Console(stderr=True),
            get_renderable=self._line,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,  # results go there
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def start(self, start: "Start") -> None:
        """Rows are about to be read."""
        self._lines.start(start)
        self._text = "reading all rows"

    def tell(self, state: "FitState") -> None:
        """A fit has made one more pass."""
        self._lines.tell(state)
        self._text = f"pass {state.iteration}{self._limit}: {in_words(state)}"

    def watch(self, parts: "Parts") -> None:
        """The job goes part by part."""
        self._parts = parts

    def _line(self) -> Spinner:
        if self._parts is not None:
            self._text = f"{self._parts.done()} of {self._parts.total} parts"
        self._spinner.update(text=f"{self._text}  {since(self._began)}")
        return self._spinner
