"""The candidates of a selection while it runs: criterion against number of components.

The criterion is computed from each start's latest lower bound, so it needs no pass of its own. The
ICL needs one: until the end the BIC stands for it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskgmm.training.states import FitState, Trace

MOST_SHOWN = 200
"""Candidates in an event; those of more components are left out."""

LIVE = {"bic": "bic", "aic": "aic", "icl": "bic"}
"""The criterion that is shown while a selection by another goes on."""

_FARTHEST = 4.0

_LEVELS, _ASCII_LEVELS = "▁▂▃▄▅▆▇█", "_.-=+*%#"


@dataclass(frozen=True)
class LiveCandidate:
    """A number of components with a covariance type, all its starts together.

    Parameters
    ----------
    n_components : int
    covariance_type : str
    value : float or None
        Least criterion of its starts; ``None`` before the first pass, or where all collapsed.
    running : bool
        Whether a start of it goes on.
    """

    n_components: int
    covariance_type: str
    value: float | None
    running: bool


def candidates_of(state: "FitState", criterion: str) -> list[LiveCandidate]:
    """The candidates after a pass, by covariance type and number; none if there is only one."""
    found: dict[tuple[str, int], LiveCandidate] = {}
    for trace in state.traces:
        mixture, running = trace.mixture, trace.stopped is None
        key = mixture.covariance.name, mixture.n_components
        value, before = _value(trace, criterion), found.get(key)
        if before is not None:
            values = [one for one in (value, before.value) if one is not None]
            value, running = min(values, default=None), running or before.running
        found[key] = LiveCandidate(key[1], key[0], value, running)
    return [] if len(found) < 2 else sorted(found.values(), key=_order)


def _order(candidate: LiveCandidate) -> tuple[str, int]:
    return candidate.covariance_type, candidate.n_components


def _value(trace: "Trace", criterion: str) -> float | None:
    from daskgmm.training.states import StopReason

    bound, moments = trace.lower_bound, trace.moments
    if moments is None or trace.stopped is StopReason.COLLAPSED or not math.isfinite(bound):
        return None
    rows, parameters = moments.weight, trace.mixture.n_parameters
    penalty = 2.0 if LIVE[criterion] == "aic" else math.log(rows)
    value = -2 * rows * bound + penalty * parameters
    return value if math.isfinite(value) else None


def as_rows(candidates: Sequence[LiveCandidate]) -> list[list[Any]] | None:
    """Candidates as plain values for an event; ``None`` where there is no selection."""
    kept = sorted(candidates, key=lambda one: one.n_components)[:MOST_SHOWN]
    rows = [
        [one.n_components, one.covariance_type, one.value, one.running]
        for one in sorted(kept, key=_order)
    ]
    return rows or None


def candidates_in(event: Mapping[str, Any]) -> list[LiveCandidate]:
    """The candidates in an event of a pass; none where it is no selection's."""
    return [LiveCandidate(*row) for row in event.get("candidates") or ()]


def best_of(candidates: Iterable[LiveCandidate]) -> LiveCandidate | None:
    """The candidate with the least value so far."""
    known = [one for one in candidates if one.value is not None]
    return min(known, key=lambda one: one.value or 0.0, default=None)


def curves(candidates: Iterable[LiveCandidate]) -> dict[str, list[LiveCandidate]]:
    """Candidates by covariance type, in the order of their numbers of components."""
    found: dict[str, list[LiveCandidate]] = {}
    for one in candidates:
        found.setdefault(one.covariance_type, []).append(one)
    return found


def span(candidates: Iterable[LiveCandidate]) -> tuple[float, float] | None:
    """Least and greatest value to show, without those that would dwarf the others.

    Few components are often so much worse that all others lie on a line; what is more than four
    times as far from the least as the median is left out.
    """
    known = sorted(one.value for one in candidates if one.value is not None)
    if not known:
        return None
    low, middle, high = known[0], median(known), known[-1]
    return low, min(high, low + _FARTHEST * (middle - low)) if middle > low else high


def curve_lines(
    candidates: Sequence[LiveCandidate], criterion: str, *, ascii_only: bool = False
) -> list[str]:
    """A line for each covariance type with its criterion as bars, the lowest bar the least."""
    shown = span(candidates)
    if shown is None:
        return []
    low, high = shown
    lines = []
    for kind, curve in curves(candidates).items():
        bars = "".join(_bar(one.value, low, high, ascii_only=ascii_only) for one in curve)
        best, going = best_of(curve), sum(one.running for one in curve)
        least = "" if best is None else f", least {best.value:.2f} with {best.n_components}"
        numbers = f"K {curve[0].n_components}..{curve[-1].n_components}"
        name = LIVE[criterion].upper()
        lines.append(f"{name} {kind}, {numbers}: {bars}{least}, {going} of {len(curve)} go on")
    return lines


def _bar(value: float | None, low: float, high: float, *, ascii_only: bool) -> str:
    levels = _ASCII_LEVELS if ascii_only else _LEVELS
    if value is None:
        return " "
    share = (value - low) / (high - low) if high > low else 0.0
    return levels[min(int(share * len(levels)), len(levels) - 1)]
