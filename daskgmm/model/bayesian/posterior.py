"""The posterior of a variational mixture, beside the means and covariances that it expects."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import require_numbers
from daskgmm.model.typing import Doubles

HOLDS = 0.5
"""Rows that a component holds at the least, or it is empty."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """Parameters of the approximate posterior that the expected mixture does not show.

    Parameters
    ----------
    weight_concentration : ndarray of shape (K,) or (K, 2)
        Of the weights; see `daskgmm.model.bayesian.concentration`.
    mean_precision : ndarray of shape (K,)
        Rows that each mean counts for, the prior's included.
    degrees_of_freedom : ndarray of shape (K,)
        Of the precisions' Wishart distributions; all equal where one covariance is shared.
    """

    weight_concentration: Doubles
    mean_precision: Doubles
    degrees_of_freedom: Doubles

    def of_components(self, order: NDArray[np.int64]) -> Self:
        """The same with its components in another order; `order` is a permutation (K,)."""
        return type(self)(*(getattr(self, field.name)[order] for field in fields(self)))

    def require_sound(self, n_components: int) -> None:
        """Raise ValueError with the reason if these cannot be those of K components."""
        for field in fields(self):
            array = getattr(self, field.name)
            require_numbers(f"the posterior's {field.name}", array)
            pairs = field.name == "weight_concentration" and array.ndim == 2
            wanted = (n_components, 2) if pairs else (n_components,)
            if array.shape != wanted or (array <= 0).any():
                raise ValueError(f"the posterior's {field.name} is not {n_components} numbers")
