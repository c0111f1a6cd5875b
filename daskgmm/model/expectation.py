"""The E-step of several mixtures over a stream of blocks: the work of one pass."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.joining import Joining
from daskgmm.model.kernels.base import Kernel
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.kernels.features import kernel_in_numpy
from daskgmm.model.kernels.screened import ScreenedKernel
from daskgmm.model.kernels.whitened import compiled_kernel
from daskgmm.model.missing.accumulation import MissingSums
from daskgmm.model.missing.patterns import Missing, complete
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.precision import logits_dtype, working_dtype
from daskgmm.model.typing import Doubles, Floats


@dataclass(frozen=True, eq=False)
class Expectation:
    """The mixtures whose moments a pass computes, and how it computes them.

    Parameters
    ----------
    mixtures : tuple of Mixture
        In frame coordinates.
    frame : Frame
        From the rows' coordinates to the mixtures'.
    dtype : dtype
        What rows are computed in, float32 or float64, but for mixtures that only float64 serves:
        see `daskgmm.model.precision.working_dtype`.
    scatter : ndarray of shape (D, D) or None
        The total second moments of complete rows about the frame's origin, for tied covariances.
    origins : tuple of (ndarray of shape (K, D) or None), optional
        Where given, second moments are taken about these by a centred kernel, in float64.
    compiled : bool
        Whether there are so many rows that a compiled loop is worth loading.
    missing : Missing
        What rows with missing values (NaN) count as.
    chosen : tuple of type or None
        Kernel of each mixture, where another process has chosen it. What costs least differs
        between processors; and moments are about what their kernel takes them about, and lack what
        it leaves to the total scatter.
    """

    mixtures: tuple[Mixture, ...]
    frame: Frame
    dtype: np.dtype[np.floating]
    scatter: Doubles | None = None
    origins: tuple[Doubles | None, ...] | None = None
    compiled: bool = False
    missing: Missing = Missing.ERROR
    chosen: tuple[type[Kernel], ...] | None = None

    @cached_property
    def dtypes(self) -> tuple[np.dtype[np.floating], ...]:
        """Floating-point type that each mixture is computed in."""
        return tuple(
            (logits_dtype if self.compiled else working_dtype)(mixture, self.dtype)
            if self._origins(index) is None
            else np.dtype(np.float64)
            for index, mixture in enumerate(self.mixtures)
        )

    @cached_property
    def kinds(self) -> tuple[type[Kernel], ...]:
        """Kernel that computes each mixture."""
        return self.chosen or tuple(map(self._kernel, range(len(self.mixtures))))

    def kernels(self) -> list[tuple[list[int], Kernel]]:
        """New kernels, each with the positions of the mixtures that it computes."""
        groups: dict[tuple[str, type[Kernel], np.dtype[np.floating], bool], list[int]] = {}
        for index, mixture in enumerate(self.mixtures):
            moved = self._origins(index) is not None
            key = mixture.covariance.name, self.kinds[index], self.dtypes[index], moved
            groups.setdefault(key, []).append(index)
        return [
            (indices, self._new(kernel, dtype, indices))
            for (_, kernel, dtype, _), indices in groups.items()
        ]

    def _new(
        self, kernel: type[Kernel], dtype: np.dtype[np.floating], indices: Sequence[int]
    ) -> Kernel:
        given = [self._origins(index) for index in indices]
        origins = [points for points in given if points is not None] or None
        return kernel([self.mixtures[index] for index in indices], self.frame, dtype, origins)

    def of_features(self, features: NDArray[np.int64]) -> "Expectation":
        """The expectation under marginal mixtures of some features, for rows without the others."""
        origins = self.origins
        if origins is not None:
            origins = tuple(None if one is None else one[:, features] for one in origins)
        return replace(
            self,
            mixtures=tuple(mixture.of_features(features) for mixture in self.mixtures),
            frame=self.frame.of_features(features),
            scatter=None,
            origins=origins,
            missing=Missing.ERROR,
            chosen=None,
        )

    @property
    def moments_bytes(self) -> int:
        """Bytes of the moments of all mixtures."""
        length = sum(
            mixture.n_components * mixture.covariance.feature_length(mixture.n_features)
            for mixture in self.mixtures
        )
        return length * np.dtype(np.float64).itemsize

    @property
    def needs_scatter(self) -> bool:
        """Whether any kernel needs the rows' total scatter to complete its moments."""
        return any(
            mixture.covariance.needs_scatter and not self._is_whole(index)
            for index, mixture in enumerate(self.mixtures)
        )

    def complete(self, moments: Sequence[Moments], scatter: Doubles | None = None) -> list[Moments]:
        """Moments over all rows, with what the feature form leaves to the total scatter.

        That is the expectation's own unless another is given.
        """
        total = self.scatter if scatter is None else scatter
        return [
            found if self._is_whole(index) else found.complete(mixture, total)
            for index, (mixture, found) in enumerate(zip(self.mixtures, moments, strict=True))
        ]

    def _kernel(self, index: int) -> type[Kernel]:
        mixture, dtype = self.mixtures[index], self.dtypes[index]
        if self._origins(index) is not None:
            return ScreenedKernel if self.compiled else CentredKernel
        return compiled_kernel(mixture, dtype) if self.compiled else kernel_in_numpy(mixture, dtype)

    def _is_whole(self, index: int) -> bool:
        """Whether the kernel leaves nothing to the total scatter."""
        return self.kinds[index] in (CentredKernel, ScreenedKernel)

    def _origins(self, index: int) -> Doubles | None:
        return None if self.origins is None else self.origins[index]


