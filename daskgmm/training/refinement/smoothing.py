"""Covariances that are smoothed while components move, so that few rows do not hold them back."""

from dataclasses import replace

import numpy as np

from daskgmm.model.mixture import Mixture
from daskgmm.model.prior import NormalPrior
from daskgmm.training.m_step import MaximumLikelihood
from daskgmm.training.maximum_a_posteriori import PosteriorMode
from daskgmm.training.refinement.sampled import ENOUGH_ROWS, EMRun, SampledRows

SMOOTHING = 3
"""Rows, for each of D + 1, that count as seen of every component."""

FADING, STEPS_OF_FADING = (1.5, 0.75, 0.38, 0.19, 0.09), 4
"""The same on the way back to none, and steps of EM under each. On few rows EM without smoothing
has many ends; that to which small steps lead fits other rows better than that of one leap."""


def smoothed(sample: SampledRows, mixture: Mixture, smoothing: float = SMOOTHING) -> SampledRows:
    """The sample, with EM in which rows of the components' common covariance add to each one.

    A component of a few dozen rows fits them so closely that EM hardly leads away from them, and it
    looks better than what is there. Under an inverse Wishart prior it does neither (after Fraley
    and Raftery, 2007). Nothing changes where there is a prior, or a covariance that all share, and
    on more than `ENOUGH_ROWS`: of large data a component of a few rows of the sample may be a
    cluster, which must not be smoothed away.

    Parameters
    ----------
    sample : SampledRows
        The budget and the recorder stay its own.
    mixture : Mixture
        In frame coordinates. Its common covariance is the prior's.
    smoothing : float
        See `SMOOTHING`.
    """
    covariance, settings = mixture.covariance, sample.settings
    own = isinstance(settings.m_step, MaximumLikelihood) and not covariance.needs_scatter
    if not own or sample.n_rows > ENOUGH_ROWS:
        return sample
    seen = smoothing * (mixture.n_features + 1.0)
    matrices = covariance.as_matrices(mixture.covariances, mixture.shape)
    within = np.einsum("k,kij->ij", mixture.weights / mixture.weights.sum(), matrices)
    of_none, share = covariance.prior_strength(0.0, *mixture.shape)
    scale = seen / share * within
    prior = NormalPrior(
        np.zeros(mixture.n_features), 0.0, (seen - of_none) / share, scale, scale,
        per_component=False, log_volume=0.0,
    )  # fmt: skip
    return replace(sample, settings=replace(settings, m_step=PosteriorMode(prior)))


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
