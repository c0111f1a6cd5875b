"""Time of the search for starts: clusterings of the sample, EM on it, and moves."""

import math
import time
from dataclasses import dataclass

import numpy as np

from daskgmm.jobs.planning.passes import PassPlan
from daskgmm.model.assignment import moments_under
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.moments import Moments
from daskgmm.training.initialisation import clustering_cost
from daskgmm.training.refinement.sampled import step_cost
from daskgmm.training.refinement.search import FIRST_STEPS, budget_for

MULTIPLICATIONS_A_SECOND = 1e10
"""As the budget counts them; see `daskgmm.training.refinement.search.LEAST_BUDGET`."""

USUAL_LAST_STEPS = 20
"""EM steps of the best start to its end, about: 6 to 40 in fits of clustered rows."""

USUAL_STEPS_ALONE = 30
"""EM steps of each start on the sample, about, where no search is made."""

_COMPONENTS_TIMED = 16
_ROUNDS_TIMED = 3


@dataclass(frozen=True)
class SearchPlan:
    """The search for starts that a fit makes in one thread before its passes.

    Parameters
    ----------
    rows : int
        Rows of the sample.
    starts : int
        First mixtures that are clustered.
    steps : int
        EM steps, of all mixtures together.
    clustering : float
        Multiplications of a clustering, as the budget counts them.
    """

    rows: int
    starts: int
    steps: int
    clustering: float

    @classmethod
    def of(cls, pass_plan: PassPlan) -> "SearchPlan":
        """The search of a planned fit."""
        candidate, rows = pass_plan.settings.candidates[0], pass_plan.rows
        plan, n_features = candidate.plan, pass_plan.source.n_features
        sampled = min(candidate.sample_rows, rows)
        sizes = plan.n_components, n_features
        clustering = clustering_cost(sampled, *sizes)
        if not candidate.refined:
            on_sample = pass_plan.settings.fit_on_sample and sampled < rows
            steps = USUAL_STEPS_ALONE * plan.n_init if on_sample else 0
            return cls(sampled, plan.n_init, steps, clustering)
        compiled = pass_plan.settings.worth_compiling(rows, n_features)
        most = budget_for(rows, plan.covariance, *sizes).most
        starts = plan.n_init + plan.further_starts(sampled, n_features, most, compiled=compiled)
        half = math.ceil(starts / 2) if starts > 1 else 0
        usual = FIRST_STEPS * (starts + 2 * half) + USUAL_LAST_STEPS
        share = plan.share_of_pairs(compiled=compiled)
        affordable = most / step_cost(sampled, plan.covariance, *sizes, share)
        return cls(sampled, starts, min(usual, math.ceil(affordable)), clustering)

    def seconds(self, pass_plan: PassPlan, seconds_a_row: float) -> float:
        """Seconds of the search, given those a row of a pass for all its starts in one thread."""
        plan, n_features = pass_plan.settings.candidates[0].plan, pass_plan.source.n_features
        m_step = plan.n_components * m_step_seconds(plan.covariance, n_features)
        a_step = self.rows * seconds_a_row / pass_plan.starts + m_step
        return self.starts * self.clustering / MULTIPLICATIONS_A_SECOND + self.steps * a_step


def m_step_seconds(covariance: Covariance, n_features: int) -> float:
    """Seconds a component of an M-step in one thread of this process."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(_COMPONENTS_TIMED), n_features + 2)
    shares = (labels == np.arange(_COMPONENTS_TIMED)[:, np.newaxis]).astype(np.float64)
    rows = random.standard_normal((n_features, len(labels)))
    moments = moments_under(shares, rows, Frame.identity(n_features), covariance)
    fastest = min(_timed(moments, covariance, n_features) for _ in range(_ROUNDS_TIMED))
    return fastest / _COMPONENTS_TIMED


def _timed(moments: Moments, covariance: Covariance, n_features: int) -> float:
    began = time.thread_time()  # CPU time, as other processes may use the CPU meanwhile
    moments.maximise(covariance, np.full(n_features, 1e-6), float(np.finfo(np.float64).eps))
    return time.thread_time() - began
