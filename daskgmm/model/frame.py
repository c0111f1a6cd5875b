"""Frames: the coordinates of all computations, which are the data's shifted and scaled once.

`scatter` computes the rows' total second moments in a frame, which tied covariances need in
addition to the feature form.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.typing import Doubles, Floats

_LEAST_SCALE = 2.0**-490
"""Smallest scale: dividing `reg_covar` by the square of a smaller one could overflow."""

_MOST_SINGLE = 2.0**96
"""Largest scale, and inverse of the smallest, with which rows and the inverse of the scale stay in
the range of single precision."""


def require_numbers(name: str, array: Doubles) -> None:
    """Raise ValueError if an array is not of type float64, or holds NaN or infinity."""
    if array.dtype != np.float64:
        raise ValueError(f"{name} is of the type {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity")


@dataclass(frozen=True, eq=False)
class Frame:
    """Standard coordinates ``z = (x - origin) / scale``.

    Scales are powers of two and the data's float type can hold the origin, so the change of
    coordinates rounds at most once, and parameters come back unchanged. The origin is kept apart
    from the parameters: a cluster of width 1e-6 at 1e6 keeps all its digits.

    Parameters
    ----------
    origin, scale : ndarray of shape (D,)
        In the data's units.
    """

    origin: Doubles
    scale: Doubles

    @classmethod
    def around(cls, origin: Doubles, scale: Doubles, dtype: np.dtype[np.floating]) -> "Frame":
        """Frame with nearly this origin and scale, such as mean and standard deviations."""
        safe = np.maximum(np.where(scale > 0, scale, 1.0), _LEAST_SCALE)
        with np.errstate(over="ignore"):
            rounded = origin.astype(dtype).astype(np.float64)
        rounded = np.where(np.isfinite(rounded), rounded, origin)
        return cls(rounded, np.exp2(np.round(np.log2(safe))))

    @classmethod
    def identity(cls, n_features: int) -> "Frame":
        """Frame of the data's own coordinates."""
        return cls(np.zeros(n_features), np.ones(n_features))

    def require_sound(self, n_features: int) -> None:
        """Raise ValueError with the reason if these are not valid coordinates of D features."""
        for name, array in (("origin", self.origin), ("scale", self.scale)):
            require_numbers(f"the array of the frame's {name}", array)
            if array.shape != (n_features,):
                raise ValueError(f"the frame's {name} has the shape {array.shape}")
        if (self.scale <= 0).any():
            raise ValueError(f"a scale of the frame is {self.scale.min():g}")

    def seen_from(self, other: "Frame") -> "Frame":
        """Convert to the coordinates of another frame."""
        return Frame((self.origin - other.origin) / other.scale, self.scale / other.scale)

    def of_features(self, features: NDArray[np.int64]) -> "Frame":
        """The frame of some features, in this order."""
        return Frame(self.origin[features], self.scale[features])

    @property
    def log_jacobian(self) -> float:
        """Log-density in data units minus that in these coordinates (nats)."""
        return -float(np.log(self.scale).sum())

    def standardise(self, rows: Floats, out: Floats) -> None:
        """Write rows of shape (D, n) in these coordinates into ``out``."""
        origin = self.origin.astype(rows.dtype)
        if not np.array_equal(origin, self.origin):
            origin = self.origin  # only double precision holds it exactly
        wide = np.result_type(rows, out)  # else rows in single precision would round once more
        if out.dtype == np.float32 and not self._suits_single:
            out[...] = (rows - self.origin[:, np.newaxis]) * (1 / self.scale)[:, np.newaxis]
            return
        np.subtract(rows, origin[:, np.newaxis], out=out, dtype=wide, casting="same_kind")
        out *= (1 / self.scale).astype(out.dtype)[:, np.newaxis]

    @property
    def _suits_single(self) -> bool:
        """Whether rows stay in the range of single precision while they are shifted and scaled."""
        return bool(((self.scale < _MOST_SINGLE) & (self.scale > 1 / _MOST_SINGLE)).all())

    def enter(self, points: Doubles) -> Doubles:
        """Points of shape (..., D) from data units into these coordinates."""
        return np.asarray((points - self.origin) / self.scale)

    def leave(self, points: Doubles) -> Doubles:
        """Points of shape (..., D) from these coordinates into data units."""
        return np.asarray(self.origin + self.scale * points)


_SLAB_VALUES = 2**19


def scatter(rows: Floats, weights: Floats | None, frame: Frame) -> Doubles:
    """Second moments (D, D) of rows (D, n) about the frame's origin, in its units.

    Parameters
    ----------
    rows : ndarray of shape (D, n)
        In data coordinates.
    weights : ndarray of shape (n,) or None
    frame : Frame
    """
    n_features, n = rows.shape
    size = max(_SLAB_VALUES // max(n_features, 1), 1)
    total, z = np.zeros((n_features, n_features)), np.empty((n_features, min(size, n)))
    for start in range(0, n, size):
        slab = rows[:, start : start + size].astype(np.float64, copy=False)
        own = z[:, : slab.shape[1]]
        frame.standardise(slab, out=own)
        total += (own if weights is None else own * weights[start : start + size]) @ own.T
    return total
