"""The progress of a fit below the notebook cell that runs it."""

import sys
import threading
from contextlib import ExitStack
from html import escape
from typing import Any

from daskgmm.monitoring.forecast import Forecast
from daskgmm.monitoring.observer import FitEnd, FitPass, FitStart, Reason
from daskgmm.monitoring.phrases import (
    READING_ROWS,
    ended,
    figures_of_state,
    parts_done,
    pass_number,
    remaining,
    search_line,
)
from daskgmm.monitoring.search_forecast import search_share
from daskgmm.monitoring.text import capitalised
from daskgmm.passes.engine import progress

_SECONDS_BETWEEN_UPDATES = 0.5
_PATIENCE_SECONDS = 1.0

_HTML = """\
<div style="font: 13px sans-serif; max-width: 640px">
<progress value="{share:.3f}" max="1" style="width: 100%"></progress>
<div>{text}</div>
</div>"""


class NotebookObserver:
    """Shows a bar and a line of text below the cell, which IPython replaces as a fit goes on.

    Parameters
    ----------
    handle : IPython.display.DisplayHandle
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._about: FitStart
        self._forecast: Forecast | None = None
        self._made: FitPass | None = None
        self._pass: progress.PassProgress | None = None
        self._stack = ExitStack()
        self._ended = threading.Event()
        self._updater = threading.Thread(target=self._update, name="daskgmm-notebook", daemon=True)

    def start(self, about: FitStart) -> None:
        """Show that the fit begins."""
        self._about = about
        own = about.parameters
        self._forecast = Forecast(own["tol"], own["max_iter"], own.get("criterion", "bic"))
        self._stack.enter_context(progress.tracking(self._track))
        self._handle.display(_Output(0.0, READING_ROWS.capitalize()))
        self._updater.start()

    def tell(self, made: FitPass) -> None:
        """Remember the figures of a pass for the next update."""
        self._made = made
        assert self._forecast is not None  # noqa: S101  it starts before it goes on
        self._forecast = self._forecast.after(made.state)

    def end(self, ending: FitEnd) -> None:
        """Show how the fit ended."""
        self._ended.set()
        self._stack.close()
        self._updater.join(_PATIENCE_SECONDS)  # otherwise its last output replaces the end's
        share = 1.0 if ending.reason in (Reason.CONVERGED, Reason.MAX_ITER) else self._share()
        self._handle.update(_Output(share, self._end_text(ending)))

    def _track(self, begun: progress.PassProgress) -> None:
        self._pass = begun

    def _update(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_UPDATES):
            self._handle.update(_Output(self._share(), self._text()))

    def _share(self) -> float:
        if self._pass is not None and self._pass.name == progress.STARTS:
            return search_share(self._pass.events())
        return (self._forecast and self._forecast.share) or 0.0

    def _text(self) -> str:
        phrases = [self._step()]
        made, forecast = self._made, self._forecast
        if made is not None and forecast is not None:
            phrases += map(str, figures_of_state(made.state, forecast.tol, forecast.criterion))
            if (left := forecast.remaining) is not None and left.passes:
                phrases.append(str(remaining(left.passes, left.seconds)))
        return " · ".join(phrases)

    def _step(self) -> str:
        made, begun = self._made, self._pass
        if begun is not None and begun.name == progress.STARTS:
            return capitalised(search_line(begun.events()))
        if made is None:
            step = READING_ROWS
        else:
            step = str(pass_number(made.state.iteration + 1, self._about.parameters["max_iter"]))
        done = None if begun is None else begun.done()
        if begun is not None and done is not None:
            step += f": {parts_done(done, begun.parts)}"
        return step.capitalize()

    def _end_text(self, ending: FitEnd) -> str:
        state = None if self._made is None else self._made.state
        return ended(
            ending.reason.value,
            0 if state is None else state.iteration,
            seconds=ending.seconds,
            bound=None if state is None else state.best.lower_bound,
            message=ending.message,
        )


class _Output:
    """The bar and its text, for frontends with HTML; the text alone for others.

    Parameters
    ----------
    share : float
        Filled share of the bar.
    text : str
    """

    def __init__(self, share: float, text: str) -> None:
        self._share, self._text = share, text

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return _HTML.format(share=self._share, text=escape(self._text))


def observer() -> NotebookObserver | None:
    """The observer that shows fits below the running cell; ``None`` outside of notebooks."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import DisplayHandle

    return NotebookObserver(DisplayHandle())  # type: ignore[no-untyped-call]  # IPython's
