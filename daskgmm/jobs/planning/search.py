"""Time of the search for starts: clusterings of the sample, EM on it, and moves."""

import math
from dataclasses import dataclass

from daskgmm.jobs.planning.passes import PassPlan
from daskgmm.jobs.planning.search_benchmark import SearchSeconds
from daskgmm.passes.engine.threads import threads_here
from daskgmm.training.refinement.halving import FIRST_STEPS, MANY_COMPONENTS
from daskgmm.training.refinement.sampled import step_cost
from daskgmm.training.refinement.search import budget_for
from daskgmm.training.refinement.spurious import make_two

USUAL_LAST_STEPS = 20
"""EM steps of the best start to its end, about: 6 to 40 in fits of clustered rows."""

USUAL_STEPS_ALONE = 30
"""EM steps of each start on the sample, about, where no search is made."""

SPREAD = 0.9
"""Share of a large search's time that is spread over threads, about: 0.91 of one with K = 100, and
0.93 with K = 500, of D = 100 on 30,000 rows."""

IN_A_WORKER = 1.2
"""How many times longer a search takes in a worker, about, which gives memory back as it is freed
and is watched by Dask's profiler: 104 s for 84 s with K = 100, D = 100."""


@dataclass(frozen=True)
class SearchPlan:
    """The search for starts that a fit makes before its passes.

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
    parts : int
        Parts of the rows in an EM step, of which each is computed by one thread.
    """

    rows: int
    starts: int
    steps: int
    rankings: int
    parts: int = 1

    @classmethod
    def of(cls, pass_plan: PassPlan, share: float) -> "SearchPlan":
        """The search of a planned fit, whose EM takes this share of all pairs' multiplications."""
        candidate, rows = pass_plan.settings.candidates[0], pass_plan.rows
        plan, n_features = candidate.plan, pass_plan.source.n_features
        sampled = min(candidate.sample_rows, rows)
        sizes = plan.n_components, n_features
        parts = len(plan.parts_of_step(sampled, n_features))
        if not candidate.refined:
            on_sample = pass_plan.settings.fit_on_sample and sampled < rows
            steps = USUAL_STEPS_ALONE * plan.n_init if on_sample else 0
            return cls(sampled, plan.n_init, steps, 0, parts)
        compiled = pass_plan.settings.worth_compiling(rows, n_features)
        most = budget_for(rows, plan.covariance, *sizes).most
        further = plan.further_starts(sampled, n_features, most, compiled=compiled)
        if plan.n_components >= MANY_COMPONENTS:  # usually alike, and then no more are drawn
            further = min(further, max(2 - plan.n_init, 0))
        starts = plan.n_init + further
        half = math.ceil(starts / 2) if starts > 1 else 0
        usual = FIRST_STEPS * (starts + 2 * half) + USUAL_LAST_STEPS
        a_step, a_ranking = (
            step_cost(sampled, plan.covariance, *sizes, one) for one in (share, 1.0)
        )
        divisible = make_two(sampled / plan.n_components, plan.covariance, n_features)
        ranks = plan.n_components > 1 and divisible and a_ranking < most / 2
        affordable = (most - a_ranking * ranks) / a_step
        return cls(sampled, starts, min(usual, math.ceil(affordable)), int(ranks), parts)

    def seconds(self, measured: SearchSeconds, seconds_a_step: float, threads: int = 1) -> float:
        """Seconds of the search on so many threads.

        Parameters
        ----------
        measured : SearchSeconds
            Of what it does, on one thread.
        seconds_a_step : float
            Of an E-step on the sample, likewise.
        threads : int
        """
        steps = self.steps * (seconds_a_step + measured.m_step)
        alone = self.starts * measured.clustering + steps + self.rankings * measured.ranking
        return alone * (1 - SPREAD + SPREAD / min(threads, self.parts))


def threads_of_search(workers: int, threads: int, helpers: int) -> int:
    """Threads that a search uses among so many workers of so many threads, on this machine.

    These are its own worker's, and those of others that help as far as it has memory for them.
    """
    return max(threads, min(workers * threads, threads_here(), threads + helpers))
