"""Steps longer than EM's. A new way is a function and a line in the registry.

Each function is told of every EM step that was taken and answers with what the next pass tries
in place of the mixture that EM came to. A trial costs the pass that finds its likelihood: where
that has fallen, EM goes on from where it stood, and nothing is lost but the pass.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from scipy.special import logsumexp

from daskgmm.errors import ConfigurationError
from daskgmm.model.coordinates import Coordinates
from daskgmm.model.mixture import Mixture

GROWTH = 2.0
"""By which the longest step grows and shrinks. A cautious start keeps to the optimum that EM
goes to: with 4, the published choice, 5 fits of 60 ended at a much worse one, with 2 none."""

LEAST_SHARE = 0.1
"""Of the weight that EM gave a component, an extrapolation leaves at least this much: one that
is empty would never come back."""


@dataclass(frozen=True, eq=False)
class Outlook:
    """What an acceleration remembers of a start; enough to resume from.

    Parameters
    ----------
    trial : Mixture or None
        What the next pass tries; ``None`` for what EM came to.
    origin : Mixture or None
        Where the steps that are extrapolated next begin.
    length : float
        Of the step to the trial, in EM steps of its kind; 1 is where EM came to.
    longest : float
        Longest step that is tried.
    slowness : float
        How many of EM's steps, by the way that the last ones shrank, are left to where they
        lead; 1 where that is not known.
    """

    trial: Mixture | None = None
    origin: Mixture | None = None
    length: float = 1.0
    longest: float = 1.0
    slowness: float = 1.0

    def closer(self) -> "Outlook":
        """After a trial that was refused: EM goes on, and the next trial is closer."""
        return Outlook(longest=max(1.0, self.length / GROWTH))


Acceleration: TypeAlias = Callable[[Outlook, Mixture, Mixture], Outlook]
"""From the outlook so far and a step's two mixtures to the outlook from there."""


def plain(outlook: Outlook, before: Mixture, after: Mixture) -> Outlook:
    """EM's own steps."""
    del before, after
    return outlook


def squarem(outlook: Outlook, before: Mixture, after: Mixture) -> Outlook:
    """After every two steps one along the parabola through them.

    The step's length is alpha_3 of Varadhan and Roland (2008, eq. 9), ``norm(r) / norm(v)``
    with the first step r and the change v from it to the second.
    """
    longest = outlook.longest
    if outlook.trial is not None and outlook.length >= longest:  # it was good
        longest *= GROWTH
    if outlook.origin is None:
        return Outlook(origin=before, longest=longest)
    points = [Coordinates.of(one) for one in (outlook.origin, before, after)]
    step = Coordinates.combine((-1, points[0]), (1, points[1]))
    turn = Coordinates.combine((1, points[0]), (-2, points[1]), (1, points[2]))
    size, bend = step.length(before), turn.length(before)
    slowness = max(size / bend, 1.0) if bend > 0 else 1.0
    length = min(slowness, longest)
    if length == 1:
        return Outlook(origin=before, longest=max(longest, GROWTH), slowness=slowness)
    beyond = Coordinates.combine((1, points[0]), (2 * length, step), (length**2, turn))
    log_weights = beyond.log_weights - logsumexp(beyond.log_weights)
    floor = points[2].log_weights + np.log(LEAST_SHARE)
    held = replace(beyond, log_weights=np.maximum(log_weights, floor))
    return Outlook(held.mixture(after), length=length, longest=longest, slowness=slowness)


ACCELERATIONS: dict[str | None, Acceleration] = {None: plain, "squarem": squarem}


def acceleration_named(name: str | None) -> Acceleration:
    """Look a way up by the name that users give it."""
    if not (name is None or isinstance(name, str)) or name not in ACCELERATIONS:
        known = ", ".join(map(repr, ACCELERATIONS))
        raise ConfigurationError(f"acceleration={name!r} is not known.", f"Use one of: {known}.")
    return ACCELERATIONS[name]
