"""Rules for stopping. A new rule is a function and a line in the registry."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from daskgmm.errors import ConfigurationError
from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles
from daskgmm.training.states import ROUNDING


@dataclass(frozen=True, eq=False)
class EMStep:
    """One EM step of one start.

    Parameters
    ----------
    before, after : Mixture
        In frame coordinates.
    previous_bound, bound : float
        Lower bounds of the step before and of this one: nats a row, or another unit that the
        M-step holds against ``tol``.
    deviations : ndarray of shape (D,)
        The features' standard deviations, in the frame's units.
    earlier_bound : float
        Lower bound of the step before the previous one; minus infinity if there is none.
    """

    before: Mixture
    after: Mixture
    previous_bound: float
    bound: float
    deviations: Doubles
    earlier_bound: float = -math.inf


def lower_bound_change(step: EMStep) -> float:
    """Change of the lower bound, which is the mean log-likelihood a row unless there are priors."""
    return step.bound - step.previous_bound


def lower_bound_left(step: EMStep) -> float:
    """Gain of the mean log-likelihood a row (nats) that is still to come, at least its last change.

    Gains shrink by about the same factor at each step near the end, so what is left is the sum of
    a geometric series (Aitken's estimate, as Böhning et al., 1994, use it); infinite while gains
    grow. Before two gains are known it is the last one.
    """
    gain, before = step.bound - step.previous_bound, step.previous_bound - step.earlier_bound
    if not ROUNDING * max(1.0, abs(step.bound)) < gain < math.inf or before == math.inf:
        return gain
    return gain * max(gain / (before - gain), 1.0) if gain < before else math.inf


def parameters_change(step: EMStep) -> float:
    """Largest change of any weight, mean or covariance entry.

    Means and covariances count in units of the features' standard deviations.
    """
    units = np.where(step.deviations > 0, step.deviations, 1.0)
    before, after = step.before, step.after
    covariances = after.covariance.rescale(after.covariances - before.covariances, 1 / units)
    changes = (
        after.weights - before.weights,
        (after.means - before.means) / units,
        covariances,
    )
    return max(float(np.abs(change).max()) for change in changes)


@dataclass(frozen=True)
class Rule:
    """A rule for stopping: the change that ``tol`` is compared with.

    Parameters
    ----------
    change : callable
        How much an EM step changed.
    strictness : float
        How many times smaller than ``tol`` that must be after trials of an acceleration. They
        shorten EM's way in slow directions more than in fast ones, so a last step that is as
        small may leave more to go.
    """

    change: Callable[[EMStep], float]
    strictness: float

    def is_met(self, change: float, tol: float, *, tried: bool) -> bool:
        """Whether EM has converged by a step's change."""
        return abs(change) * (self.strictness if tried else 1.0) < tol


STOPPING = {
    "lower_bound": Rule(lower_bound_change, 2.0),
    # What a step gains is quadratic in what it changes, so this is about the root of the other:
    # the least at which no end was lower than plain EM's (at 1.0 it was in one of nine, by 1e-6).
    "parameters": Rule(parameters_change, 1.3),
}


PREDICTED = Rule(lower_bound_left, 1.0)
"""Rule in place of that on the lower bound, where starts were refined: EM that begins near its end
gains little in a step, also where it has some way to go."""


def stopping_named(name: str) -> Rule:
    """Look a rule up by the name that users give it."""
    if not isinstance(name, str) or name not in STOPPING:
        known = ", ".join(STOPPING)
        raise ConfigurationError(f"stopping={name!r} is not known.", f"Use one of: {known}.")
    return STOPPING[name]
