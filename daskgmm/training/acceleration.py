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

FIRST_RADIUS = 0.3
"""Of a trial, in the metric of Fisher's information, where 1 is felt by every row. Early steps are
long, so this keeps a start near the optimum that EM would take it to; late ones are so short that
a hundred of them may be skipped at once."""

GROWTH = 2.0
"""By which the radius grows after a trial that reached it, and shrinks after one refused."""

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
        How far the trial is, in the metric of Fisher's information.
    radius : float
        How far a trial may be.
    slowness : float
        How many of EM's steps, by the way that the last ones shrank, are left to where they
        lead; 1 where that is not known.
    """

    trial: Mixture | None = None
    origin: Mixture | None = None
    length: float = 0.0
    radius: float = FIRST_RADIUS
    slowness: float = 1.0

    def closer(self) -> "Outlook":
        """After a trial that was refused: EM goes on, and the next trial is closer."""
        return Outlook(radius=self.length / GROWTH)


Acceleration: TypeAlias = Callable[[Outlook, Mixture, Mixture], Outlook]
"""From the outlook so far and a step's two mixtures to the outlook from there."""


def plain(outlook: Outlook, before: Mixture, after: Mixture) -> Outlook:
    """EM's own steps."""
    del before, after
    return outlook


def squarem(outlook: Outlook, before: Mixture, after: Mixture) -> Outlook:
    """After every two steps one along the parabola through them.

    Its length in steps is alpha_3 of Varadhan and Roland (2008), ``norm(r) / norm(v)`` with
    the first step r and the change v from it to the second, within the radius.
    """
    radius = outlook.radius
    if outlook.trial is not None and outlook.length >= 0.99 * radius:
        radius *= GROWTH
    if outlook.origin is None:
        return Outlook(origin=before, radius=radius)
    points = [Coordinates.of(one) for one in (outlook.origin, before, after)]
    step = Coordinates.combine((-1, points[0]), (1, points[1]))
    turn = Coordinates.combine((1, points[0]), (-2, points[1]), (1, points[2]))
    size, bend = step.length(before), turn.length(before)
    slowness = max(size / bend, 1.0) if bend > 0 else 1.0
    steps = min(slowness, radius / size) if size > 0 else 1.0
    if steps <= 1:
        return Outlook(origin=before, radius=radius, slowness=slowness)
    beyond = Coordinates.combine((1, points[0]), (2 * steps, step), (steps**2, turn))
    trial = _not_emptied(beyond, points[2]).mixture(after)
    return Outlook(trial, length=steps * size, radius=radius, slowness=slowness)


def _not_emptied(beyond: Coordinates, after: Coordinates) -> Coordinates:
    log_weights = beyond.log_weights - logsumexp(beyond.log_weights)
    floor = after.log_weights + np.log(LEAST_SHARE)
    return replace(beyond, log_weights=np.maximum(log_weights, floor))


ACCELERATIONS: dict[str | None, Acceleration] = {None: plain, "squarem": squarem}


def acceleration_named(name: str | None) -> Acceleration:
    """Look a way up by the name that users give it."""
    if not (name is None or isinstance(name, str)) or name not in ACCELERATIONS:
        known = ", ".join(map(repr, ACCELERATIONS))
        raise ConfigurationError(f"acceleration={name!r} is not known.", f"Use one of: {known}.")
    return ACCELERATIONS[name]
