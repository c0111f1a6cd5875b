"""Settings of a fit: the parameters of a mixture estimator, checked and prepared for passes."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np

from daskgmm.data.source import Source
from daskgmm.errors import ConfigurationError
from daskgmm.fitting.fitted import Fitted
from daskgmm.fitting.protocols import Estimator, MixtureParameters
from daskgmm.fitting.starts.plan import first_share, is_refined, sample_rows, start_plan
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.missing.patterns import Missing
from daskgmm.model.mixture import Mixture
from daskgmm.model.noise import Noise
from daskgmm.model.typing import Doubles
from daskgmm.passes.bounding_box import BoundingBox
from daskgmm.passes.cost import FIT_WORTH_COMPILING, estimated_seconds_a_row
from daskgmm.passes.memory import TaskSizes, largest_block, largest_part
from daskgmm.passes.search_memory import NO_SEARCH, SearchSizes
from daskgmm.passes.statistics import Statistics
from daskgmm.training.acceleration import Acceleration, acceleration_named
from daskgmm.training.em import EMSettings
from daskgmm.training.m_step import Estimation, maximum_likelihood
from daskgmm.training.refinement.partial import MOST_NEAR, REGIONS, ROWS_OF_REGIONS, region_bytes
from daskgmm.training.refinement.sampled import TOGETHER_BYTES, most_rows, run_bytes
from daskgmm.training.refinement.shares import PAIRS_TOGETHER
from daskgmm.training.starts import StartPlan
from daskgmm.training.stopping import PREDICTED, Rule, stopping_named

ROWS_A_COMPONENT, LONG_FEATURES = 32, 512
"""Rows of a task for each component, of feature vectors so long: with fewer, to make, move and add
sums costs more than half of what rows do. On shorter ones a row costs no less, but the sums do."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """Number of components and covariance type to fit, and the source of the starts.

    Parameters
    ----------
    plan : StartPlan
    sample_rows : int
        Number of sampled rows on which starts are found.
    refined : bool
        Whether a search with split-and-merge moves finds the start.
    n_features : int
    resume_from : tuple of (Mixture, Frame, float) or None
        Mixture to continue from in place of starts, its frame and its lower bound (nats a row).
    """

    plan: StartPlan
    sample_rows: int
    refined: bool
    n_features: int
    resume_from: tuple[Mixture, Frame, float] | None = None

    @property
    def starts(self) -> int:
        """Largest number of starts that share full passes."""
        return 1 if self.refined else self.plan.n_init

    @classmethod
    def of(
        cls,
        estimator: MixtureParameters,
        source: Source,
        start: Fitted | None = None,
        *,
        in_memory: bool,
    ) -> Self:
        """Take a candidate from an estimator's parameters, for rows in memory or not.

        With ``warm_start`` the last fit goes before `start`, which is what ``start_from`` names.
        """
        n_features = source.n_features
        plan = start_plan(estimator, n_features)
        rows = sum(source.lengths or ()) if in_memory else None
        warm = estimator.warm_start
        last = estimator._last_fit(plan, n_features) if warm else None  # noqa: SLF001  a protocol's
        if last is None and start is not None:
            last = _at(start, plan, source)
        found = sample_rows(estimator, n_features, rows)
        return cls(plan, found, last is None and is_refined(estimator), n_features, last)


@dataclass(frozen=True, eq=False)
class Settings:
    """Checked settings of one fit of all candidates.

    Parameters
    ----------
    candidates : tuple of Candidate
        Mixtures that share passes.
    tol, reg_covar : float
    max_iter : int
    stopping : Rule
        Rule for the change that `tol` is compared with.
    accelerate : callable
        See `daskgmm.training.acceleration`.
    fit_on_sample : bool
        Whether EM runs on the sampled rows first where starts are not refined, unless these are
        all rows.
    dtype : dtype
        Float type of the computation.
    estimation : Estimation
        What is maximised.
    missing : Missing
        What rows with missing values count as.
    max_missing : float
        Largest share of the rows that may have missing values.
    noise : float or None
        Share of the rows that noise has at first; ``None`` without noise.
    in_stretches : bool
        Whether starts are sought in stretches, for a checkpoint.
    """

    candidates: tuple[Candidate, ...]
    tol: float
    reg_covar: float
    max_iter: int
    stopping: Rule
    accelerate: Acceleration
    fit_on_sample: bool
    dtype: np.dtype[np.floating[Any]]
    estimation: Estimation = maximum_likelihood
    missing: Missing = Missing.ERROR
    max_missing: float = 1.0
    noise: float | None = None
    in_stretches: bool = False

    @classmethod
    def of(
        cls,
        estimator: MixtureParameters,
        candidates: tuple[Candidate, ...],
        dtype: np.dtype[np.floating[Any]],
        *,
        in_stretches: bool = False,
    ) -> Self:
        """Take the settings that all candidates share from one estimator's parameters."""
        stopping = stopping_named(estimator.stopping)
        # After trials of an acceleration gains do not shrink evenly.
        refined = any(candidate.refined for candidate in candidates)
        if refined and estimator.stopping == "lower_bound" and estimator.acceleration is None:
            stopping = PREDICTED
        return cls(
            candidates,
            tol=estimator.tol,
            reg_covar=estimator.reg_covar,
            max_iter=estimator.max_iter,
            stopping=stopping,
            accelerate=acceleration_named(estimator.acceleration),
            fit_on_sample=isinstance(estimator.subsample, Integral),
            dtype=dtype,
            missing=missing_named(estimator.missing),
            max_missing=estimator._max_missing,  # noqa: SLF001  a protocol's
            noise=first_share(estimator.noise),
            estimation=estimator._estimation(  # noqa: SLF001  a protocol's
                candidates[0].plan, candidates[0].n_features
            ),
            in_stretches=in_stretches,
        )

    @property
    def covariances(self) -> dict[Covariance, int]:
        """Total number of components of the candidates of each covariance type."""
        found: dict[Covariance, int] = {}
        for candidate in self.candidates:
            plan = candidate.plan
            found[plan.covariance] = found.get(plan.covariance, 0) + plan.n_components
        return found

    @property
    def needs_scatter(self) -> bool:
        """Whether a covariance type, or the M-step, needs the rows' total second moments."""
        asked = self.estimation.needs_scatter
        return asked or any(covariance.needs_scatter for covariance in self.covariances)

    def frame(self, origin: Doubles, deviations: Doubles) -> Frame:
        """Choose the frame that suits all covariance types.

        Scales are powers of two, so the frame leaves the parameters of a mixture unchanged, and
        its lower bounds but for rounding, even where it has to suit other types as well.
        """
        scale = deviations
        for covariance in self.covariances:
            scale = covariance.compatible_scale(scale)
        return Frame.around(origin, scale, self.dtype)

    def cost_a_row(self, n_features: int) -> float:
        """Estimated seconds a row of a pass, by which rows are divided into tasks."""
        seconds = 0.0
        for covariance, n_components in self.covariances.items():
            length = covariance.feature_length(n_features)
            seconds += estimated_seconds_a_row(n_features, length, n_components)
        return seconds

    @property
    def _components_together(self) -> int:
        return sum(one.plan.n_components * one.starts for one in self.candidates)

    @property
    def _most_components(self) -> int:
        return max(candidate.plan.n_components for candidate in self.candidates)

    def fewest_rows(self, n_features: int) -> int:
        """Fewest rows of a task, about, so that its moments cost less than its rows do.

        A row's cost grows with the length F of feature vectors as a component's moments do, but
        for what it costs at least.
        """
        longest = max(one.feature_length(n_features) for one in self.covariances)
        share = min(longest / LONG_FEATURES, 1)
        return max(int(ROWS_A_COMPONENT * share * self._most_components), 1)

    def worth_compiling(self, n_rows: int, n_features: int) -> bool:
        """Whether passes over this number of rows take long enough to compile a kernel."""
        return n_rows * self.cost_a_row(n_features) > FIT_WORTH_COMPILING

    def task(self, source: Source) -> TaskSizes:
        """Sizes of a task in a pass over a source, for all starts together."""
        longest = max(one.feature_length(source.n_features) for one in self.covariances)
        return TaskSizes(
            source.n_features,
            longest,
            self._components_together,
            self._most_components,
            largest_block(source),
            largest_part(source),
            source.dtype,
            self.dtype,
            decoded=source.decoded,
            marginalized=self.missing is Missing.MARGINALIZE,
            search=self._search(source),
        )

    def _search(self, source: Source) -> SearchSizes:
        """Sizes of the largest search for starts, where there is one."""
        searching = [one for one in self.candidates if one.resume_from is None]
        if not searching:
            return NO_SEARCH
        rows = max(candidate.sample_rows for candidate in searching)
        if source.lengths is not None:
            rows = min(rows, sum(source.lengths))
        of_each = [self._runs(one) for one in searching]
        runs, together = (max(numbers) for numbers in zip(*of_each, strict=True))
        paired = [
            (min(rows, most_rows(one.plan.n_components, source.n_features)), one.plan.n_components)
            for one in searching
            if one.refined
        ]
        pairs = max((own * n_components for own, n_components in paired), default=0)
        near = max((own * min(n_components, MOST_NEAR) for own, n_components in paired), default=0)
        row_bytes = source.n_features * source.dtype.itemsize
        parts = [
            [
                len(one.plan.parts_of_step(rows, source.n_features, mixtures))
                for mixtures in (1, self._runs(one)[1])
            ]
            for one in searching
        ]
        return SearchSizes(
            rows,
            row_bytes,
            pairs,
            near,
            min(pairs, PAIRS_TOGETHER),
            runs,
            together,
            len(searching),
            min(REGIONS * near, ROWS_OF_REGIONS),
            max(region_bytes(one.plan.covariance, source.n_features) for one in searching),
            self.in_stretches,
            *(max(counts) for counts in zip(*parts, strict=True)),
        )

    def _runs(self, candidate: Candidate) -> tuple[int, int]:
        """Mixtures between which a search decides, and those that EM advances together."""
        if not candidate.refined and not self.fit_on_sample:
            return 1, 1
        runs = candidate.plan.most_runs(candidate.n_features, refined=candidate.refined)
        if not candidate.refined:
            return runs, runs
        length = candidate.plan.covariance.feature_length(candidate.n_features)
        fits = TOGETHER_BYTES // run_bytes(candidate.plan.n_components, length)
        return runs, min(runs, max(fits, 1))

    def em_settings(
        self, frame: Frame, statistics: Statistics, ranges: BoundingBox | None
    ) -> EMSettings:
        """Settings of EM in a frame, for rows with these statistics, and ranges beside noise."""
        return EMSettings(
            self.tol,
            self.max_iter,
            self.stopping,
            self.reg_covar / frame.scale**2,
            statistics.deviations / frame.scale,
            self.dtype,
            self.accelerate,
            frame.enter(np.zeros_like(frame.origin)),
            self.estimation.m_step(frame, statistics),
            self._noise(frame, ranges),
        )

    def _noise(self, frame: Frame, ranges: BoundingBox | None) -> Noise | None:
        """Noise over the bounding box of the rows, in a frame."""
        if self.noise is None:
            return None
        assert ranges is not None  # noqa: S101  asked of the survey
        return Noise(self.noise, frame.enter(ranges.low), (ranges.high - ranges.low) / frame.scale)


def _at(start: Fitted, plan: StartPlan, source: Source) -> tuple[Mixture, Frame, float]:
    """The mixture of another fit, for rows on which its lower bound is not known."""
    name = "start_from"
    start.require_components(plan.n_components, name)
    found = start.over(source.columns, source.n_features, name)
    return *found.of_type(plan.covariance), -np.inf


def missing_named(name: Any) -> Missing:
    """The treatment of missing values that has this name."""
    try:
        return Missing(name)
    except ValueError as error:
        known = ", ".join(repr(one.value) for one in Missing)
        raise ConfigurationError(
            f"missing={name!r} is not known.", f"Use one of: {known}."
        ) from error


def compute_dtype(estimator: Estimator, found: np.dtype[Any]) -> np.dtype[Any]:
    """Float type to compute in: the estimator's ``dtype``, or by default the type of the data."""
    if estimator.dtype is None:
        return found
    try:
        dtype: np.dtype[Any] = np.dtype(estimator.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype not in (np.float32, np.float64):
        raise ConfigurationError(
            f"The 'dtype' parameter is {estimator.dtype!r}.",
            "Use None, 'float32' or 'float64'.",
        )
    return dtype
