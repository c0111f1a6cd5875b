"""What a benchmark found: ours beside its peers and the hardware's limit, all in the same run."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Parameters
    ----------
    goal : str
        Name of the benchmark.
    work : str
        What was done, with its sizes.
    ours : float
    peers : mapping of str to float
        The same quantity for each peer, or for what ours is held against.
    unit : str
        Of `ours` and of the peers.
    wanted : float
        Least ratio of the rival to ours that meets the goal.
    limit : float or None
        What the machine's measured product rate and bandwidth would allow at best.
    larger_is_better : bool
        For rates; the ratio is then ours to the rival.
    rival : str, optional
        The peer that ours is held against; by default the best one.
    """

    goal: str
    work: str
    ours: float
    peers: Mapping[str, float]
    unit: str
    wanted: float
    limit: float | None = None
    larger_is_better: bool = False
    rival: str | None = None

    @property
    def best_peer(self) -> str:
        """Name of the peer to beat."""
        if self.rival is not None:
            return self.rival
        choose = max if self.larger_is_better else min
        return choose(self.peers, key=lambda name: self.peers[name])

    @property
    def ratio(self) -> float:
        """How many times better ours is than the rival; infinite where a count of faults is 0."""
        peer = self.peers[self.best_peer]
        better, worse = (self.ours, peer) if self.larger_is_better else (peer, self.ours)
        return float(better / worse) if worse else math.inf

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return bool(self.ratio >= self.wanted)

    def record(self) -> dict[str, object]:
        """As plain values, for JSON and for the table."""
        return {
            "goal": self.goal,
            "work": self.work,
            "unit": self.unit,
            "ours": float(self.ours),
            "peers": {name: float(value) for name, value in self.peers.items()},
            "best peer": self.best_peer,
            "ratio": self.ratio,
            "wanted": self.wanted,
            "limit": None if self.limit is None else float(self.limit),
            "met": self.met,
        }


def difference(fit: Callable[[int], tuple[float, int]], passes: int) -> float:
    """Seconds a pass, by two fits of which one makes so many passes more.

    `fit` takes the number of passes and returns the seconds and the passes that it made.
    """
    (more, some), (less, few) = fit(1 + passes), fit(1)
    return (more - less) / (some - few)
