"""Rows with their missing values replaced, as columns to write."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.sinks.base import OutputField
from daskgmm.model.prediction import Predictor
from daskgmm.model.questions.imputation import imputed
from daskgmm.model.typing import Floats


@dataclass(frozen=True)
class Imputed:
    """The columns to write for rows whose missing values are replaced.

    Parameters
    ----------
    predictor : Predictor
    names : tuple of str
        Names of the features.
    """

    takes_missing: ClassVar[bool] = True

    predictor: Predictor
    names: tuple[str, ...]

    @property
    def fields(self) -> tuple[OutputField, ...]:
        """The field of the rows."""
        return (OutputField("rows", np.dtype(np.float64), self.names, vector=True),)

    @property
    def n_values(self) -> int:
        """2 D: a row before and after."""
        return 2 * len(self.names)

    def of(self, rows: Floats) -> Mapping[str, NDArray[Any]]:
        """Columns (n,) by name, for rows (n, D)."""
        found = imputed(self.predictor, rows).astype(np.float64, copy=False)
        return dict(zip(self.names, found.T, strict=True))
