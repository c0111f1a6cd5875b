"""What the first pass finds: row counts, values that are not finite, statistics, and a sample."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.source import Block, Part
from daskgmm.model.missing.patterns import Missing, complete, complete_rows
from daskgmm.model.nonfinite import Flaw
from daskgmm.model.typing import Doubles, Floats
from daskgmm.passes.bounding_box import BoundingBox
from daskgmm.passes.missing_values import MissingValues, quantiles
from daskgmm.passes.nonfinite import FlawedPart
from daskgmm.passes.row_sample import Sample, priorities
from daskgmm.passes.statistics import Statistics

_MEDIAN_ROWS, _FEWEST_MEDIAN_ROWS = 255, 16
"""Sampled rows that a feature's median and quartiles are taken of: no more than the first, and no
fewer than the second unless there are no more rows."""

_FAR = 256
"""Interquartile ranges between median and mean above which statistics are taken about the median.
"""

_SLAB_VALUES = 2**19
"""Most values of rows that are worked through at a time, so that temporary arrays stay small."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Survey:
    """The result of the first pass.

    Parameters
    ----------
    lengths : tuple of int
        Rows of each part, in order.
    statistics : Statistics or None
        Of the values that are known; ``None`` if there are no rows.
    flawed : FlawedPart or None
        The first part with a value that is not finite.
    sample : Sample or None
        A uniform sample of the rows, in their order; ``None`` in the survey that is returned, as
        the sample stays on the cluster.
    gaps : MissingValues or None
        Rows with missing values, if there are any and the request allows them.
    ranges : BoundingBox or None
        Of the features, where they were asked for.
    """

    lengths: tuple[int, ...]
    statistics: Statistics | None
    flawed: FlawedPart | None
    sample: Sample | None
    gaps: MissingValues | None = None
    ranges: BoundingBox | None = None

    @property
    def rows(self) -> int:
        """Number of rows in all parts, without those that count as absent."""
        return sum(self.lengths) - self.dropped

    @property
    def incomplete(self) -> int:
        """Number of rows with missing values."""
        return 0 if self.gaps is None else self.gaps.rows

    @property
    def dropped(self) -> int:
        """Number of rows that count as absent."""
        return 0 if self.gaps is None or not self.gaps.dropped else self.gaps.rows

    @property
    def of_complete_rows(self) -> Statistics | None:
        """Statistics of the rows that lack no value, if there are any."""
        return self.statistics if self.gaps is None or self.gaps.dropped else self.gaps.complete


@dataclass(frozen=True)
class Request:
    """The options of a survey.

    Parameters
    ----------
    seed : int
        Seed of the sample.
    capacity : int
        Number of rows to sample.
    scatter : bool
        Whether to sum the features' full second moments, or their diagonal only.
    dtype : dtype
        Type of the sampled rows.
    expected : int or None
        Number of rows, if the source knows it: tasks then keep fewer candidates.
    missing : Missing
        What rows with missing values count as.
    ranges : bool
        Whether to find the features' least and largest values.
    """

    seed: int
    capacity: int
    scatter: bool
    dtype: np.dtype[np.floating[Any]]
    expected: int | None
    missing: Missing = Missing.ERROR
    ranges: bool = False

    @property
    def highest_priority(self) -> float:
        """Priority above which a row is not in the sample, except with odds of about 1e-9."""
        if self.expected is None or self.missing is Missing.DROP:
            return 1.0
        return (self.capacity + 7 * math.sqrt(self.capacity) + 25) / max(self.expected, 1)


def whole(found: Survey) -> Survey:
    """The survey with statistics of all rows, where the sums are those of complete ones."""
    if found.gaps is None or found.gaps.dropped:
        return replace(found, statistics=_about_median(found))
    own = found.statistics
    joined = replace(found, statistics=found.gaps.joined(own))
    gaps = replace(found.gaps, complete=own)
    return replace(joined, statistics=_about_median(joined), gaps=gaps)


def _about_median(found: Survey) -> Statistics | None:
    """The statistics, about the median of features whose mean a few outliers move far away.

    Most rows, measured from such a mean, would lose the digits in which they differ.
    """
    known = found.statistics
    if known is None or found.sample is None or not np.isfinite(known.weight):
        return known
    few = found.sample.smallest(_MEDIAN_ROWS).ordered()
    if len(few.rows) < min(_FEWEST_MEDIAN_ROWS, found.rows):
        return known
    with np.errstate(all="ignore"):  # values that are not finite are reported elsewhere
        low, median, high = quantiles(few, (0.25, 0.5, 0.75))
        away = np.abs(known.origin - median) > _FAR * (high - low)
        return known.about(np.where(away, median, known.origin)) if away.any() else known


