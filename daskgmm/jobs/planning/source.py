"""Sources to plan for: inputs known by their metadata, or rows that are not written yet."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgmm.data.decode import block_rows_for
from daskgmm.data.source import Block, SelfContainedPart, Source
from daskgmm.errors import ConfigurationError
from daskgmm.fitting.protocols import Estimator
from daskgmm.fitting.settings import compute_dtype
from daskgmm.jobs.inputs import Inputs

PART_ROWS = 2**20
"""Rows of a row group, as Arrow writes them by default."""


@dataclass(frozen=True)
class ImaginedPart(SelfContainedPart):
    """Part of rows that don't exist yet, and can't be read."""

    @property
    def label(self) -> str:
        """Name of the part in errors."""
        return "imagined rows"

    def blocks(self) -> Iterator[Block]:
        """Read no blocks."""
        return iter(())


def imagined(rows: int, n_features: int, dtype: np.dtype[Any]) -> Source:
    """Source of rows with the parts that Parquet written by Arrow would have."""
    whole, rest = divmod(rows, PART_ROWS)
    lengths = (PART_ROWS,) * whole + ((rest,) if rest else ())
    return Source(
        (ImaginedPart(),) * len(lengths),
        n_features,
        dtype,
        lengths=lengths,
        decoded=True,
        block_rows=block_rows_for(n_features),
    )


MOST_ROWS = 10**12


def source_of(
    inputs: Inputs, rows: float | None, features: int | None, estimator: Estimator
) -> Source:
    """Source of the inputs, or of rows of a given number that are not written yet.

    Raises
    ------
    ConfigurationError
        Both or neither are given, a number is out of range, or the inputs' metadata lacks the
        number of rows.
    """
    if inputs.paths and (rows, features) != (None, None):
        raise ConfigurationError(
            f"Both {inputs.paths[0]} and a number of rows or features were given.",
            "Give either inputs, which have both numbers in their metadata, or the two numbers.",
        )
    if inputs.paths:
        return _known(inputs.open().source(), inputs.paths[0])
    if rows is None or features is None:
        missing = "rows" if rows is None else "features"
        raise ConfigurationError(
            f"Neither inputs nor the number of {missing} were given.",
            "Give inputs, or the numbers of both rows and features.",
        )
    dtype = compute_dtype(estimator, np.dtype(np.float64))
    return imagined(_whole("rows", rows, MOST_ROWS), _whole("features", features), dtype)


def _known(source: Source, path: str) -> Source:
    if source.lengths is None:
        raise ConfigurationError(
            f"The number of rows of {path} is not in its metadata.",
            "Give the numbers of rows and features instead of inputs.",
        )
    return source


def _whole(name: str, number: float, most: float = math.inf) -> int:
    if not 1 <= number <= most or number % 1:
        least = "a whole number of at least 1"
        remedy = least if math.isinf(most) else f"{least} and at most {most:,}"
        raise ConfigurationError(f"{name} is {number:g}.", f"It must be {remedy}.")
    return int(number)
