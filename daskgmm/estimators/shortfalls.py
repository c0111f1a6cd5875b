"""Candidates of a selection that ended below others with fewer components: poor starts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shortfall:
    """A candidate whose likelihood is less than one with fewer components reached.

    Each mixture is one of more components too, so a better one is known to be there.

    Parameters
    ----------
    n_components : int
    covariance_type : str
    fewer : int
        Components of the one that it ended below.
    """

    n_components: int
    covariance_type: str
    fewer: int

    def __str__(self) -> str:
        return f"K = {self.n_components} ({self.covariance_type}) ended below K = {self.fewer}"


def shortfalls(results: Sequence[Mapping[str, Any]], best: int, tol: float) -> list[Shortfall]:
    """The candidates, by covariance type, that converged more than `tol` below a smaller one.

    They are told up to the number of components that comes after the best one's: what more
    would reach could hardly matter.

    Parameters
    ----------
    results : sequence of mapping
        The rows of ``results_``; of several starts the best counts.
    best : int
        Position of the row that was chosen.
    tol : float
        Mean log-likelihood a row (nats) that fits are expected to stop short of their end.
    """
    chosen = results[best]["n_components"]
    numbers = {row["n_components"] for row in results}
    most = min((number for number in numbers if number > chosen), default=chosen)
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in results:
        bound, number = row["lower_bound"], row["n_components"]
        ended = found.setdefault(row["covariance_type"], {})
        if number <= most and bound is not None and not math.isnan(bound):  # else it collapsed
            ended[number] = max(row, ended.get(number, row), key=_bound)
    return [one for kind, ended in found.items() for one in _of_one_type(kind, ended, tol)]


def in_words(found: Sequence[Shortfall], remedy: str) -> str:
    """A warning of what fell short, one or more."""
    whose = "its start was" if len(found) == 1 else "their starts were"
    return f"{'; '.join(map(str, found))}: {whose} poor. {remedy}"


def _of_one_type(
    kind: str, ended: Mapping[int, Mapping[str, Any]], tol: float
) -> Iterable[Shortfall]:
    highest: int | None = None
    for number in sorted(ended):
        if highest is None or _bound(ended[number]) >= _bound(ended[highest]):
            highest = number
        elif ended[number]["converged"] and _bound(ended[number]) < _bound(ended[highest]) - tol:
            yield Shortfall(number, kind, highest)


def _bound(row: Mapping[str, Any]) -> float:
    return float(row["lower_bound"])
