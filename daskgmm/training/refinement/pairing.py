"""Which splits go with which removals: the pairs that gain most, without looking at all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeAlias

from daskgmm.model.mixture import Mixture

_OF_A_SPLIT = 2
"""Moves that split the same component, at the most."""


@dataclass(frozen=True, eq=False)
class Split:
    """One component in two halves.

    Parameters
    ----------
    gain : float
        Of the log-likelihood over all rows (nats), at the least.
    component : int
    halves : Mixture
        Of two components.
    """

    gain: float
    component: int
    halves: Mixture


@dataclass(frozen=True, eq=False)
class Removal:
    """One component less.

    Parameters
    ----------
    loss : float
        Of the log-likelihood over all rows (nats), at the most.
    components : tuple of int
        Two that are merged, or one that is left out.
    merged : Mixture or None
        Of one component; ``None`` where there is none.
    """

    loss: float
    components: tuple[int, ...]
    merged: Mixture | None


Pair: TypeAlias = tuple[float, Split, Removal]
"""A split and a removal, with what they gain together."""


def best_of_each(splits: Sequence[Split], removals: Sequence[Removal]) -> list[Pair]:
    """The best pairs, two at most of those that split the same component.

    Both are given in order, the best first.
    """
    of_component: dict[int, list[Pair]] = {}
    for split in splits:
        apart = (one for one in removals if split.component not in one.components)
        own = [(split.gain - one.loss, split, one) for one in islice(apart, _OF_A_SPLIT)]
        of_component.setdefault(split.component, []).extend(own)
    best = (sorted(own, key=_by_gain)[:_OF_A_SPLIT] for own in of_component.values())
    return sorted(chain.from_iterable(best), key=_by_gain)


def _by_gain(pair: Pair) -> float:
    return -pair[0]


def pairs_at_once(
    splits: Sequence[Split], removals: Sequence[Sequence[Removal]], least: Sequence[float]
) -> list[Pair]:
    """Pairs of different components, each the best of those that are left.

    Parameters
    ----------
    splits : sequence of Split
        The best first.
    removals : sequence of sequence of Removal
        Each with the best first.
    least : sequence of float
        Gains (nats) that the pairs of each of these are to exceed.
    """
    pairs: list[Pair] = []
    touched: set[int] = set()
    for own, enough in zip(removals, least, strict=True):
        while True:
            best = _best_apart(splits, own, touched)
            if best is None or best[0] <= enough:
                break
            touched.update({best[1].component, *best[2].components})
            pairs.append(best)
    return pairs


def _best_apart(
    splits: Sequence[Split], removals: Sequence[Removal], touched: set[int]
) -> Pair | None:
    """The best pair whose components are different, and none of those that are touched."""
    best: Pair | None = None
    left = [one for one in removals if not touched.intersection(one.components)]
    for split in splits:
        if split.component in touched:
            continue
        for removal in left:
            if split.component not in removal.components:
                if best is None or split.gain - removal.loss > best[0]:
                    best = split.gain - removal.loss, split, removal
                break
        if best is not None and split.gain - left[0].loss <= best[0]:
            break  # later splits gain less
    return best
