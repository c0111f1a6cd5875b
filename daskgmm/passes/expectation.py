"""The pass of the EM loop: moments of mixtures over all rows.

`expect` is for rows that a survey has checked; `expect_checked` checks each value on the way.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any, TypeAlias
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from daskgmm.data.source import Block, Part, Source
from daskgmm.model.expectation import (
    Accumulator,
    Expectation,
    add_moments,
    take_in_moments,
)
from daskgmm.model.frame import scatter
from daskgmm.model.missing.patterns import Missing, complete, complete_rows
from daskgmm.model.moments import Moments
from daskgmm.model.nonfinite import Flaw
from daskgmm.model.packed import PackedMixture, packed_mixture, unpacked_mixture
from daskgmm.model.parallel import Turns
from daskgmm.model.typing import Doubles
from daskgmm.passes.engine.graph import run_pass
from daskgmm.passes.engine.grouping import group_by_cost
from daskgmm.passes.engine.keys import Phase
from daskgmm.passes.engine.leaves import Group
from daskgmm.passes.engine.work import OnStretch, PartRead, Work, each_part
from daskgmm.passes.nonfinite import FlawedPart

_Packed: TypeAlias = tuple[Expectation, list[PackedMixture]]

_accumulators: WeakKeyDictionary[Expectation, Turns[Accumulator]] = WeakKeyDictionary()


def accumulator(expectation: Expectation) -> AbstractContextManager[Accumulator]:
    """Lend an accumulator: tasks of one pass reuse its work arrays, which end with the pass."""
    own = _accumulators.setdefault(expectation, Turns())
    return own.one(partial(Accumulator, expectation))


def _add_parts(parts: Iterator[PartRead], expectation: Expectation) -> list[Moments]:
    """Moments of adjacent parts, which are taken from the work arrays once."""
    with accumulator(expectation) as accumulate:
        return accumulate((block.rows, block.weights) for _, _, blocks in parts for block in blocks)


class _Sent:
    """An expectation that is sent with half of each matrix, and unpacked once in a process.

    Whoever sends it chooses the kernels, whose moments it completes.

    Parameters
    ----------
    expectation : Expectation or None
        ``None`` where it is packed.
    packed : tuple, optional
        The expectation without mixtures, and these, packed.
    name : str, optional
        The same wherever it is sent.
    """

    def __init__(
        self,
        expectation: Expectation | None,
        packed: _Packed | None = None,
        name: str | None = None,
    ) -> None:
        self._expectation, self._packed = expectation, packed
        self._name = uuid4().hex if name is None else name
        self._unpacking = Lock()

    @property
    def expectation(self) -> Expectation:
        """The expectation; its mixtures are the same objects in all tasks of a process."""
        with self._unpacking:
            if self._expectation is None and self._packed is not None:
                rest, mixtures = self._packed
                own = tuple(map(unpacked_mixture, mixtures))
                self._expectation = replace(rest, mixtures=own)
        assert self._expectation is not None  # noqa: S101  it is one or the other
        return self._expectation

    def __reduce__(self) -> tuple[Any, ...]:
        if self._packed is None:
            rest = replace(self.expectation, mixtures=(), chosen=self.expectation.kinds)
            self._packed = rest, [packed_mixture(one) for one in self.expectation.mixtures]
        return _received, (self._name, self._packed)

    def __sizeof__(self) -> int:  # Dask reckons with it where it sends parameters
        mixtures = () if self._expectation is None else self._expectation.mixtures
        whole = sum(one.covariances.nbytes + one.factors.nbytes for one in mixtures)
        packed = [] if self._packed is None else self._packed[1]
        halves = sum(
            one[0].nbytes for _, covariances, factors in packed for one in (covariances, factors)
        )
        return object.__sizeof__(self) + whole + halves


_arrived: WeakValueDictionary[str, _Sent] = WeakValueDictionary()


def _received(name: str, packed: _Packed) -> _Sent:
    """Of all objects that tasks bring to a process by one name, the first."""
    return _arrived.setdefault(name, _Sent(None, packed, name))


def _begin(sent: _Sent) -> OnStretch:
    return partial(_add_parts, expectation=sent.expectation)


def expect(source: Source, groups: Sequence[Group], expectation: Expectation) -> list[Moments]:
    """Compute each mixture's moments over all rows of `source`, in one pass."""
    sent, size = _Sent(expectation), expectation.moments_bytes
    work = Work(_begin, add_moments, sent, size, take_in_moments)
    return expectation.complete(run_pass(source, groups, work, Phase.PASS))


@dataclass(frozen=True, eq=False)
class CheckedMoments:
    """Moments of rows that were checked for values that are not finite, but for missing ones.

    Parameters
    ----------
    lengths : tuple of int
        Rows of each part, in order; of a flawed part, those in the blocks before the flaw.
    flawed : FlawedPart or None
        The first part with a value that is not finite.
    moments : list of Moments
        Each mixture's, over the rows before the flaw.
    scatter : ndarray of shape (D, D) or (0, 0)
        Second moments of complete rows among the same about the frame's origin; empty unless
        needed.
    incomplete : int
        Rows with missing values.
    """

    lengths: tuple[int, ...]
    flawed: FlawedPart | None
    moments: list[Moments]
    scatter: Doubles
    incomplete: int

    def __add__(self, other: "CheckedMoments") -> "CheckedMoments":
        return CheckedMoments(
            self.lengths + other.lengths,
            self.flawed or other.flawed,
            add_moments(self.moments, other.moments),
            self.scatter + other.scatter,
            self.incomplete + other.incomplete,
        )


def _check_part(
    position: int, part: Part, blocks: Iterator[Block], expectation: Expectation
) -> CheckedMoments:
    length, incomplete, flawed = 0, 0, None
    allowed = expectation.missing is not Missing.ERROR
    side = len(expectation.frame.origin) if expectation.needs_scatter else 0
    second = np.zeros((side, side))
    with accumulator(expectation) as accumulate:
        moments = accumulate(())
        for block in blocks:
            flaw = Flaw.in_rows(block.rows, missing=allowed)
            if flaw is not None:
                flawed = FlawedPart.of(part, position, flaw.after(length))
                break
            moments = add_moments(moments, accumulate([(block.rows, block.weights)]))
            incomplete += int(np.count_nonzero(~complete_rows(block.rows)))
            if side:
                second += scatter(*complete(block.rows, block.weights), expectation.frame)
            length += block.rows.shape[1]
    return CheckedMoments((length,), flawed, moments, second, incomplete)


def _begin_checked(sent: _Sent) -> OnStretch:
    return each_part(partial(_check_part, expectation=sent.expectation), CheckedMoments.__add__)


def expect_checked(source: Source, expectation: Expectation, cost_a_row: float) -> CheckedMoments:
    """Compute each mixture's moments over all rows and check each value, in one pass.

    The moments that are returned are complete.

    Parameters
    ----------
    source : Source
    expectation : Expectation
    cost_a_row : float
        Seconds of arithmetic; decides how parts are grouped.

    Raises
    ------
    DataError
        A value is not finite.
    """
    sent = _Sent(expectation)
    work = Work(_begin_checked, CheckedMoments.__add__, sent, expectation.moments_bytes)
    checked: CheckedMoments = run_pass(source, group_by_cost(source, cost_a_row), work, Phase.PASS)
    if checked.flawed is not None:
        raise checked.flawed.error(source.columns, checked.lengths)
    whole = replace(expectation, scatter=checked.scatter).complete(checked.moments)
    return replace(checked, moments=whole)
