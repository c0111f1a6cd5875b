"""What a fit is asked for."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from daskgmm.data.source import Source
from daskgmm.estimators.parameters import sample_rows, start_plan
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Doubles
from daskgmm.passes.groups import seconds_a_row
from daskgmm.passes.memory import Task, largest_block, largest_part
from daskgmm.training.acceleration import Acceleration, acceleration_named
from daskgmm.training.em import Recipe
from daskgmm.training.starts import StartPlan
from daskgmm.training.stopping import Rule, stopping_named


@dataclass(frozen=True, eq=False)
class Candidate:
    """A kind of mixture to fit, and where its starts come from.

    Parameters
    ----------
    plan : StartPlan
    sample_rows : int
        Rows to find starts on.
    resume_from : tuple of (Mixture, Frame, float) or None
        Fitted mixture, its frame and lower bound to go on from instead of starts.
    """

    plan: StartPlan
    sample_rows: int
    resume_from: tuple[Mixture, Frame, float] | None = None

    @classmethod
    def of(cls, estimator: Any, source: Source, *, in_memory: bool) -> Self:
        """What the parameters of a `GaussianMixture` say, for rows in memory or not."""
        n_features = source.n_features
        plan = start_plan(estimator, n_features)
        rows = sum(source.lengths or ()) if in_memory else None
        warm = estimator.warm_start
        standing = estimator._standing(plan, n_features) if warm else None  # noqa: SLF001  its own
        return cls(plan, sample_rows(estimator, n_features, rows), standing)


@dataclass(frozen=True, eq=False)
class Settings:
    """What a fit is asked for, checked.

    Parameters
    ----------
    candidates : tuple of Candidate
        They share their passes.
    tol, reg_covar : float
    max_iter : int
    stopping : Rule
        What `tol` is held against.
    accelerate : callable
        See `daskgmm.training.acceleration`.
    fit_on_sample : bool
        Whether EM runs on the sampled rows first, where they are not all there are.
    dtype : dtype
        What rows are computed in.
    """

    candidates: tuple[Candidate, ...]
    tol: float
    reg_covar: float
    max_iter: int
    stopping: Rule
    accelerate: Acceleration
    fit_on_sample: bool
    dtype: np.dtype[np.floating[Any]]

    @classmethod
    def of(
        cls, estimator: Any, candidates: tuple[Candidate, ...], dtype: np.dtype[np.floating[Any]]
    ) -> Self:
        """What the parameters of a `GaussianMixture` say, for all candidates alike."""
        return cls(
            candidates,
            tol=estimator.tol,
            reg_covar=estimator.reg_covar,
            max_iter=estimator.max_iter,
            stopping=stopping_named(estimator.stopping),
            accelerate=acceleration_named(estimator.acceleration),
            fit_on_sample=estimator.subsample is not None,
            dtype=dtype,
        )

    @property
    def covariances(self) -> dict[Covariance, int]:
        """The covariance types, each with its candidates' components together."""
        found: dict[Covariance, int] = {}
        for candidate in self.candidates:
            plan = candidate.plan
            found[plan.covariance] = found.get(plan.covariance, 0) + plan.n_components
        return found

    @property
    def needs_scatter(self) -> bool:
        """Whether a covariance type needs the rows' total second moments."""
        return any(covariance.needs_scatter for covariance in self.covariances)

    def frame(self, origin: Doubles, deviations: Doubles) -> Frame:
        """The frame that suits all covariance types.

        Scales are powers of two, so one that suits another type too leaves a mixture's
        parameters as they are, and its bounds but for rounding.
        """
        scale = deviations
        for covariance in self.covariances:
            scale = covariance.compatible_scale(scale)
        return Frame.around(origin, scale, self.dtype)

    def cost_a_row(self, n_features: int) -> float:
        """Rough seconds of a row of a pass, by which rows are cut into tasks."""
        seconds = 0.0
        for covariance, n_components in self.covariances.items():
            length = covariance.quadratic_length(n_features) + n_features + 1
            seconds += seconds_a_row(n_features, length, n_components)
        return seconds

    def task(self, source: Source) -> Task:
        """Sizes of a task of the passes over a source, all starts together."""
        longest = max(one.quadratic_length(source.n_features) for one in self.covariances)
        plans = [candidate.plan for candidate in self.candidates]
        return Task(
            source.n_features,
            longest + source.n_features + 1,
            sum(plan.n_components * plan.n_init for plan in plans),
            largest_block(source),
            largest_part(source),
            source.dtype,
            self.dtype,
            decoded=source.decoded,
        )

    def recipe(self, frame: Frame, deviations: Doubles) -> Recipe:
        """How to take steps in this frame."""
        return Recipe(
            self.tol,
            self.max_iter,
            self.stopping,
            self.reg_covar / frame.scale**2,
            deviations / frame.scale,
            self.dtype,
            self.accelerate,
            frame.enter(np.zeros_like(frame.origin)),
        )
