"""Sums over rows with missing values, for all mixtures of a pass."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame, scatter
from daskgmm.model.kernels.base import Kernel
from daskgmm.model.missing.completion import Completion
from daskgmm.model.missing.patterns import Gathering, PatternGroup, by_pattern
from daskgmm.model.missing.regression import add_second
from daskgmm.model.missing.rows import RowByRow
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles, Floats

FEWEST_ROWS, FEWEST_ROWS_ALONG_AXES = 96, 256
"""Rows of a block with which a pattern has kernels of its own. With fewer, rows are completed one
by one, which costs less where features are independent in each component."""

KEPT_BYTES = 2**27
"""Bytes of the patterns whose kernels are kept, at the most, but for the work arrays."""

FEWEST_KEPT, MOST_KEPT = 2, 256
"""Patterns whose kernels are kept, whatever their size."""

SIZES_KEPT = 4
"""Numbers of known features for which work arrays are kept."""

GATHERED_VALUES = 2**19
"""Numbers that are gathered at a time, so few that they are still in the cache when computed."""

FEW_PATTERNS = 3
"""Patterns of a block up to which that is done: each pattern reads all of the block once."""

Kernels: TypeAlias = list[tuple[list[int], Kernel]]
"""Kernels, each with the positions of the mixtures that it computes."""


class Marginals(Protocol):
    """The marginal mixtures of some features: a `daskgmm.model.expectation.Expectation`."""

    @property
    def frame(self) -> Frame:
        """Frame of those features."""

    @property
    def needs_scatter(self) -> bool:
        """Whether a kernel needs the rows' total scatter to complete its moments."""

    def kernels(self) -> Kernels:
        """New kernels."""

    def complete(self, moments: Sequence[Moments], scatter: Doubles | None) -> list[Moments]:
        """Moments with what the feature form leaves to the total scatter."""


@final
class Pattern:
    """Sums over the rows of one pattern.

    Parameters
    ----------
    mixtures : sequence of Mixture
        Of all features.
    missing : ndarray of bool of shape (D,)
    marginals : Marginals
        Of the features that are known.
    """

    def __init__(
        self, mixtures: Sequence[Mixture], missing: NDArray[np.bool_], marginals: Marginals
    ) -> None:
        self.known, self.marginals = np.flatnonzero(~missing), marginals
        self.kernels = marginals.kernels()
        self.completions = [
            Completion(mixture, self.known, np.flatnonzero(missing)) for mixture in mixtures
        ]
        self._clear()

    def _clear(self) -> None:
        side = len(self.known) if self.marginals.needs_scatter else 0
        self.scatter = np.zeros((side, side))

    def add(self, rows: Floats, weights: Doubles | None) -> None:
        """Add rows (O, n) of the known features, with positive weights."""
        for _, kernel in self.kernels:
            kernel.add(rows, weights)
        if self.scatter.size:
            self.scatter += scatter(rows, weights, self.marginals.frame)

    def take(self) -> list[Moments]:
        """Moments of all features since the last call; then start again from zero."""
        found: dict[int, Moments] = {}
        for indices, kernel in self.kernels:
            found.update(zip(indices, kernel.take(), strict=True))
        marginal = [found[index] for index in range(len(found))]
        whole = self.marginals.complete(marginal, self.scatter)
        self._clear()
        return [complete(own) for complete, own in zip(self.completions, whole, strict=True)]


