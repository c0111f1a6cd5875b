"""EM of several mixtures on sampled rows in memory, within a budget of multiplications."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import CollapsedComponentError, DataError
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles, Floats
from daskgmm.training.em import EMSettings, advance
from daskgmm.training.in_memory import A_PAIR, InMemory
from daskgmm.training.refinement.region_rows import whitens
from daskgmm.training.refinement.spurious import spurious
from daskgmm.training.search_progress import EM, SearchRecorder

_A_COMPONENT = 50_000
"""Multiplications that take as long as a component's M-step."""

_OF_MATRIX = 500
"""The same for each entry of a component's covariance: its factor, and what bounds need of it."""


ENOUGH_ROWS, ENOUGH_A_FEATURE = 10_000, 10
"""Rows by which starts are compared first, and moves are ranked; and those for each component and
feature, as on fewer components shrink onto single rows."""

MANY_PAIRS = 0.25
"""Share of all pairs from which on one product for all of them costs less than what bounds leave,
component by component."""

MOST_PAIRS = 2**25
"""Pairs of a row and a component whose responsibilities are in memory at a time, at the most."""


TOGETHER_BYTES = 2**26
"""Bytes of mixtures, with their moments, that EM advances together; larger ones go one by one."""


def run_bytes(n_components: int, length: int) -> int:
    """Bytes of a mixture and its moments (F, K): covariances and factors take twice that each."""
    return 5 * n_components * length * np.dtype(np.float64).itemsize


