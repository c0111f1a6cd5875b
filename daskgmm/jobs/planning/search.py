"""Time of the search for starts: clusterings of the sample, EM on it, and moves."""

import math
from dataclasses import dataclass

from daskgmm.jobs.planning.passes import PassPlan
from daskgmm.jobs.planning.search_benchmark import SearchSeconds
from daskgmm.training.refinement.sampled import step_cost
from daskgmm.training.refinement.search import FIRST_STEPS, budget_for
from daskgmm.training.refinement.spurious import make_two

USUAL_LAST_STEPS = 20
"""EM steps of the best start to its end, about: 6 to 40 in fits of clustered rows."""

USUAL_STEPS_ALONE = 30
"""EM steps of each start on the sample, about, where no search is made."""


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
    rankings : int
        Times that moves are ranked: once, and more often only where moves help.
    """

    rows: int
    starts: int
    steps: int
    rankings: int

    @classmethod
    def of(cls, pass_plan: PassPlan, share: float) -> "SearchPlan":
        """The search of a planned fit, whose EM takes this share of all pairs' multiplications."""
        candidate, rows = pass_plan.settings.candidates[0], pass_plan.rows
        plan, n_features = candidate.plan, pass_plan.source.n_features
        sampled = min(candidate.sample_rows, rows)
        sizes = plan.n_components, n_features
        if not candidate.refined:
            on_sample = pass_plan.settings.fit_on_sample and sampled < rows
            steps = USUAL_STEPS_ALONE * plan.n_init if on_sample else 0
            return cls(sampled, plan.n_init, steps, 0)
        compiled = pass_plan.settings.worth_compiling(rows, n_features)
        most = budget_for(rows, plan.covariance, *sizes).most
        starts = plan.n_init + plan.further_starts(sampled, n_features, most, compiled=compiled)
        half = math.ceil(starts / 2) if starts > 1 else 0
        usual = FIRST_STEPS * (starts + 2 * half) + USUAL_LAST_STEPS
        a_step, a_ranking = (
            step_cost(sampled, plan.covariance, *sizes, one) for one in (share, 1.0)
        )
        divisible = make_two(sampled / plan.n_components, plan.covariance, n_features)
        ranks = plan.n_components > 1 and divisible and a_ranking < most / 2
        affordable = (most - a_ranking * ranks) / a_step
        return cls(sampled, starts, min(usual, math.ceil(affordable)), int(ranks))

    def seconds(self, measured: SearchSeconds, seconds_a_step: float) -> float:
        """Seconds of the search, given those of what it does and of an E-step on the sample."""
        steps = self.steps * (seconds_a_step + measured.m_step)
        return self.starts * measured.clustering + steps + self.rankings * measured.ranking
