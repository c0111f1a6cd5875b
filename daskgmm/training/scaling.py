"""Sampled rows as starts are sought on them: standardised, or scaled so that squares are finite."""

from dataclasses import dataclass

import numpy as np

from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.typing import Doubles, Floats
from daskgmm.training.refinement.sampled import SampledRows

_FAR = 2.0**12
"""Standard deviations from zero, beyond which squares of rows leave their distances few digits."""

_SQUARABLE = {np.dtype(np.float32): 40, np.dtype(np.float64): 400}
"""Exponents of the largest value, either way, between which squares of rows can be summed."""


def units_of(sample: SampledRows, covariance: Covariance) -> Doubles:
    """Units (D,) of standardised coordinates in those of the frame, which the type can hold."""
    deviations = sample.settings.deviations
    return covariance.compatible_scale(np.where(deviations > 0, deviations, 1.0))


def standardised(sample: SampledRows, covariance: Covariance) -> Floats:
    """Sampled rows (m, D) about the frame's origin, in units of the features' deviations."""
    frame = sample.frame
    units = Frame(frame.origin, frame.scale * units_of(sample, covariance))
    found = np.empty(sample.rows.shape, sample.rows.dtype)
    units.standardise(sample.rows, out=found)
    return np.ascontiguousarray(found.T)


@dataclass(frozen=True, eq=False)
class Squarable:
    """Rows scaled so that squares of their distances neither overflow nor vanish in their type.

    Parameters
    ----------
    rows : ndarray of shape (n, D)
        ``(x - origin) * factor``.
    origin : ndarray of shape (D,)
        Zero, but for features that lie far from it.
    factor : float
        One for all features, as clusters are sought in the data's units; a power of two.
    """

    rows: Floats
    origin: Doubles
    factor: float


def squarable(rows: Floats, frame: Frame) -> Squarable:
    """Ordinary rows (n, D) as they are; others moved towards zero, or scaled, to be clustered."""
    spread = float(frame.scale.max())
    origin = np.where(np.abs(frame.origin) > _FAR * spread, frame.origin, 0.0)
    wide = rows - origin if origin.any() else rows
    exponent = max(int(np.frexp(np.abs(wide).max(initial=0))[1]), -1000)
    if abs(exponent) <= _SQUARABLE[rows.dtype]:
        return Squarable(wide.astype(rows.dtype, copy=False), origin, 1.0)
    factor = 2.0**-exponent
    return Squarable((wide * np.float64(factor)).astype(rows.dtype), origin, factor)
