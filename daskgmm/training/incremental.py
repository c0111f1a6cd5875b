"""One step of EM on new rows, the old ones remembered by their moments."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from daskgmm.errors import CollapsedComponentError, DataError
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.precision import step_suffices
from daskgmm.training.em import EMSettings, Expect


@dataclass(frozen=True, eq=False)
class Increment:
    """Result of a step on new rows.

    Parameters
    ----------
    mixture : Mixture
        The new one.
    moments : Moments
        The sums that it was made of.
    fresh : Moments
        Those of the new rows alone, under the mixture before.
    """

    mixture: Mixture
    moments: Moments
    fresh: Moments


def absorb(
    mixture: Mixture, history: Moments | None, expect: Expect, settings: EMSettings
) -> Increment:
    """Add the moments of new rows under `mixture` to those of older ones, and maximise.

    Where the new rows lie too far from the origins of their moments to leave the covariances
    their digits, they are read again, about their own means.

    Parameters
    ----------
    mixture : Mixture
        In frame coordinates.
    history : Moments or None
        Of older rows, weighted as they are to count.
    expect : callable
        One pass over the new rows.
    settings : EMSettings
        The M-step's.

    Raises
    ------
    CollapsedComponentError
        A covariance is not positive definite.
    DataError
        The rows' likelihood is not a number.
    """
    fresh = _finite(expect([mixture]))
    try:
        found = _increment(mixture, history, fresh, settings)
    except CollapsedComponentError:
        found = None
    if found is not None and _suffices(mixture, found, settings):
        return found
    return _increment(mixture, history, _finite(expect([mixture], (fresh.means,))), settings)


def _increment(
    mixture: Mixture, history: Moments | None, fresh: Moments, settings: EMSettings
) -> Increment:
    moments = fresh if history is None else history.joined(fresh, mixture.covariance)
    return Increment(settings.maximise(mixture, moments), moments, fresh)


def _suffices(mixture: Mixture, found: Increment, settings: EMSettings) -> bool:
    # The new rows' own means count: few rows far away hardly move those of all.
    around = replace(found.mixture, means=found.fresh.means)
    return step_suffices(mixture, around, found.fresh, settings.dtype)


def _finite(moments: Sequence[Moments]) -> Moments:
    (found,) = moments
    if not math.isfinite(found.log_likelihood):
        raise DataError(
            f"The log-likelihood of the rows is {found.log_likelihood}.",
            "Their values are too large to be squared, or too far from the model's: check them.",
        )
    return found
