"""Rows of which only the number is known: for plans of what nobody has written yet."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgmm.data.decode import block_rows_for
from daskgmm.data.source import Block, Source

PART_ROWS = 2**20
"""Of a row group, as Arrow writes them unless it is told otherwise."""


@dataclass(frozen=True)
class ImaginedPart:
    """Some rows that can't be read."""

    inputs: Sequence[Hashable] = ()
    label: str = "imagined rows"

    def read(self, *inputs: Any) -> Iterator[Block]:  # noqa: ARG002  the protocol's signature
        """Nothing."""
        return iter(())


def imagined(rows: int, n_features: int, dtype: np.dtype[Any]) -> Source:
    """Rows as they would come from Parquet that Arrow wrote."""
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
