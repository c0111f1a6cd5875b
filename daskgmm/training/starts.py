"""Where EM starts: first mixtures on sampled rows, and EM on those before the full passes."""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from daskgmm.errors import CollapsedComponentError
from daskgmm.model.assignment import moments_of_clusters, moments_under
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles, Floats
from daskgmm.training.acceleration import plain
from daskgmm.training.em import EMSettings, em
from daskgmm.training.in_memory import (
    PAIRS_THAT_COUNT,
    InMemory,
    parts_of_step,
    total_scatter,
)
from daskgmm.training.initialisation import (
    Initialiser,
    Labels,
    Nearest,
    adaptive,
    clustering_cost,
    kmeans,
    kmeans_plus_plus,
    near_drawn_rows,
    random_rows,
)
from daskgmm.training.refinement.halving import FIRST_STEPS, MANY_COMPONENTS
from daskgmm.training.refinement.rounds import most_moves
from daskgmm.training.refinement.sampled import SampledRows, step_cost
from daskgmm.training.refinement.search import Refinement, search
from daskgmm.training.scaling import Squarable, squarable, standardised, units_of
from daskgmm.training.search_progress import CLUSTERING, EM, Count, Numbers, SearchRecorder
from daskgmm.training.start_values import StartValues
from daskgmm.training.states import FitState, Trace
from daskgmm.training.ward import joined_clusters

logger = logging.getLogger(__name__)

FURTHER_STARTS = 3
"""Starts that a search tries besides those that are asked for, at the most."""

OTHER_WAYS: tuple[Initialiser, ...] = (
    near_drawn_rows(kmeans_plus_plus),
    near_drawn_rows(random_rows),
    adaptive,
)
"""Ways of those starts."""

FURTHER_STARTS_OF_SHARED = 23
"""The same where components share a covariance: a move of some of them cannot change what all have,
so that moves mend little, and starts have to."""

MOST_OF_EACH_WAY = 10
"""Starts in each of these ways, at the most, where others end with spurious components."""

SHARE_OF_STARTS = 2
"""Part of a search's budget, as one of so many, that its first starts may take."""

CLOSER_ON_SAMPLE = 4
"""How many times smaller than `tol` a step on the sample must be: what is left of a slow way costs
passes over all rows, and at `tol` itself EM over all rows stopped short of where it ends alone."""

MOST_POLISHED = 3
"""Starts that go on to full passes together: they share the reading, not the arithmetic."""


