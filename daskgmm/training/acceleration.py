"""Steps longer than EM's. A new way is a function and a line in the registry.

Each function is told of every EM step that was taken and answers with what the next pass tries
in place of the mixture that EM came to. A trial costs the pass that finds its likelihood: where
that has fallen, or EM turns round there, EM goes on from where it stood, and nothing is lost but
the pass.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from scipy.special import logsumexp

from daskgmm.errors import ConfigurationError
from daskgmm.model.mixture import Mixture
from daskgmm.model.unconstrained import Coordinates

TAIL = 1e-3
"""Gain of an EM step (nats a row) below which trials are made: by default EM ends here, near the
optimum that it has chosen. Steps that gain more choose it, and few of them are saved by trials."""

FIRST_RADIUS = 0.3
"""Of a trial, in the metric of Fisher's information, where 1 is felt by every row."""

GROWTH = 2.0
"""By which the radius grows after a trial that reached it, and shrinks after one refused."""

LEAST_SHARE = 0.1
"""Of the weight that EM gave a component, an extrapolation leaves at least this much: one that
is empty would never come back."""


@dataclass(frozen=True, eq=False)
class AccelerationState:
    """State of the acceleration of one start; enough to resume from.

    Parameters
    ----------
    trial : Mixture or None
        What the next pass tries; ``None`` for what EM came to.
    origin : Mixture or None
        Where EM's latest step began.
    length : float
        How far the trial is, in the metric of Fisher's information.
    radius : float
        How far a trial may be.
    tried : bool
        Whether there was any trial: see `Rule.strictness`.
    """

    trial: Mixture | None = None
    origin: Mixture | None = None
    length: float = 0.0
    radius: float = FIRST_RADIUS
    tried: bool = False

    def closer(self) -> "AccelerationState":
        """State after a refused trial: EM goes on, and the next trial is closer."""
        return replace(self, trial=None, length=0.0, radius=self.length / GROWTH)

    def leads_on(self, stood: Mixture, beyond: Mixture) -> bool:
        """Whether EM's step from the trial to `beyond` does not turn back towards `stood`.

        Where EM's steps shrink by a factor in each direction, and so in the basin of an optimum,
        a squared extrapolation turns none of them round; a trial that does has left the basin.
        """
        if self.trial is None or self.origin is None:
            return True
        origin, stands, trial, leads = (
            Coordinates.of(one) for one in (self.origin, stood, self.trial, beyond)
        )
        same = Coordinates.combine((1, stands), (-1, origin), (1, leads), (-1, trial))
        opposite = Coordinates.combine((1, stands), (-1, origin), (-1, leads), (1, trial))
        return same.length(self.origin) >= opposite.length(self.origin)


Acceleration: TypeAlias = Callable[[AccelerationState, Mixture, Mixture, float], AccelerationState]
"""Called with the state so far, the mixtures before and after a step, and the gain in the lower
bound that led to the first of them; returns the state from there."""


def plain(
    state: AccelerationState, before: Mixture, after: Mixture, gain: float
) -> AccelerationState:
    """No acceleration: EM's own steps."""
    del before, after, gain
    return state


def squarem(
    state: AccelerationState, before: Mixture, after: Mixture, gain: float
) -> AccelerationState:
    """Extrapolate after two EM steps, along the parabola through them, once EM is in its tail.

    Its length in steps is alpha_3 of Varadhan and Roland (2008), ``norm(r) / norm(v)`` with
    the first step r and the change v from it to the second, within the radius.
    """
    radius = state.radius
    if state.trial is not None and state.length >= 0.99 * radius:
        radius *= GROWTH
    here = AccelerationState(origin=before, radius=radius, tried=state.tried)
    if state.origin is None or state.trial is not None or gain >= TAIL:
        return here
    points = [Coordinates.of(one) for one in (state.origin, before, after)]
    step = Coordinates.combine((-1, points[0]), (1, points[1]))
    turn = Coordinates.combine((1, points[0]), (-2, points[1]), (1, points[2]))
    size, bend = step.length(state.origin), turn.length(before)
    steps = min(size / bend, radius / size) if min(size, bend) > 0 else 1.0
    if steps <= 1:
        return here
    beyond = Coordinates.combine((1, points[0]), (2 * steps, step), (steps**2, turn))
    trial = _not_emptied(beyond, points[2]).mixture(after)
    return replace(here, trial=trial, length=steps * size, tried=True)


def _not_emptied(beyond: Coordinates, after: Coordinates) -> Coordinates:
    log_weights = beyond.log_weights - logsumexp(beyond.log_weights)
    floor = after.log_weights + np.log(LEAST_SHARE)
    return replace(beyond, log_weights=np.maximum(log_weights, floor))


ACCELERATIONS: dict[str | None, Acceleration] = {None: plain, "squarem": squarem}


def acceleration_named(name: str | None) -> Acceleration:
    """Look an acceleration up by the name that users give it."""
    if not (name is None or isinstance(name, str)) or name not in ACCELERATIONS:
        known = ", ".join(map(repr, ACCELERATIONS))
        raise ConfigurationError(f"acceleration={name!r} is not known.", f"Use one of: {known}.")
    return ACCELERATIONS[name]
