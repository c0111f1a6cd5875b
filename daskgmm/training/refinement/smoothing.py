"""Covariances that are smoothed while components move, so that few rows do not hold them back.

Under an inverse Wishart prior a component's covariance lies between that of its own rows and the
one that components have in common (after Fraley and Raftery, 2007).
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from daskgmm.model.mixture import Mixture
from daskgmm.model.prior import NormalPrior
from daskgmm.model.typing import Doubles
from daskgmm.training.m_step import MaximumLikelihood
from daskgmm.training.maximum_a_posteriori import PosteriorMode
from daskgmm.training.refinement.sampled import ENOUGH_ROWS, EMRun, SampledRows
from daskgmm.training.refinement.spurious import make_two

SMOOTHING = 3
"""Rows, for each of D + 1, that count as seen of every component."""

FADING, STEPS_OF_FADING = (1.5, 0.75, 0.38, 0.19, 0.09), 4
"""The same on the way back to none, and steps of EM under each. On few rows EM without smoothing
has many ends; that to which small steps lead fits other rows better than that of one leap."""


@dataclass(frozen=True, eq=False)
class Smoothed(PosteriorMode):
    """The M-step of a whole search on rows that are too few for components of their own."""

    smooths: ClassVar[bool] = True


def common_covariance(mixture: Mixture) -> Doubles:
    """Covariance (D, D) within the components of a mixture, on average."""
    matrices = mixture.covariance.as_matrices(mixture.covariances, mixture.shape)
    shares = mixture.weights / mixture.weights.sum()
    return np.asarray(np.einsum("k,kij->ij", shares, matrices))


def too_few_rows(sample: SampledRows, mixture: Mixture) -> bool:
    """Whether the rows are too few for such a mixture, on average, and all rows are not."""
    covariance, (n_components, n_features) = mixture.covariance, mixture.shape
    enough, of_all = (
        make_two(rows / n_components, covariance, n_features)
        for rows in (sample.n_rows, sample.all_rows)
    )
    return bool(of_all and not enough) and _may_be_smoothed(sample, mixture)


def towards(common: Doubles | None, sample: SampledRows, mixture: Mixture) -> SampledRows:
    """The sample, with EM that is smoothed to the end: passes over all rows go on from there.

    Parameters
    ----------
    common : ndarray of shape (D, D), or None
        The prior's covariance; ``None`` where the rows are enough.
    sample : SampledRows
    mixture : Mixture
        Of the type and number of components that are sought.
    """
    if common is None:
        return sample
    step = Smoothed(_prior(mixture, common, SMOOTHING))
    return replace(sample, settings=replace(sample.settings, m_step=step))


def _may_be_smoothed(sample: SampledRows, mixture: Mixture) -> bool:
    """Not where there is a prior, or a covariance that all components share."""
    own = isinstance(sample.settings.m_step, MaximumLikelihood)
    return own and not mixture.covariance.needs_scatter


def _prior(mixture: Mixture, common: Doubles, smoothing: float) -> NormalPrior:
    seen = smoothing * (mixture.n_features + 1.0)
    of_none, share = mixture.covariance.prior_strength(0.0, *mixture.shape)
    scale = seen / share * common
    return NormalPrior(
        np.zeros(mixture.n_features), 0.0, (seen - of_none) / share, scale, scale,
        per_component=False, log_volume=0.0,
    )  # fmt: skip


def smoothed(sample: SampledRows, mixture: Mixture, smoothing: float = SMOOTHING) -> SampledRows:
    """The sample, with EM in which rows of the components' common covariance add to each one.

    A component of a few dozen rows fits them so closely that EM hardly leads away from them, and it
    looks better than what is there. With the prior it does neither. Nothing changes where there is
    a prior already, or a covariance that all share, and on more than `ENOUGH_ROWS`: of large data a
    component of a few rows of the sample may be a cluster, which must not be smoothed away.

    Parameters
    ----------
    sample : SampledRows
        The budget and the recorder stay its own.
    mixture : Mixture
        In frame coordinates. Its common covariance is the prior's.
    smoothing : float
        See `SMOOTHING`.
    """
    if not _may_be_smoothed(sample, mixture) or sample.n_rows > ENOUGH_ROWS:
        return sample
    step = PosteriorMode(_prior(mixture, common_covariance(mixture), smoothing))
    return replace(sample, settings=replace(sample.settings, m_step=step))


def faded(run: EMRun, mixture: Mixture, sample: SampledRows) -> EMRun:
    """The run after EM under less and less smoothing, about to go on without any.

    Parameters
    ----------
    run : EMRun
    mixture : Mixture
        See `smoothed`.
    sample : SampledRows
    """
    for smoothing in FADING:
        smooth = smoothed(sample, mixture, smoothing)
        (run,) = smooth.advanced([EMRun(run.mixture)], STEPS_OF_FADING) or [run]
    return EMRun(run.mixture)
