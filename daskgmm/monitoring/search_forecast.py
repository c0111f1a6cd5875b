"""How far searches for starts are and how long they take at most, from their events.

EM on the sample has a bounded number of multiplications, so its rate so far bounds its time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from daskgmm.training.search_progress import FOUND


def search_share(events: Sequence[Mapping[str, Any]]) -> float:
    """Share of the multiplications of EM on the sample that searches for starts have taken.

    Parameters
    ----------
    events : sequence of mapping
        The latest event ``starts`` of each candidate.
    """
    found = [1.0 if one["phase"] == FOUND else one.get("share", 0.0) for one in events]
    return sum(found) / max(len(found), 1)


def search_left(events: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds after which searches for starts have no multiplications left; most end before."""
    left = [one["seconds_left"] for one in events if one.get("seconds_left")]
    return max(left, default=None)
