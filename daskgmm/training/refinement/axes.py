"""Axes along which a component is split."""

from collections.abc import Sequence

import numpy as np

from daskgmm.model.parallel import each, slices_of_components
from daskgmm.model.typing import Doubles
from daskgmm.training.refinement.partial import Neighbourhoods, Region

_FARTHEST = 9
"""Squared distances count up to so many times D in kurtosis, or single rows would decide."""


def longest(around: Neighbourhoods, regions: Sequence[Region]) -> Doubles:
    """Longest axes (P, D) in standardised coordinates, a deviation long."""
    deviations = around.sample.settings.deviations
    units = np.where(deviations > 0, deviations, 1.0)
    # Of axes that are equally long rounding must not choose.
    tilted = units * (1 + 1e-6 * np.arange(len(units)))

    def found(own: slice) -> Doubles:
        matrices = _matrices(around, regions[own]) / np.outer(tilted, tilted)
        lengths, axes = np.linalg.eigh(matrices)
        return np.asarray(axes[:, :, -1] * np.sqrt(lengths[:, -1:]))

    return _signed(np.concatenate(each(found, _slices(around, regions)))) * units


def most_bimodal(around: Neighbourhoods, regions: Sequence[Region]) -> Doubles:
    """Axes (P, D) of the least kurtosis, a deviation long.

    A component that covers two clusters is flattest along the line between them (Peña and Prieto,
    2001), an eigenvector of its whitened rows' fourth moments (Cardoso, 1989).
    """
    _ = around.z, around.weights  # made here, before several threads ask for them
    found = np.empty((len(regions), around.mixture.n_features))

    def write(own: slice) -> None:
        lowers = np.linalg.cholesky(_matrices(around, regions[own]))
        for index, (region, lower) in enumerate(zip(regions[own], lowers, strict=True), own.start):
            mean = around.mixture.means[region.components[0]][:, np.newaxis]
            white = np.linalg.solve(lower, around.z[:, region.rows] - mean)
            squares = np.minimum((white**2).sum(axis=0), _FARTHEST * len(mean))
            weights = np.exp(region.log_share) * around.weights[region.rows]
            _, axes = np.linalg.eigh((white * (squares * weights)) @ white.T)
            found[index] = lower @ axes[:, 0]

    each(write, _slices(around, regions))
    return _signed(found)


def _slices(around: Neighbourhoods, regions: Sequence[Region]) -> list[slice]:
    return slices_of_components(len(regions), around.mixture.n_features)


def _matrices(around: Neighbourhoods, regions: Sequence[Region]) -> Doubles:
    """Covariances (P, D, D) of the regions' first components."""
    mixture = around.mixture
    matrices = mixture.covariance.as_matrices(mixture.covariances, mixture.shape)
    return np.asarray(matrices[[region.components[0] for region in regions]])


def _signed(axes: Doubles) -> Doubles:
    """Axes (K, D) with the largest entry positive: which half comes first is no accident."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, np.newaxis], axis=1)
    return axes * np.where(largest < 0, -1.0, 1.0)