class Accumulator:
    """Adds blocks of rows to moments; holds the work arrays that blocks share.

    Parameters
    ----------
    expectation : Expectation
    """

    def __init__(self, expectation: Expectation) -> None:
        self.kernels = expectation.kernels()
        self.n_mixtures = len(expectation.mixtures)
        self.missing = expectation.missing
        self.join = Joining(max(kernel.joined for _, kernel in self.kernels))
        self.gaps: MissingSums | None = None
        if self.missing is Missing.MARGINALIZE:
            self.gaps = self._for_gaps(expectation)

    def _for_gaps(self, expectation: Expectation) -> MissingSums:
        about: dict[int, Doubles] = {}
        for indices, kernel in self.kernels:
            about.update(zip(indices, kernel.origins, strict=True))
        return MissingSums(
            expectation.mixtures,
            expectation.frame,
            expectation.origins or (None,) * self.n_mixtures,
            [about[index] for index in range(self.n_mixtures)],
            expectation.of_features,
        )

    def __call__(self, blocks: Iterable[tuple[Floats, Floats | None]]) -> list[Moments]:
        """Moments of each mixture over these blocks, still to be added up and completed.

        Parameters
        ----------
        blocks : iterable of (rows, weights)
            Rows of shape (D, n) in data coordinates; weights of shape (n,) or None.
        """
        for block in self.join(blocks):
            for rows, weights in self._complete(*block):
                for _, kernel in self.kernels:
                    kernel.add(rows, weights)
        found: dict[int, Moments] = {}
        for indices, kernel in self.kernels:
            found.update(zip(indices, kernel.take(), strict=True))
        moments = [found[index] for index in range(self.n_mixtures)]
        others = None if self.gaps is None else self.gaps.take()
        return moments if others is None else add_moments(moments, others)

    def _complete(
        self, rows: Floats, weights: Floats | None
    ) -> Iterable[tuple[Floats, Floats | None]]:
        """The rows (D, n) without a missing value, and their weights; others are seen to here."""
        if self.gaps is not None:
            return self.gaps.add(rows, weights)
        return [complete(rows, weights) if self.missing is Missing.DROP else (rows, weights)]

    def share(self, n_rows: int) -> float:
        """Share of all pairs' multiplications that the last sums took, of so many rows."""
        total = sum(kernel.n_components for _, kernel in self.kernels)
        shares = (kernel.share(n_rows) * kernel.n_components for _, kernel in self.kernels)
        return float(math.fsum(shares) / total)


def add_moments(left: Sequence[Moments], right: Sequence[Moments]) -> list[Moments]:
    """Sum of two lists of moments of the same mixtures."""
    return [one + other for one, other in zip(left, right, strict=True)]


def take_in_moments(left: Sequence[Moments], right: Sequence[Moments]) -> list[Moments]:
    """Likewise, in the arrays of the first list, which nobody else holds."""
    return [one.take_in(other) for one, other in zip(left, right, strict=True)]
