"""The first part with a value that is not finite, and the error for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from daskgmm.data.source import Part, TextPart, labels_of, text_at
from daskgmm.errors import DataError
from daskgmm.model.nonfinite import Flaw


@dataclass(frozen=True)
class FlawedPart:
    """The first part with a value that is not finite.

    Parameters
    ----------
    label : str
        The part's name in errors.
    position : int
        The part's number.
    flaw : Flaw
        Row and feature of the value.
    text : TextPart or None
        The part itself, where it is of text: the line is looked up when the error is raised.
    """

    label: str
    position: int
    flaw: Flaw
    text: TextPart | None

    @classmethod
    def of(cls, part: Part, position: int, flaw: Flaw) -> Self:
        """The flaw of a part, without the part itself where that may hold rows."""
        return cls(part.label, position, flaw, part if isinstance(part, TextPart) else None)

    @classmethod
    def among(cls, part: Part, position: int, flaw: Flaw, lengths: Sequence[int]) -> Self:
        """The flaw of one of the parts that a part joins, which have these lengths."""
        if len(lengths) == 1:
            return cls.of(part, position, flaw)
        ends = np.cumsum(lengths)
        index = int(np.searchsorted(ends, flaw.row, side="right"))
        within = flaw.after(lengths[index] - int(ends[index]))
        return cls(labels_of(part)[index], position + index, within, None)

    def error(self, columns: tuple[str, ...] | None, lengths: Sequence[int]) -> DataError:
        """The error for the value that is not finite; `lengths` are those of the parts."""
        written = None
        if self.text is not None:
            written = text_at(self.text, self.flaw.row, self.flaw.feature)
        return self.flaw.error(self.label, columns, sum(lengths[: self.position]), written)
