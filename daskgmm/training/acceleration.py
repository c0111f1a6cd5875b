"""Acceleration of EM by longer steps. A new method is a function and a line in the registry.

Each function is called after every EM step and returns the mixture that the next pass tries in
place of EM's latest, if any. A trial costs the pass that computes its likelihood: if that has
fallen, or EM turns back from the trial, EM continues from its latest mixture, and only the pass
is lost.
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
"""Gain of an EM step (nats a row) below which trials are made. Steps that gain more decide which
optimum EM reaches, and trials save few of them; at this gain EM is near that optimum, and stops
by default."""

FIRST_RADIUS = 0.3
"""Largest length of the first trial, in the metric of Fisher's information, in which a length of
1 changes every row's likelihood noticeably."""

GROWTH = 2.0
"""Factor by which the radius grows after a trial that reached it, and shrinks after a refused
trial."""

LEAST_SHARE = 0.1
"""Least share of a component's weight after EM that an extrapolation leaves to it, as an empty
component would stay empty."""


@dataclass(frozen=True, eq=False)
class AccelerationState:
    """State of the acceleration of one start; enough to resume from.

    Parameters
    ----------
    trial : Mixture or None
        Mixture that the next pass tries; ``None`` for EM's latest one.
    origin : Mixture or None
        Mixture from which EM's latest step began.
    length : float
        Distance to the trial, in the metric of Fisher's information.
    radius : float
        Largest distance of a trial.
    tried : bool
        Whether there was any trial; see `Rule.strictness`.
    """

    trial: Mixture | None = None
    origin: Mixture | None = None
    length: float = 0.0
    radius: float = FIRST_RADIUS
    tried: bool = False

    def closer(self) -> "AccelerationState":
        """State after a refused trial: EM continues, and the next trial is closer."""
        return replace(self, trial=None, length=0.0, radius=self.length / GROWTH)

    def leads_on(self, stood: Mixture, beyond: Mixture) -> bool:
        """Whether EM's step from the trial to `beyond` does not turn back towards `stood`.

        In the basin of an optimum EM's steps shrink by a factor in each direction, and a squared
        extrapolation reverses none of them; a trial that does so has left the basin.
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
"""Function of the state so far, the mixtures before and after an EM step, and the gain in the
lower bound that led to the first of them (nats a row); returns the next state."""


def plain(
    state: AccelerationState, before: Mixture, after: Mixture, gain: float
) -> AccelerationState:
    """Take EM's own steps, without acceleration."""
    del before, after, gain
    return state


def squarem(
    state: AccelerationState, before: Mixture, after: Mixture, gain: float
) -> AccelerationState:
    """Extrapolate along the parabola through two EM steps, once their gain is below `TAIL`.

    The length in steps is alpha_3 of Varadhan and Roland (2008), ``norm(r) / norm(v)`` with the
    first step r and the change v from it to the second, limited by the radius.
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
    """Look up an acceleration by the name that users give."""
    if not (name is None or isinstance(name, str)) or name not in ACCELERATIONS:
        known = ", ".join(map(repr, ACCELERATIONS))
        raise ConfigurationError(f"acceleration={name!r} is not known.", f"Use one of: {known}.")
    return ACCELERATIONS[name]