def survey_part(
    position: int,
    part: Part,
    blocks: Iterator[Block],
    request: Request,
    first_rows: NDArray[np.int64] | None,
    first_parts: NDArray[np.int64],
) -> Survey:
    """Survey one part.

    Parameters
    ----------
    position : int
    part : Part
    blocks : iterator of Block
    request : Request
    first_rows : ndarray of int or None
        Number of rows before each part, if the source knows its lengths.
    first_parts : ndarray of int
        Number of parts before each part, where those that are joined count one by one.
    """
    n_parts = int(first_parts[position + 1] - first_parts[position])
    found, flaw, lengths = Survey((), None, None, None), None, (0,) * n_parts
    first_row = None if first_rows is None else int(first_rows[position])
    stream = priorities(request.seed, position, first_row)
    start = 0
    with np.errstate(all="ignore"):  # the lines below look for values that are not finite
        for block in blocks:
            lengths = block.lengths or (lengths[0] + block.rows.shape[1],)
            for rows, weights in _slabs(block):
                statistics = _statistics(rows, weights, request)
                drawn = _draw(rows, weights, stream, (position, start), request)
                gaps = MissingValues.of(rows, weights, request.missing)
                ranges = _ranges(rows, weights, request)
                found = add(found, Survey((), statistics, None, drawn, gaps, ranges), request)
                flaw = flaw or _flaw(rows, start, request)
                start += rows.shape[1]
    flawed = None
    if flaw is not None:
        flawed = FlawedPart.among(part, int(first_parts[position]), flaw, lengths)
    return replace(found, lengths=lengths, flawed=flawed)


def _slabs(block: Block) -> Iterator[tuple[Floats, Doubles | None]]:
    size = max(_SLAB_VALUES // max(block.rows.shape[0], 1), 1)
    for start in range(0, block.rows.shape[1], size):
        window = slice(start, start + size)
        weights = None if block.weights is None else block.weights[window].astype(np.float64)
        yield block.rows[:, window], weights


def _statistics(rows: Floats, weights: Floats | None, request: Request) -> Statistics | None:
    if weights is not None:  # a row of weight zero may hold any number
        rows, weights = rows[:, weights > 0], weights[weights > 0]
    if request.missing is not Missing.ERROR:
        rows, weights = complete(rows, weights)
    if rows.shape[1] == 0:
        return None
    return Statistics.of(rows, weights, scatter=request.scatter)


def _ranges(rows: Floats, weights: Floats | None, request: Request) -> BoundingBox | None:
    if not request.ranges:
        return None
    if request.missing is Missing.DROP:
        rows, weights = complete(rows, weights)
    return BoundingBox.of(rows, weights)


def _flaw(rows: Floats, start: int, request: Request) -> Flaw | None:
    flaw = Flaw.in_rows(rows, missing=request.missing is not Missing.ERROR)
    return None if flaw is None else flaw.after(start)


def _draw(
    rows: Floats,
    weights: Doubles | None,
    stream: np.random.Generator,
    start: tuple[int, int],
    request: Request,
) -> Sample:
    drawn: Doubles = stream.random((rows.shape[1],))
    if weights is None:
        chosen = np.flatnonzero(drawn < request.highest_priority)
    else:  # the number of rows that count is not known
        chosen = np.flatnonzero(weights > 0)
    if request.missing is Missing.DROP:
        chosen = chosen[complete_rows(rows[:, chosen])]
    positions = np.column_stack([np.full(len(chosen), start[0]), start[1] + chosen])
    picked = np.ascontiguousarray(rows[:, chosen].T, dtype=request.dtype)
    own = None if weights is None else weights[chosen]
    return Sample(drawn[chosen], positions, picked, own).smallest(request.capacity)


def add(left: Survey, right: Survey, request: Request) -> Survey:
    """The survey of two stretches of rows, in this order."""
    statistics = _either(left.statistics, right.statistics, Statistics.__add__)
    sample = _either(left.sample, right.sample, partial(Sample.merge, capacity=request.capacity))
    gaps = _either(left.gaps, right.gaps, MissingValues.__add__)
    lengths, flawed = left.lengths + right.lengths, left.flawed or right.flawed
    ranges = _either(left.ranges, right.ranges, BoundingBox.__add__)
    return Survey(lengths, statistics, flawed, sample, gaps, ranges)


def _either(left: T | None, right: T | None, both: Callable[[T, T], T]) -> T | None:
    if left is None or right is None:
        return left if right is None else right
    return both(left, right)
