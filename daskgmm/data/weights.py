"""Sample weights: each finite and at least zero, and so their sum."""

from collections.abc import Callable

import numpy as np

from daskgmm.data.source import Floats
from daskgmm.errors import DataError


def check_weights(
    weights: Floats, where: str, first: int, line_of: Callable[[int], int | None] = lambda _: None
) -> None:
    """Raise DataError unless weights of shape (n,) are finite and at least zero.

    For the error, ``where`` names the weights, ``first`` is the number of the first row, and
    ``line_of`` gives the line of a row in a text file.
    """
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        index = int(wrong.argmax())
        row = first + index
        line = line_of(row)
        location = f"row {row}" if line is None else f"row {row} (line {line})"
        cause = (
            f"{where}, {location}: the sample weight is {weights[index]}. Rows are counted from 0."
        )
        raise DataError(cause, "Weights must be finite numbers of at least zero: correct it.")


def require_finite_sum(weight: float) -> None:
    """Raise DataError if the sum of all sample weights, each of them finite, is not."""
    if not np.isfinite(weight):
        raise DataError(
            "The sample weights are so large that their sum overflows.",
            "Divide them all by the same number: results stay the same.",
        )
