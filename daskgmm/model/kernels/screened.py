"""Only the pairs (row, component) that count, each centred and whitened, in one compiled loop."""

from collections.abc import Sequence
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model import screening
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.arguments import (
    FeatureWork,
    NeighbourLists,
    Strategy,
    no_form,
    no_neighbours,
)
from daskgmm.model.kernels.base import Kernel
from daskgmm.model.kernels.compiled import CompiledKernel, LoopKernel, together
from daskgmm.model.kernels.models import model_of, neighbours_of
from daskgmm.model.kernels.neighbours import Neighbours
from daskgmm.model.kernels.strategy import strategy_of
from daskgmm.model.kernels.tiles import MOST_ROWS, works_for
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.responsibilities import LEAST
from daskgmm.model.typing import Doubles, Floats

_GAP_OF_DENSITIES = {np.dtype(np.float32): 105.0, np.dtype(np.float64): 750.0}
"""Below these, the exponential of a difference of logits is zero in the type itself."""


@final
class ScreenedKernel(LoopKernel):
    """Computes each mixture by the pairs that count, about the means or other origins.

    Where so many count that all pairs cost less, tiles go that way: by the feature form where it
    is exact enough.

    Parameters
    ----------
    mixtures, frame, dtype, origins
        See `Kernel`.
    strategy : Strategy or None
        How tiles are computed, if not as costs least.
    """

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        dtype: np.dtype[np.floating],
        origins: Sequence[Doubles] | None = None,
        strategy: Strategy | None = None,
    ) -> None:
        super().__init__(mixtures, frame, dtype, origins)
        self.models = [
            model_of(mixture, self.dtype)._replace(origins=np.array(points, self.dtype, order="C"))
            for mixture, points in zip(mixtures, self.origins, strict=True)
        ]
        # Sums moved from another point come with fewer digits; and without quadratic features the
        # feature form leaves out what the other strategies do not.
        features = origins is None and not self.covariance.needs_scatter
        self.strategies = [
            strategy or strategy_of(mixture, self.dtype, feature_form=features)
            for mixture in mixtures
        ]
        if not features:
            self.strategies = [own._replace(by_features=False) for own in self.strategies]
        self.by_features: list[CompiledKernel | None] = []
        self._share_work_arrays()
        self.slab = MOST_ROWS
        self.neighbours = [
            neighbours_of(mixture, self.dtype) if own.screened else None
            for mixture, own in zip(mixtures, self.strategies, strict=True)
        ]
        wanted = [
            len(work.ordered) if own is None else own.stretch
            for work, own in zip(self.works, self.neighbours, strict=True)
        ]
        self.joined = max(wanted) if max(wanted) > MOST_ROWS else 0
        self.counted = self.last_counted = np.zeros(7, np.int64)

    def _share_work_arrays(self) -> None:
        """Give mixtures the same ones: they are computed one after another."""
        self.works = works_for(self.models, self.dtype)
        features: dict[int, FeatureWork] = {}
        for mixture, own in zip(self.mixtures, self.strategies, strict=True):
            kernel = CompiledKernel([mixture], self.frame, self.dtype) if own.by_features else None
            if kernel is not None:
                kernel.work = features.setdefault(mixture.n_components, kernel.work)
            self.by_features.append(kernel)

    def share_work(self, other: Kernel) -> None:
        if isinstance(other, ScreenedKernel):
            self.works = other.works
            for own, theirs in zip(self.by_features, other.by_features, strict=True):
                if own is not None and theirs is not None:
                    own.share_work(theirs)

    @cached_property
    def second(self) -> list[Doubles]:
        """Second moments of each mixture, one sum where its components share a covariance."""
        height = self.n_features if self.covariance.has_matrices else 1
        shared = self.covariance.needs_scatter
        counts = [1 if shared else mixture.n_components for mixture in self.mixtures]
        return [np.zeros((count, height, self.n_features)) for count in counts]

    @cached_property
    def first(self) -> list[Doubles]:
        """Sums of the rows of each mixture's components, and of their responsibilities."""
        counts = [mixture.n_components for mixture in self.mixtures]
        return [np.zeros((count, self.n_features + 1)) for count in counts]

    def _clear(self) -> None:
        super()._clear()
        self.coarse[:] = 0

    def _no_sums(self) -> Doubles:
        return np.empty((0, 0))  # those of all features are made when they are taken

    def _write_logits(self, rows: Floats, out: Floats) -> None:
        from daskgmm.model.kernels.loops.densities import density_loop

        form, work = no_form(self.dtype)
        for i, segment in enumerate(self.segments):
            model = self.models[i]
            every = model._replace(gaps=np.full_like(model.gaps, _GAP_OF_DENSITIES[self.dtype]))
            density_loop(rows.dtype, self.dtype)(
                rows, self.frame.origin, 1 / self.frame.scale, tuple(every),
                tuple(self.strategies[i]._replace(by_features=False)), tuple(self.works[i]),
                tuple(form), tuple(work), out[segment],
            )  # fmt: skip

    def _add_rows(self, rows: Floats, weights: Doubles | None) -> None:
        for i, neighbours in enumerate(self.neighbours):
            if neighbours is None:
                self._add_to(i, rows, weights)
                continue
            for start in range(0, rows.shape[1], neighbours.stretch):
                window = slice(start, start + neighbours.stretch)
                own = None if weights is None else weights[window]
                self._add_about(i, neighbours, rows[:, window], own)

    def _add_about(
        self, i: int, neighbours: Neighbours, rows: Floats, weights: Doubles | None
    ) -> None:
        """Add rows that are usual for a component beside its neighbours, and then the others."""
        from daskgmm.model.kernels.loops.neighbours import usual_loop

        order, nearest, usual = neighbours.sort(rows, self.frame)
        rows, weights = rows[:, order], None if weights is None else weights[order]
        usual_loop(rows.dtype, self.dtype)(
            rows, self.frame.origin, 1 / self.frame.scale, tuple(self.models[i]),
            tuple(neighbours.near), nearest, tuple(self.works[i]), usual,
        )  # fmt: skip
        for chosen, near in (usual, neighbours.near), (~usual, None):
            own = None if weights is None else weights[chosen]
            self._add_to(i, rows[:, chosen], own, near, nearest[chosen])

    def _add_to(
        self,
        i: int,
        rows: Floats,
        weights: Doubles | None,
        near: NeighbourLists | None = None,
        nearest: NDArray[np.int64] | None = None,
    ) -> None:
        """Add rows to the sums of a mixture."""
        from daskgmm.model.kernels.loops.moments import loop

        features = self.by_features[i]
        form, work, sums = (
            (*no_form(self.dtype), np.empty((0, 0)))
            if features is None
            else (features.form, features.work, features.sums)
        )
        loop(rows.dtype, self.dtype)(
            rows,
            together(rows),
            self.frame.origin,
            1 / self.frame.scale,
            tuple(self.models[i]),
            tuple(self.strategies[i]),
            np.empty(0) if weights is None else weights,
            tuple(near or no_neighbours()),
            nearest if near else np.empty(0, np.int64),
            LEAST[self.dtype],
            tuple(self.works[i]),
            self.second[i],
            self.first[i],
            self.log_likelihoods[i : i + 1],
            self.coarse[self.segments[i]],
            self.counted,
            tuple(form),
            tuple(work),
            sums,
        )

    def share(self, n_rows: int) -> float:
        pairs, by_features, whole, bounds, products, logits, listed = self.last_counted
        if self.covariance.has_matrices:
            a_pair = float(self.n_features * (self.n_features + 1))
            a_bound = screening.MOST_DIRECTIONS * self.n_features
        else:
            a_pair, a_bound = 4.0 * self.n_features, screening.MOST_DIRECTIONS + 1
        together = self.n_components / len(self.mixtures)
        all_pairs = 2 * self.length
        done = pairs * a_pair + bounds * a_bound + products * self.length
        done += together * (by_features * all_pairs + whole * a_pair)
        done += (together * logits + listed) * a_pair / 2  # a logit takes as many as its sums
        return float(done / (n_rows * self.n_components * all_pairs))

    def take(self) -> list[Moments]:
        self.sums = np.empty((self.length, self.n_components), order="F")
        for i, segment in enumerate(self.segments):
            own, features = self.sums[:, segment], self.by_features[i]
            self._place(self.second[i], self.first[i], own, self.shared[i])
            self.second[i].fill(0)  # in place: new memory would cost as much as the sums
            self.first[i].fill(0)
            if features is not None and features.sums[-1].any():
                (found,) = features.take()
                self.coarse[segment] = np.maximum(self.coarse[segment], features.coarse)
                own += found.about(self.origins[i], self.covariance).sums
        self.last_counted, self.counted = self.counted, np.zeros(7, np.int64)
        return super().take()

    def _place(self, second: Doubles, first: Doubles, sums: Doubles, shared: Doubles) -> None:
        """Write one mixture's sums over feature vectors (F, K), and add those that are shared.

        To read the zeros that are there would cost as much as to write.
        """
        sums[self.n_quadratic :] = first.T
        if self.n_quadratic and self.covariance.has_matrices:  # in the upper triangle's order
            by_component, start = sums.T, 0
            for i in range(self.n_features):
                stop = start + self.n_features - i
                by_component[:, start:stop] = second[:, i, i:]
                start = stop
        elif self.n_quadratic:
            _, i, _ = self.covariance.monomials(self.n_features).T
            products = self.covariance.features_of(second[:, 0, i], self.n_features)
            sums[: self.n_quadratic] = products.T
        if shared.size:
            above = np.triu(second[0]) if self.covariance.has_matrices else np.diag(second[0, 0])
            shared += above + np.triu(above, 1).T
