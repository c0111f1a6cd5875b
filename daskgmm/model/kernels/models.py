"""Mixtures as their loops need them, made once in a process."""

import numpy as np

from daskgmm.model import screening
from daskgmm.model.kernels.arguments import Model
from daskgmm.model.kernels.neighbours import Neighbours
from daskgmm.model.mixture import Mixture
from daskgmm.model.once import once_a_mixture
from daskgmm.model.precision import fragile_components

_MOST_GAP = {np.dtype(np.float32): 80.0, np.dtype(np.float64): 700.0}
"""What the loops' exponentials reach down to."""


@once_a_mixture
def neighbours_of(mixture: Mixture, dtype: np.dtype[np.floating]) -> Neighbours | None:
    """Components by their distances, where these pay."""
    return Neighbours.of(mixture, model_of(mixture, dtype))


@once_a_mixture
def model_of(mixture: Mixture, dtype: np.dtype[np.floating]) -> Model:
    """A mixture's arrays for the loop, of one type, with its means as origins."""
    factors = mixture.covariance.whitening(mixture.factors, mixture.shape)
    n_features = mixture.n_features
    means = np.array(mixture.means, dtype, order="C")
    if mixture.covariance.has_matrices:
        rows = screening.directions(mixture, factors)
        leading = np.array(rows.reshape(-1, n_features), dtype, order="C")
        axes = np.empty(0, np.int64)
        offsets = np.einsum("kmd,kd->km", rows, mixture.means).ravel()
        scales = np.ones(len(offsets))
    else:
        along = screening.axes(mixture, factors[:, 0])
        leading, axes = np.empty((0, 0), dtype), along.ravel()
        offsets = np.take_along_axis(means, along, axis=1).ravel()
        scales = np.take_along_axis(factors[:, 0], along, axis=1).ravel()
    return Model(
        means=means,
        origins=means,
        factors=np.array(factors, dtype, order="C"),
        whitens=mixture.covariance.has_matrices,
        normalisers=mixture.log_normalisers.astype(dtype),
        gaps=np.minimum(screening.gaps(mixture), _MOST_GAP[np.dtype(dtype)]).astype(dtype),
        directions=leading,
        axes=axes,
        offsets=offsets.astype(dtype),
        scales=scales.astype(dtype),
        noise=mixture.noise_logit,
        fragile=fragile_components(mixture, np.dtype(dtype)),
    )