def most_kept(mixtures: Sequence[Mixture]) -> int:
    """Number of patterns whose kernels are kept at a time, from the mixtures' sizes alone."""
    values = sum(3 * one.n_components * one.n_features**2 for one in mixtures)
    return int(np.clip(KEPT_BYTES // (8 * values), FEWEST_KEPT, MOST_KEPT))


@final
class MissingSums:
    """Adds rows with missing values to moments of all features.

    A pattern's sums are kept until the end, or until there are too many patterns; that depends on
    the rows since the last `take` alone.

    Parameters
    ----------
    mixtures : sequence of Mixture
        In frame coordinates.
    frame : Frame
    origins : sequence of (ndarray of shape (K, D) or None)
        What second moments are taken about, where that is not the means.
    about : sequence of ndarray of shape (K, D)
        Origins of the moments that are returned.
    marginals_of : callable
        Makes the marginal mixtures of some features.
    """

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        origins: Sequence[Doubles | None],
        about: Sequence[Doubles],
        marginals_of: Callable[[NDArray[np.int64]], Marginals],
    ) -> None:
        self.mixtures, self.about, self.marginals_of = mixtures, about, marginals_of
        matrices = any(mixture.covariance.has_matrices for mixture in mixtures)
        self.fewest_rows = FEWEST_ROWS if matrices else FEWEST_ROWS_ALONG_AXES
        self.row_by_row = [
            RowByRow(mixture, frame, points)
            for mixture, points in zip(mixtures, origins, strict=True)
        ]
        self.most_kept = most_kept(mixtures)
        self.kept: OrderedDict[bytes, Pattern] = OrderedDict()
        self.works: OrderedDict[int, Kernels] = OrderedDict()
        self.gather = Gathering()
        self._clear()

    def _clear(self) -> None:
        self.live: dict[bytes, Pattern] = {}
        self.found: list[Moments] | None = None
        self.weight_of_unknown, self.rows = 0.0, 0

    def add(self, rows: Floats, weights: Floats | None) -> Iterator[tuple[Floats, Floats | None]]:
        """Add the rows (D, n) that lack values, and yield the complete ones and their weights.

        Those of weight zero, of which values may be anything, are only counted. What is yielded
        holds until the next.
        """
        found = by_pattern(rows)
        if not found.groups:
            yield rows, weights
            return
        if weights is not None and not weights.all():
            self.rows += int((weights <= 0).sum())
            rows, weights = rows[:, weights > 0], weights[weights > 0]
            found = by_pattern(rows)
        few = len(found.groups) <= FEW_PATTERNS
        size = max(GATHERED_VALUES // len(rows), 1) if few else len(found.order)
        for part in found.stretches(size):
            own = None if weights is None else weights[part.order].astype(np.float64)
            if (group := part.alone) is not None and self._has_kernels(group):
                pattern = self._pattern_of(group)
                pattern.add(self.gather(rows, part.order, pattern.known), own)
                continue
            gathered, n = self.gather(rows, part.order), part.n_complete
            if n:
                yield gathered[:, :n], None if own is None else own[:n]
            self._add_incomplete(gathered, own, part.groups)

    def take(self) -> list[Moments] | None:
        """The moments since the last call, or None if no row lacked a value; then start again."""
        self._complete_live()
        if self.row_by_row[0].rows:
            self._add([one.take() for one in self.row_by_row])
        weight = self.weight_of_unknown
        if weight or (self.rows and self.found is None):  # those of no weight are only counted
            self._add([_of_unknown(mixture, weight) for mixture in self.mixtures])
        found, rows = self.found, self.rows
        self._clear()
        return found and [replace(one, rows=one.rows + rows) for one in found]

    def _add_incomplete(
        self, rows: Floats, weights: Doubles | None, groups: Sequence[PatternGroup]
    ) -> None:
        few = []
        for group in groups:
            if group.missing.all():
                self._add_unknown(group, weights)
            elif self._has_kernels(group):
                pattern = self._pattern_of(group)
                own = None if weights is None else weights[group.window]
                pattern.add(rows[pattern.known, group.window], own)
            else:
                few.append(group)
        if few:
            for one in self.row_by_row:
                one.add(rows, weights, few)

    def _add_unknown(self, group: PatternGroup, weights: Doubles | None) -> None:
        n_rows = group.stop - group.start
        self.rows += n_rows
        self.weight_of_unknown += n_rows if weights is None else float(weights[group.window].sum())

    def _has_kernels(self, group: PatternGroup) -> bool:
        """Whether rows are so many that their pattern has kernels of its own."""
        return group.stop - group.start >= self.fewest_rows and not group.missing.all()

    def _pattern_of(self, group: PatternGroup) -> Pattern:
        key = group.missing.tobytes()
        if key not in self.live:
            if len(self.live) == self.most_kept:
                self._complete_live()
            self.live[key] = self._pattern(key, group)
        return self.live[key]

    def _pattern(self, key: bytes, group: PatternGroup) -> Pattern:
        """The pattern as it was kept, or a new one in place of that used longest ago."""
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        if len(self.kept) == self.most_kept:
            idle = next(other for other in self.kept if other not in self.live)
            del self.kept[idle]
        known = np.flatnonzero(~group.missing)
        pattern = Pattern(self.mixtures, group.missing, self.marginals_of(known))
        self._share_work(pattern)
        self.kept[key] = pattern
        return pattern

    def _share_work(self, pattern: Pattern) -> None:
        """Give its kernels the work arrays of those of as many features."""
        size = len(pattern.known)
        for (_, kernel), (_, other) in zip(pattern.kernels, self.works.get(size, ()), strict=False):
            kernel.share_work(other)
        self.works.setdefault(size, pattern.kernels)
        self.works.move_to_end(size)
        if len(self.works) > SIZES_KEPT:
            self.works.popitem(last=False)

    def _complete_live(self) -> None:
        for pattern in self.live.values():
            self._add(pattern.take())
        self.live = {}

    def _add(self, moments: Sequence[Moments]) -> None:
        found = [
            one if np.array_equal(one.origins, points) else one.about(points, mixture.covariance)
            for one, points, mixture in zip(moments, self.about, self.mixtures, strict=True)
        ]
        if self.found is not None:
            found = [one + other for one, other in zip(self.found, found, strict=True)]
        self.found = found


def _of_unknown(mixture: Mixture, weight: float) -> Moments:
    """Moments of rows without any known value, of this weight; their number is not counted."""
    shares, log_likelihood = mixture.weights, 0.0
    if mixture.log_weights is not None:
        odds = np.exp(mixture.log_weights)
        shares, log_likelihood = odds / odds.sum(), weight * float(np.log(odds.sum()))
    covariance, n_features = mixture.covariance, mixture.n_features
    counts = weight * shares
    sums = np.zeros((covariance.feature_length(n_features), mixture.n_components))
    sums[-1] = counts
    side = n_features if covariance.needs_scatter else 0
    shared = np.zeros((side, side))
    if covariance.has_matrices:
        second = covariance.as_matrices(mixture.covariances, mixture.shape)
        second = counts[:, np.newaxis, np.newaxis] * second
    else:
        second = counts[:, np.newaxis] * mixture.deviations**2
    add_second(mixture, second, sums, shared)
    return Moments(mixture.means, sums, shared, log_likelihood, weight, 0)