def most_rows(n_components: int, n_features: int) -> int:
    """Rows by which mixtures are compared, at the most."""
    enough = max(ENOUGH_ROWS, ENOUGH_A_FEATURE * n_features * n_components)
    return max(min(enough, MOST_PAIRS // n_components), 1)


def step_cost(
    n_rows: int, covariance: Covariance, n_components: int, n_features: int, share: float = 1.0
) -> float:
    """Multiplications of an EM step, with those that take as long as what else it does.

    `share` is that of the pairs' multiplications that count.
    """
    length = covariance.feature_length(n_features)
    side = n_features if covariance.has_matrices and not covariance.needs_scatter else 0
    a_component = _A_COMPONENT + _OF_MATRIX * side**2
    return n_components * (n_rows * share * (2.0 * length + A_PAIR) + a_component)


@dataclass
class Budget:
    """A number of multiplications, and those that were spent.

    Parameters
    ----------
    most : float
    spent : float
    ended : bool
        Whether something was left undone for want of multiplications.
    share : float
        Share of all pairs' multiplications that the latest pass took: the next takes about as many.
    """

    most: float
    spent: float = 0.0
    ended: bool = False
    share: float = 1.0

    def observe(self, share: float) -> None:
        """Note the share of all pairs' multiplications that a pass took."""
        self.share = share

    def spend(self, multiplications: float) -> bool:
        """Take so many from the budget if there are as many left; returns whether there were."""
        if self.spent + multiplications > self.most:
            self.ended = True
            return False
        self.spent += multiplications
        return True


@dataclass(frozen=True, eq=False)
class EMRun:
    """EM of one mixture so far.

    Parameters
    ----------
    mixture : Mixture
        After the latest M-step, in frame coordinates.
    moments : Moments or None
        From which it was computed; ``None`` before the first step.
    bounds : tuple of float
        Latest three lower bounds (nats a row); see `daskgmm.training.m_step.MStep.bound`.
    smooth : bool
        Whether the M-step smooths its covariances, so that no component is spurious.
    """

    mixture: Mixture
    moments: Moments | None = None
    bounds: tuple[float, ...] = ()
    smooth: bool = False

    @property
    def bound(self) -> float:
        """The latest lower bound, minus infinity before the first step."""
        return self.bounds[-1] if self.bounds else -math.inf

    @property
    def left(self) -> float:
        """What the bound still gains by Aitken's estimate, or infinity if gains do not shrink."""
        if len(self.bounds) < 3:
            return math.inf
        before, gain = np.diff(self.bounds[-3:])
        if gain <= 0:
            return 0.0
        return float(gain * gain / (before - gain)) if gain < before else math.inf

    @cached_property
    def spurious(self) -> NDArray[np.bool_]:
        """Mask (K,) of the spurious components; none before the first step."""
        if self.moments is None or self.smooth:
            return np.zeros(self.mixture.n_components, np.bool_)
        return spurious(self.mixture, self.moments)

    def after(self, mixture: Mixture, moments: Moments, bound: float, *, smooth: bool) -> "EMRun":
        """The run after one more step."""
        return EMRun(mixture, moments, (*self.bounds[-2:], bound), smooth)


@dataclass(frozen=True, eq=False)
class SampledRows:
    """Rows in memory, and what EM on them needs.

    Parameters
    ----------
    rows : ndarray of shape (D, n)
        In data units.
    weights : ndarray of shape (n,) or None
    frame : Frame
    settings : EMSettings
    scatter : ndarray of shape (D, D) or None
        Total second moments about the frame's origin, where the covariance type needs them.
    budget : Budget
    compiled : bool
        Whether EM's steps go by a compiled loop.
    all_rows : int
        Number of the rows that are fitted afterwards, of which these are some; 0 for these.
    collapses : list of CollapsedComponentError
        Errors of the runs that collapsed.
    recorder : SearchRecorder
        Progress of the search, and what it needs to go on elsewhere.
    """

    rows: Floats
    weights: Doubles | None
    frame: Frame
    settings: EMSettings
    scatter: Doubles | None
    budget: Budget
    compiled: bool = False
    all_rows: int = 0
    collapses: list[CollapsedComponentError] = field(default_factory=list)
    recorder: SearchRecorder = field(default_factory=SearchRecorder)

    @cached_property
    def expect(self) -> InMemory:
        """A pass over the rows."""
        return InMemory(
            self.rows, self.weights, self.frame, self.settings.dtype, self.scatter, self.compiled,
            self.budget.observe,
        )  # fmt: skip

    @property
    def n_rows(self) -> int:
        """Number n of rows."""
        return int(self.rows.shape[1])

    @property
    def n_features(self) -> int:
        """Number D of features."""
        return int(self.rows.shape[0])

    @property
    def weight(self) -> float:
        """Sum of the sample weights."""
        return float(self.n_rows if self.weights is None else self.weights.sum())

    def advanced(
        self, runs: list[EMRun], steps: int, until: Callable[[EMRun], bool] | None = None
    ) -> list[EMRun]:
        """Take EM steps from all runs together; those that collapse are left out.

        Where all of them would take much memory, each takes its steps by itself.

        Parameters
        ----------
        runs : list of EMRun
            Emptied, so that what they were does not stay in memory beside what they become.
        steps : int
            Most steps of each.
        until : callable, optional
            Whether a run needs no further step.
        """
        if len(runs) > 1 and self._are_large(runs):
            alone = ([runs.pop(0)] for _ in range(len(runs)))
            return [one for run in alone for one in self.advanced(run, steps, until)]
        found: list[EMRun | None]
        made, (*found,) = self.recorder.begin((0, tuple(runs)))
        runs.clear()
        for number in range(made, steps):
            going = [
                (index, run)
                for index, run in enumerate(found)
                if run is not None and not (until is not None and until(run))
            ]
            mixtures = [run.mixture for _, run in going]
            if not going or not self.afford(mixtures):
                break
            expected = self.cost(mixtures)
            after = self._stepped([run for _, run in going])
            cost = self.cost(mixtures)
            self.budget.spent += cost - expected
            self.recorder.note(phase=EM, rows=self.n_rows, spent=self.budget.spent)
            for index, one in zip([index for index, _ in going], after, strict=True):
                found[index] = one
            del going, after, mixtures, one  # what runs were before their latest step
            self.recorder.keep((number + 1, tuple(found)), cost)
        return [run for run in found if run is not None]

    def _stepped(self, runs: Sequence[EMRun]) -> list[EMRun | None]:
        """Runs after one more EM step of all together; ``None`` for those that have collapsed."""
        found = advance([run.mixture for run in runs], self.expect, self.settings)
        return [self._after(*one) for one in zip(runs, *found, strict=True)]

    def _after(
        self, run: EMRun, moments: Moments, outcome: Mixture | CollapsedComponentError
    ) -> EMRun | None:
        """A run after a step to this outcome, by these moments."""
        if isinstance(outcome, CollapsedComponentError):
            # Of its traceback all arrays of the step would live on.
            self.collapses.append(CollapsedComponentError(outcome.cause, outcome.remedy))
            return None
        if not math.isfinite(moments.lower_bound):
            raise DataError(
                f"The log-likelihood became {moments.lower_bound} on sampled rows.",
                "The rows' values are too large to be squared: scale the features.",
            )
        m_step = self.settings.m_step
        bound = m_step.bound(run.mixture, moments, outcome)
        return run.after(outcome, moments, bound, smooth=m_step.smooths)

    def _are_large(self, runs: Sequence[EMRun]) -> bool:
        mixtures = [run.mixture for run in runs]
        lengths = [one.covariance.feature_length(self.n_features) for one in mixtures]
        sizes = zip(mixtures, lengths, strict=True)
        return sum(run_bytes(one.n_components, length) for one, length in sizes) > TOGETHER_BYTES

    def state(self) -> Any:
        """What has changed so far; see `daskgmm.training.search_progress.Changing`."""
        errors = [(error.cause, error.remedy) for error in self.collapses]
        return self.budget.spent, self.budget.ended, self.budget.share, tuple(errors)

    def restore(self, state: Any) -> None:
        """Take a state on again."""
        self.budget.spent, self.budget.ended, self.budget.share, errors = state
        self.collapses[:] = [CollapsedComponentError(*error) for error in errors]

    def afford(self, mixtures: Sequence[Mixture]) -> bool:
        """Spend an EM step of these mixtures, if the budget has it."""
        return self.budget.spend(self.cost(mixtures))

    def afford_shares(self, mixture: Mixture) -> bool:
        """Spend what all responsibilities under a mixture take, if the budget has it."""
        if self.bounds_pay(mixture):
            return self.afford([mixture])
        return self.budget.spend(step_cost(self.n_rows, mixture.covariance, *mixture.shape))

    def bounds_pay(self, mixture: Mixture) -> bool:
        """Whether bounds on the logits cost less than the pairs that they rule out."""
        return whitens(mixture.covariance, self.n_features) and self.budget.share < MANY_PAIRS

    def cost(self, mixtures: Sequence[Mixture]) -> float:
        """Multiplications of an EM step of these mixtures."""
        share = self.budget.share
        return sum(step_cost(self.n_rows, one.covariance, *one.shape, share) for one in mixtures)

    def thinned(self, n_components: int) -> "SampledRows":
        """Every so manieth row, where these are enough to compare mixtures by."""
        step = -(-self.n_rows // most_rows(n_components, self.n_features))
        if step <= 1:
            return self
        weights = None if self.weights is None else self.weights[::step]
        few = replace(self, rows=self.rows[:, ::step], weights=weights)
        if self.scatter is None:
            return few
        return replace(few, scatter=self.scatter * (few.weight / self.weight))
