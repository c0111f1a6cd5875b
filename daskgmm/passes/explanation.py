"""The most surprising columns of each row, as columns to write."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.sinks.base import OutputField
from daskgmm.model.prediction import Predictor
from daskgmm.model.questions.explanation import surprises
from daskgmm.model.typing import Floats

MOST = 3
"""Number of columns that are written for each row, where the model has as many."""


@dataclass(frozen=True)
class Explanation:
    """The most surprising columns of each row, from the most surprising on, and their surprises.

    Parameters
    ----------
    n_features : int
        Number D of columns.
    names : tuple of str or None
        Names of the columns; ``None`` to write their positions, from 0.
    """

    n_features: int
    names: tuple[str, ...] | None

    @property
    def fields(self) -> tuple[OutputField, ...]:
        """Fields of the columns' names or positions, and of their surprises."""
        numbers = range(1, min(MOST, self.n_features) + 1)
        kind = np.dtype(np.int32) if self.names is None else np.array(self.names).dtype
        which = tuple(f"surprising_{number}" for number in numbers)
        amounts = tuple(f"surprise_{number}" for number in numbers)
        return (
            OutputField("surprising", kind, which, vector=True),
            OutputField("surprise", np.dtype(np.float64), amounts, vector=True),
        )

    def of(self, predictor: Predictor, rows: Floats) -> list[NDArray[Any]]:
        """Columns (n,) in the order of the fields, for rows (n, D)."""
        found = surprises(predictor, rows).astype(np.float64, copy=False)
        order = np.argsort(-found, axis=1, kind="stable")[:, :MOST]
        which = order.astype(np.int32) if self.names is None else np.array(self.names)[order]
        return [*which.T, *np.take_along_axis(found, order, axis=1).T]
