"""The words for a fit's progress, the same on terminals, in notebooks and on the page.

Pure functions of plain values. Bars, tables and colours stay with each medium.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daskgmm.monitoring.candidates import LIVE, LiveCandidate, best_of, candidates_in, candidates_of
from daskgmm.monitoring.search_forecast import search_left, search_share
from daskgmm.monitoring.text import count, duration, plural
from daskgmm.training.search_progress import CLUSTERING, EM

if TYPE_CHECKING:
    from daskgmm.training.states import FitState

READING_ROWS = "reading all rows"
FINDING_STARTS = "finding starts in a sample"
BEFORE_PASSES = "reading all rows and finding starts"
"""Where it is not known which of the two goes on."""

NO_WORKERS = "The cluster has no workers: the fit waits for some."
WORKERS_CAME = "The cluster has workers now: the fit goes on."

STATES = {
    "running": "running",
    "converged": "converged",
    "max_iter": "stopped at max_iter",
    "failed": "failed",
    "interrupted": "interrupted",
    "lost": "lost",
}
"""The state of a fit, by `FitHistory.state`."""

_ENDINGS = {
    "converged": "The fit converged after",
    "max_iter": "The fit stopped without converging after",
    "failed": "The fit failed after",
    "interrupted": "The fit was interrupted after",
    "lost": "The process of the fit left the cluster after",
}


@dataclass(frozen=True)
class Figure:
    """A number of a fit: in parts for a table, or as one phrase for a line.

    Parameters
    ----------
    label : str
    value : str
    note : str
        Value to compare with.
    phrase : str
        Label, value and note, if it is not given.
    """

    label: str
    value: str
    note: str = ""
    phrase: str = ""

    def __str__(self) -> str:
        return self.phrase or " ".join(filter(None, (self.label, self.value, self.note)))


def pass_number(iteration: int, max_iter: int | None) -> Figure:
    """``pass 3 of at most 100``."""
    note = "" if max_iter is None else f"of at most {max_iter}"
    return Figure("pass", str(iteration), note)


def lower_bound(bound: float | None) -> Figure:
    """``lower bound -1.234567`` (nats a row)."""
    return Figure("lower bound", "unknown" if bound is None else f"{bound:.6f}")


def tolerance(tol: float) -> str:
    """``tol 0.001``."""
    return f"tol {tol:g}"


def change(size: float, tol: float | None) -> Figure:
    """``change 1.23e-02 (tol 0.001)``."""
    return Figure("change", f"{size:.2e}", "" if tol is None else f"({tolerance(tol)})")


def starts(going: int, number: int) -> Figure:
    """``2 of 3 starts go on``."""
    note = f"of {number} go on"
    return Figure("starts", str(going), note, f"{going} of {number} starts go on")


def moves(taken: int, tried: int, *, budget_ended: bool) -> Figure:
    """``2 of 15 moves taken``."""
    note = f"of {tried} taken" + (", then the budget ended" if budget_ended else "")
    return Figure("moves", str(taken), note, f"{taken} of {tried} moves taken")


def search_figures(events: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """``starts: 3 of 10``, ``41% of EM on 30,000 rows``, and the moves if there are any.

    Parameters
    ----------
    events : sequence of mapping
        The latest event ``starts`` of each candidate; of several the figures are added up.
    """
    if not events:
        return []
    done, of = (sum(event[name] for event in events) for name in ("done", "of"))
    figures = [Figure("starts", str(done), f"of {of}", f"starts: {done} of {of}")]
    rows = f"{max(event.get('rows') or 0 for event in events):,} rows"
    if any(event["phase"] == CLUSTERING for event in events):
        figures.append(Figure(CLUSTERING, rows))
    elif any(event["phase"] == EM for event in events):
        share = f"{search_share(events):.0%}"
        figures.append(Figure("EM", share, f"on {rows}", f"{share} of EM on {rows}"))
    tried, taken = (
        sum(event.get(name) or 0 for event in events) for name in ("moves_tried", "moves_taken")
    )
    return [*figures, moves(taken, tried, budget_ended=False)] if tried else figures


def at_most(seconds: float) -> Figure:
    """``at most 40 s left``."""
    time = f"at most {duration(seconds)}"
    return Figure("left", time, phrase=f"{time} left")


def search_line(events: Sequence[Mapping[str, Any]]) -> str:
    """The figures of a search for starts and its forecast, in a line."""
    left = search_left(events)
    figures = [*search_figures(events), *([] if left is None else [at_most(left)])]
    return ", ".join(map(str, figures)) or FINDING_STARTS


def least_criterion(candidates: Sequence[LiveCandidate], criterion: str) -> list[Figure]:
    """``least BIC 1234.56 with 4 components (full)``; nothing before the first pass."""
    best = best_of(candidates)
    if best is None:
        return []
    note = f"with {plural(best.n_components, 'component')} ({best.covariance_type})"
    return [Figure(f"least {LIVE[criterion].upper()}", f"{best.value:.2f}", note)]


def going_candidates(candidates: Sequence[LiveCandidate]) -> Figure:
    """``3 of 10 candidates go on``."""
    going = sum(one.running for one in candidates)
    phrase = f"{going} of {len(candidates)} candidates go on"
    return Figure("candidates", str(going), f"of {len(candidates)} go on", phrase)


def speed(rows: float, seconds: float) -> Figure:
    """``1.23M rows/s``."""
    value = f"{count(rows / max(seconds, 1e-9))} rows/s"
    return Figure("speed", value, phrase=value)


def remaining(passes: int, seconds: float) -> Figure:
    """``about 5 passes, 2 min left``."""
    about, time = f"about {plural(passes, 'pass')}", duration(seconds)
    return Figure("left", about, time, f"{about}, {time} left")


def parts_done(done: int, parts: int) -> str:
    """``3 of 8 parts``."""
    return f"{done} of {parts} parts"


def rows_and_columns(rows: int | None, columns: int) -> str:
    """``1,000 rows of 3 columns``."""
    number = "rows" if rows is None else f"{rows:,} rows"
    return f"{number} of {plural(columns, 'column')}"


def pass_figures(
    bound: float | None,
    size: float | None,
    tol: float | None,
    going: int,
    number: int,
    rows: int,
    seconds: float,
    candidates: Sequence[LiveCandidate] = (),
    criterion: str = "bic",
) -> list[Figure]:
    """The figures of a pass that has been made, in the order in which they are shown.

    Parameters
    ----------
    bound : float or None
        Lower bound of the best start (nats a row).
    size : float or None
        Change of the best start; ``None`` where it is not finite.
    tol : float or None
    going, number : int
        Starts that go on, and all of them.
    rows : int
        Rows that the pass read.
    seconds : float
        Time that the pass took (seconds).
    candidates : sequence of LiveCandidate
        Those of a selection; they are counted instead of the starts.
    criterion : str
        Criterion by which it selects.
    """
    figures = [lower_bound(bound)]
    if size is not None:
        figures.append(change(size, tol))
    if candidates:
        figures += [*least_criterion(candidates, criterion), going_candidates(candidates)]
    elif number > 1:
        figures.append(starts(going, number))
    if seconds > 0:
        figures.append(speed(rows, seconds))
    return figures


def figures_of_state(
    state: "FitState", tol: float | None = None, criterion: str = "bic"
) -> list[Figure]:
    """Figures of the latest pass of a fit in this process."""
    best = state.best
    size = best.change if math.isfinite(best.change) else None
    going = sum(trace.stopped is None for trace in state.traces)
    return pass_figures(
        best.lower_bound, size, tol, going, len(state.traces), state.rows, state.seconds,
        candidates_of(state, criterion), criterion,
    )  # fmt: skip


def figures_of_event(event: Mapping[str, Any]) -> list[Figure]:
    """Figures of a fit elsewhere, from the event of its latest pass."""
    number = event.get("starts", 1)
    figures = pass_figures(
        event.get("lower_bound"),
        event.get("change"),
        event.get("tol"),
        event.get("starts_going", number),
        number,
        event.get("rows") or 0,
        event.get("seconds", 0.0),
        candidates_in(event),
        event.get("criterion") or "bic",
    )
    if tried := event.get("moves_tried"):
        taken, ended_ = event.get("moves_taken") or 0, bool(event.get("budget_ended"))
        figures.append(moves(taken, tried, budget_ended=ended_))
    return figures


def ended(
    state: str,
    passes: int,
    *,
    seconds: float | None = None,
    bound: float | None = None,
    message: str | None = None,
) -> str:
    """How a fit ended, in a sentence.

    Parameters
    ----------
    state : str
        A key of `STATES` but ``running``.
    passes : int
        Number of the last pass.
    seconds : float or None
        Time that the fit took (seconds).
    bound : float or None
        Last lower bound of the fit (nats a row).
    message : str or None
        Text of the error that ended the fit, shown instead of the lower bound.
    """
    head = f"{_ENDINGS[state]} {plural(passes, 'pass')}"
    if seconds is not None:
        head += f" in {duration(seconds)}"
    if message:
        return f"{head}: {message}"
    return f"{head}." if bound is None else f"{head}: {lower_bound(bound)} nats a row."
