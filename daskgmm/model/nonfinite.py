"""The first value that is not finite: its place, and the error for it."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from daskgmm.errors import DataError
from daskgmm.model.typing import Floats


@dataclass(frozen=True)
class Flaw:
    """The first value that is NaN or infinite.

    Parameters
    ----------
    row, feature : int
        Where, counted from 0.
    value : float
    """

    row: int
    feature: int
    value: float

    @classmethod
    def in_rows(cls, rows: Floats, *, missing: bool = False) -> Self | None:
        """The first flaw of rows (D, n), or None; with `missing` NaN is none."""
        # The sum of finite numbers is finite, but for overflow: then the second look clears it.
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(rows.sum(dtype=np.float64)):
                return None
        bad = np.isinf(rows) if missing else ~np.isfinite(rows)
        if not bad.any():
            return None
        row = int(np.argmax(bad.any(axis=0)))
        feature = int(np.argmax(bad[:, row]))
        return cls(row, feature, float(rows[feature, row]))

    def after(self, rows: int) -> Self:
        """The flaw with its row counted after so many others."""
        return replace(self, row=self.row + rows)

    def error(
        self,
        where: str,
        columns: tuple[str, ...] | None = None,
        before: int | None = None,
        written: tuple[int, str] | None = None,
    ) -> DataError:
        """The error that describes this value.

        Parameters
        ----------
        where : str
            The part or array that the row is counted in.
        columns : tuple of str or None
            The features' names.
        before : int or None
            Rows in the parts before, where that is known.
        written : (int, str) or None
            The line that holds it, and the text there, where there is one.
        """
        value = "NaN" if np.isnan(self.value) else "infinity"
        line, text = written or (None, "")
        place = f"row {self.row}" if line is None else f"row {self.row} (line {line})"
        if text.strip() and text.strip().lower() != "nan":
            value += f", written {text!r}"
        of_all = "" if before is None else f"row {before + self.row} of all, "
        remedy = "Drop or fill such rows first"
        if np.isnan(self.value):
            remedy += (
                ", or fit with missing='marginalize' (--missing); 'drop' leaves them out of fits "
                "and scores, and labels no such row"
            )
        return DataError(
            f"{where}, {place}, {feature_name(self.feature, columns)} is {value} "
            f"({of_all}counted from 0).",
            f"{remedy}.",
        )


def feature_name(feature: int, columns: tuple[str, ...] | None) -> str:
    """Name of a feature in errors."""
    return f"feature {feature}" if columns is None else f"column {columns[feature]!r}"
