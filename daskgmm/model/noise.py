"""Noise: a component without parameters but its weight, uniform over a box.

After Banfield and Raftery, "Model-based Gaussian and non-Gaussian clustering", 1993.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame, require_numbers
from daskgmm.model.typing import Doubles


@dataclass(frozen=True, eq=False)
class Noise:
    """A uniform background; its logit is the same for all rows, those outside the box as well.

    Parameters
    ----------
    weight : float
        Share of the rows; with the weights of the components it sums to 1.
    low, sides : ndarray of shape (D,)
        Lowest corner and sides of the box. They are apart, so that a small box far away keeps all
        its digits.
    """

    weight: float
    low: Doubles
    sides: Doubles

    def require_sound(self, n_features: int) -> None:
        """Raise ValueError with the reason if this is not the noise of D features."""
        for name in ("low", "sides"):
            array = getattr(self, name)
            require_numbers(f"the array of the noise's {name}", array)
            if array.shape != (n_features,):
                raise ValueError(f"the noise's {name} has the shape {array.shape}")
        if (self.sides <= 0).any():
            raise ValueError(f"a side of the noise's box is {self.sides.min():g}")
        if not 0 <= self.weight < 1:
            raise ValueError(f"the weight of the noise is {self.weight:g}")

    @property
    def log_density(self) -> float:
        """Log-density in the box (nats)."""
        return -float(np.log(self.sides).sum())

    @property
    def logit(self) -> float:
        """Weighted log-density; minus infinity if noise has no weight."""
        return self.log_density + float(np.log(self.weight)) if self.weight > 0 else -np.inf

    def logits_lacking(self, missing: NDArray[np.bool_]) -> Doubles:
        """Weighted log-densities (n,) of the known values of rows; `missing` is a mask (n, D)."""
        return np.asarray(self.logit + missing @ np.log(self.sides))

    def of_features(self, features: NDArray[np.int64]) -> Self:
        """Noise in some features, in this order: its marginal distribution."""
        return replace(self, low=self.low[features], sides=self.sides[features])

    def outside(self, frame: Frame) -> Self:
        """Noise in the coordinates in which its frame is given."""
        return replace(self, low=frame.leave(self.low), sides=frame.scale * self.sides)