@dataclass(frozen=True, eq=False)
class StartPlan:
    """How starts are found.

    Parameters
    ----------
    covariance : Covariance
    n_components, n_init : int
    initialiser : callable or None
        See `daskgmm.training.initialisation`; ``None`` where `centres` take its place.
    given : StartValues
    centres : tuple of ndarray of shape (K, D)
        Found over all rows, in data units, for each of `n_init` starts.
    """

    covariance: Covariance
    n_components: int
    n_init: int
    initialiser: Initialiser | None
    given: StartValues
    centres: tuple[Doubles, ...] = ()

    @property
    def most_polished(self) -> int:
        """Largest number of starts that go on to full passes after EM on a sample."""
        return min(self.n_init, MOST_POLISHED)

    def share_of_pairs(self, *, compiled: bool) -> float:
        """Share of all pairs that an EM step computes, about, where components are apart."""
        return min(PAIRS_THAT_COUNT / self.n_components, 1) if compiled else 1.0

    def parts_of_step(self, n_rows: int, n_features: int, mixtures: int = 1) -> list[slice]:
        """Parts of so many rows in an EM step of so many mixtures."""
        length = self.covariance.feature_length(n_features)
        return parts_of_step(n_rows, n_features, [(self.n_components, length)] * mixtures)

    def further_starts(self, n_rows: int, n_features: int, budget: float, *, compiled: bool) -> int:
        """Number of starts besides those asked for that a search on so many rows can afford."""
        sizes, share = (self.n_components, n_features), self.share_of_pairs(compiled=compiled)
        cost = FIRST_STEPS * step_cost(n_rows, self.covariance, *sizes, share)
        most = FURTHER_STARTS_OF_SHARED if self._starts_for_moves else FURTHER_STARTS
        return min(max(int(budget / SHARE_OF_STARTS / cost) - self.n_init, 0), most)

    def most_runs(self, n_features: int, *, refined: bool) -> int:
        """Largest number of mixtures between which a search on the sample decides at a time."""
        if not refined:
            return self.n_init
        further = FURTHER_STARTS_OF_SHARED if self._starts_for_moves else FURTHER_STARTS
        length = self.covariance.feature_length(n_features)
        # Of moves also the mixture that they begin from, and that before all of them.
        return max(self.n_init + further, most_moves(self.n_components, length) + 2)

    @property
    def _starts_for_moves(self) -> bool:
        """Whether more starts take the place of moves; of k-means alone they would take long.

        A single component ends in the same mixture from every start.
        """
        return self.covariance.needs_scatter and 1 < self.n_components < MANY_COMPONENTS

    def refined(
        self, sample: SampledRows, random: np.random.RandomState
    ) -> tuple[Trace, Refinement]:
        """The best start that a search on sampled rows finds: `daskgmm.training.refinement`.

        Starts are sought in standardised coordinates, so that units do not matter. They nest: one
        more of `n_init` is one more start after the same others.
        """
        if self.given.complete:
            given = self.given.override(None, self.covariance, sample.frame)
            given = given.beside(sample.settings.noise)
            sample.recorder.follow(sample)
            best, found = search([given], sample)
            return Trace(best), found
        few = sample.thinned(self.n_components)
        units = sample.frame.scale * units_of(sample, self.covariance)
        asked: list[Initialiser] = [
            Nearest((centres - sample.frame.origin) / units) for centres in self.centres
        ]
        if self.initialiser is not None:
            many = self.n_components >= MANY_COMPONENTS
            joins = many and self.initialiser is kmeans
            asked = [joined_clusters if joins else self.initialiser] * self.n_init
        # The other ways draw numbers of their own, whatever the number of starts.
        apart = np.random.RandomState(copy.deepcopy(random).randint(2**31))
        sizes = self.n_components, sample.n_features
        further = self.further_starts(
            few.n_rows, sample.n_features, sample.budget.most, compiled=sample.compiled
        )

        recorder = sample.recorder
        recorder.note(of=len(asked) + further, rows=sample.n_rows, most=sample.budget.most)
        others_drawn = Count()
        recorder.follow(sample, Numbers(random), Numbers(apart), others_drawn)

        def drawn(
            way: Initialiser, numbers: np.random.RandomState, own: SampledRows, rows: Floats
        ) -> Mixture:
            recorder.note(phase=CLUSTERING, rows=own.n_rows)

            def moments() -> Moments:
                found = way(rows, self.n_components, numbers, own.weights)
                return self._moments(found, own.rows.T, own.weights, own.frame)

            found = recorder.step(moments, clustering_cost(own.n_rows, *sizes))
            mixture = self._first(found, own.frame, own.settings)
            recorder.one_more()
            return mixture

        def others() -> Iterator[Mixture]:
            rows = standardised(few, self.covariance)
            many = self.n_components >= MANY_COMPONENTS
            ways = (*OTHER_WAYS, kmeans) if self._starts_for_moves else OTHER_WAYS
            ways = (joined_clusters,) * FURTHER_STARTS if many else ways * MOST_OF_EACH_WAY
            # A search that goes on from a place begins after those that were drawn before it.
            for way in ways[others_drawn.value :]:
                others_drawn.value += 1
                with suppress(CollapsedComponentError):
                    yield drawn(way, apart, few, rows)

        def first() -> Iterator[Mixture]:
            rows = standardised(sample, self.covariance)
            yield from _not_collapsed(asked, lambda way: drawn(way, random, sample, rows))

        best, found = search(first(), sample, others(), further)
        return Trace(best), found

    def starts(
        self,
        rows: Floats,
        weights: Doubles | None,
        frame: Frame,
        settings: EMSettings,
        random: np.random.RandomState,
        *,
        fit_on_sample: bool,
        compiled: bool,
        recorder: SearchRecorder,
    ) -> list[Trace]:
        """Starts in frame coordinates, from sampled rows (m, D) in data units, as scikit-learn's.

        With `fit_on_sample` EM runs on those rows first, by a compiled loop if that is worth
        loading, and the best few go on. Start values that are given whole are where EM over all
        rows starts.
        """
        on_sample = fit_on_sample and not self.given.complete and settings.max_iter > 0
        recorder.note(of=self.n_init, rows=len(rows), most=float(settings.max_iter))
        recorder.follow(Numbers(random))
        mixtures = self._mixtures(rows, weights, frame, settings, random, recorder)
        traces = tuple(map(Trace, mixtures))
        if not on_sample:
            return list(traces)
        scatter = total_scatter(rows, weights, frame) if self.covariance.needs_scatter else None
        expect = InMemory(rows.T, weights, frame, settings.dtype, scatter, compiled)
        # Passes are free here, so they are EM's own: they keep closest to its optimum.
        closer = replace(settings, accelerate=plain, tol=settings.tol / CLOSER_ON_SAMPLE)
        traces = recorder.begin(traces)
        last = FitState(0, traces, len(rows), 0.0)
        cost = step_cost(len(rows), self.covariance, self.n_components, rows.shape[1])
        for last in em(traces, expect, closer):
            recorder.note(phase=EM, spent=float(last.iteration))
            recorder.keep(last.traces, cost * len(traces))
        chosen = most_promising(last, settings.tol)[: self.most_polished]
        return [Trace(trace.mixture) for trace in chosen]

    def _mixtures(
        self,
        rows: Floats,
        weights: Doubles | None,
        frame: Frame,
        settings: EMSettings,
        random: np.random.RandomState,
        recorder: SearchRecorder,
    ) -> Iterator[Mixture]:
        if self.given.complete:
            return iter([self.given.override(None, self.covariance, frame).beside(settings.noise)])
        seen, sizes = squarable(rows, frame), (self.n_components, rows.shape[1])

        def mixture(way: Initialiser) -> Mixture:
            def moments() -> Moments:
                found = way(seen.rows, self.n_components, random, weights)
                return self._moments(found, rows, weights, frame)

            found = recorder.step(moments, clustering_cost(len(rows), *sizes))
            first = self._first(found, frame, settings)
            recorder.one_more()
            return first

        return _not_collapsed(self._initialisers(self.n_init, seen), mixture)

    def _initialisers(self, tries: int, seen: Squarable) -> list[Initialiser]:
        if self.initialiser is None:
            return [Nearest((centres - seen.origin) * seen.factor) for centres in self.centres]
        return [self.initialiser] * tries

    def _moments(
        self, found: Doubles | Labels, rows: Floats, weights: Doubles | None, frame: Frame
    ) -> Moments:
        """Moments of rows (n, D) under responsibilities (n, K) or labels (n,)."""
        if np.issubdtype(found.dtype, np.integer):
            labels, k = found.astype(np.int64, copy=False), self.n_components
            return moments_of_clusters(labels, k, rows.T, weights, frame, self.covariance)
        shares = found.T.astype(np.float64, copy=False)
        if weights is not None:
            shares = shares * weights
        return moments_under(shares, rows.T, frame, self.covariance)

    def _first(self, moments: Moments, frame: Frame, settings: EMSettings) -> Mixture:
        found = settings.first_mixture(self.covariance, moments)
        return self.given.override(found, self.covariance, frame).beside(settings.noise)


def _not_collapsed(
    ways: Sequence[Initialiser], mixture: Callable[[Initialiser], Mixture]
) -> Iterator[Mixture]:
    """The first mixture of each way but those that collapse; all of them raise."""
    collapsed = 0
    for way in ways:
        try:
            found = mixture(way)
        except CollapsedComponentError as error:
            collapsed += 1
            if collapsed == len(ways):
                raise
            logger.warning("A start was given up before its first pass. %s", error)
        else:
            yield found


def most_promising(state: FitState, tol: float) -> list[Trace]:
    """The starts from the best down; of those that end within `tol` of each other, the first."""
    chosen: list[Trace] = []
    for trace in sorted(state.alive, key=lambda one: -one.lower_bound):
        if all(abs(trace.lower_bound - other.lower_bound) > tol for other in chosen):
            chosen.append(trace)
    return chosen
