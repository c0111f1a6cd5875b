"""The bounding box of all rows, which noise fills."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from daskgmm.model.typing import Doubles, Floats


@dataclass(frozen=True, eq=False)
class BoundingBox:
    """Least and largest value of each feature, of those that are known; NaN where none is.

    Parameters
    ----------
    low, high : ndarray of shape (D,)
        In data units.
    """

    low: Doubles
    high: Doubles

    @classmethod
    def of(cls, rows: Floats, weights: Floats | None) -> Self | None:
        """The box of rows (D, n) of positive weight; ``None`` without any."""
        if weights is not None:
            rows = rows[:, weights > 0]
        if rows.shape[1] == 0:
            return None
        low, high = np.fmin.reduce(rows, axis=1), np.fmax.reduce(rows, axis=1)
        return cls(low.astype(np.float64), high.astype(np.float64))

    def __add__(self, other: "BoundingBox") -> "BoundingBox":
        return BoundingBox(np.fmin(self.low, other.low), np.fmax(self.high, other.high))
