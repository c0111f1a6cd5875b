"""The course of a fit under the cell of a notebook that runs it."""

import math
import sys
import threading
from contextlib import ExitStack
from html import escape
from typing import Any

from daskgmm.monitoring.forecast import Forecast
from daskgmm.monitoring.observer import About, Ending, Pass, Reason
from daskgmm.monitoring.outcome import outcome
from daskgmm.monitoring.text import count, stopwatch
from daskgmm.passes.engine import progress

_SECONDS_BETWEEN_LOOKS = 0.5
_PATIENCE_SECONDS = 1.0

_SHOWN = """\
<div style="font: 13px sans-serif; max-width: 640px">
<progress value="{share:.3f}" max="1" style="width: 100%"></progress>
<div>{text}</div>
</div>"""


class Cell:
    """A bar and a line of text that change in their place, by IPython's own means.

    Parameters
    ----------
    handle : IPython.display.DisplayHandle
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._about: About
        self._forecast: Forecast | None = None
        self._made: Pass | None = None
        self._pass: progress.PassProgress | None = None
        self._stack = ExitStack()
        self._over = threading.Event()
        self._looker = threading.Thread(target=self._look, name="daskgmm-notebook", daemon=True)

    def start(self, about: About) -> None:
        """The fit begins."""
        self._about = about
        self._forecast = Forecast(about.parameters["tol"], about.parameters["max_iter"])
        self._stack.enter_context(progress.tracking(self._track))
        self._handle.display(_Picture(0.0, "Reading all rows"))
        self._looker.start()

    def tell(self, made: Pass) -> None:
        """One more pass has been made: what it found is shown at the next look."""
        self._made = made
        assert self._forecast is not None  # noqa: S101  it starts before it goes on
        self._forecast = self._forecast.after(made.state)

    def end(self, ending: Ending) -> None:
        """The fit has ended."""
        self._over.set()
        self._stack.close()
        self._looker.join(_PATIENCE_SECONDS)  # or its last picture would hide the end's
        share = 1.0 if ending.reason in (Reason.CONVERGED, Reason.MAX_ITER) else self._share()
        self._handle.update(_Picture(share, outcome(self._made, ending)))

    def _track(self, begun: progress.PassProgress) -> None:
        self._pass = begun

    def _look(self) -> None:
        while not self._over.wait(_SECONDS_BETWEEN_LOOKS):
            self._handle.update(_Picture(self._share(), self._text()))

    def _share(self) -> float:
        return (self._forecast and self._forecast.share) or 0.0

    def _text(self) -> str:
        told = [self._doing()]
        made, forecast = self._made, self._forecast
        if made is not None and forecast is not None:
            state = made.state
            told.append(f"lower bound {state.best.lower_bound:.6f}")
            if math.isfinite(state.best.change):
                told.append(f"change {state.best.change:.2e} (tol {forecast.tol:g})")
            told.append(f"{count(state.rows / max(state.seconds, 1e-9))} rows/s")
            if forecast.seconds_left is not None:
                left = (
                    f"about {forecast.passes_left} passes, {stopwatch(forecast.seconds_left)} left"
                )
                told.append(left)
        return " · ".join(told)

    def _doing(self) -> str:
        made, begun = self._made, self._pass
        most = self._about.parameters["max_iter"]
        if made is None:
            what = "Reading all rows for the starts"
        else:
            what = f"Pass {made.state.iteration + 1} of at most {most}"
        done = None if begun is None else begun.done()
        return what if begun is None or done is None else f"{what}: {done} of {begun.parts} parts"


class _Picture:
    """What is shown, as frontends with and without HTML take it.

    Parameters
    ----------
    share : float
        Of the bar.
    text : str
    """

    def __init__(self, share: float, text: str) -> None:
        self._share, self._text = share, text

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return _SHOWN.format(share=self._share, text=escape(self._text))


def for_this_notebook() -> Cell | None:
    """In a notebook's kernel, the observer that shows fits under the running cell."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import DisplayHandle

    return Cell(DisplayHandle())  # type: ignore[no-untyped-call]  # IPython's
