"""Mixtures as their loops need them, made once in a process."""

import numpy as np

from daskgmm.model import screening
from daskgmm.model.kernels.arguments import Model
from daskgmm.model.kernels.neighbours import Neighbours
from daskgmm.model.mixture import Mixture
from daskgmm.model.mixture_cache import cached_by_mixture
from daskgmm.model.precision import fragile_components

_MOST_GAP = {np.dtype(np.float32): 80.0, np.dtype(np.float64): 700.0}
"""What the loops' exponentials reach down to."""


@cached_by_mixture
def neighbours_of(mixture: Mixture, dtype: np.dtype[np.floating]) -> Neighbours | None:
    """Components by their distances, where these pay."""
    return Neighbours.of(mixture, model_of(mixture, dtype))


@cached_by_mixture
def model_of(mixture: Mixture, dtype: np.dtype[np.floating]) -> Model:
    """A mixture's arrays for the loop, of one type, with its means as origins."""
    factors = mixture.covariance.whitening(mixture.factors, mixture.shape)
    n_features, products = mixture.n_features, screening.has_products(mixture)
    means, cast = np.array(mixture.means, dtype, order="C"), np.array(factors, dtype, order="C")
    if mixture.covariance.has_matrices:
        rows = screening.directions(mixture, factors)
        # As many for all: those that there are not bound nothing.
        rows = np.pad(rows, ((0, 0), (0, screening.MOST_DIRECTIONS - rows.shape[1]), (0, 0)))
        with np.errstate(over="ignore"):  # what is infinite bounds nothing
            leading = np.array(rows.swapaxes(1, 2).reshape(len(rows), -1), np.float32, order="C")
            limits = screening.limits(mixture, rows).astype(np.float32)
        axes, offsets, scales = np.empty(0, np.int64), np.empty(0), np.empty(0)
    else:
        along = screening.axes(mixture, factors[:, 0])
        missing = ((0, 0), (0, screening.MOST_DIRECTIONS + 1 - along.shape[1]))
        leading = limits = np.empty((0, 0), np.float32)
        axes = np.pad(along, missing).ravel()
        offsets = np.pad(np.take_along_axis(means, along, axis=1), missing).ravel()
        scales = np.pad(np.take_along_axis(factors[:, 0], along, axis=1), missing).ravel()
    return Model(
        means=means,
        origins=means,
        factors=cast,
        whitens=mixture.covariance.has_matrices,
        normalisers=mixture.log_normalisers.astype(dtype),
        gaps=np.minimum(screening.gaps(mixture), _MOST_GAP[np.dtype(dtype)]).astype(dtype),
        directions=leading,
        limits=limits,
        axes=axes,
        offsets=offsets.astype(dtype),
        scales=scales.astype(dtype),
        monomials=mixture.covariance.monomials(n_features if products else 0),
        eta=screening.bounding_parameters(mixture, np.dtype(dtype)).astype(dtype),
        noise=mixture.noise_logit,
        fragile=fragile_components(mixture, np.dtype(dtype)),
    )


def forget(mixture: Mixture) -> None:
    """Let go of the arrays of a mixture: they take as much memory as itself."""
    model_of.forget(mixture)
    neighbours_of.forget(mixture)
