"""Starts of a selection's candidates from those of smaller ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from daskgmm.fitting.starts.preparation import Preparation, Started
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.mixture import Mixture
from daskgmm.passes.engine.keys import token
from daskgmm.passes.survey import Survey
from daskgmm.passes.survey_pass import SampledSurvey
from daskgmm.training.refinement.growth import grown
from daskgmm.training.refinement.smoothing import too_few_rows
from daskgmm.training.search_progress import SearchRecorder
from daskgmm.training.states import Trace

_SHARE_OF_GROWTH = 4
"""Part of a search's budget, as one of so many, that a start from a smaller mixture may take."""


@dataclass(frozen=True, eq=False)
class Growth:
    """Lets a candidate start from a smaller one, with components split, where that is better.

    Both are of the same covariance type. So on the sample no candidate is less likely than a
    smaller one.

    Parameters
    ----------
    prepare : tuple of Preparation
        Those of all candidates.
    started : tuple of Started
        Their starts, found each by itself.
    """

    prepare: tuple[Preparation, ...]
    started: tuple[Started, ...]

    def __call__(self, found: Survey) -> list[Started]:
        """The better starts, from a survey with its sample."""
        best, largest = list(self.started), dict[Covariance, Mixture]()
        plans = [one.candidate.plan for one in self.prepare]
        for index in sorted(range(len(plans)), key=lambda one: plans[one].n_components):
            covariance = plans[index].covariance
            if self.prepare[index].candidate.refined and best[index].traces:
                smaller = largest.get(covariance)
                best[index] = self._better(index, found, smaller)
                (trace,) = best[index].traces or ()
                largest[covariance] = trace.mixture
        return best

    def _better(self, index: int, found: Survey, smaller: Mixture | None) -> Started:
        own = self.started[index]
        (trace,) = own.traces or ()
        if smaller is None or smaller.n_components >= trace.mixture.n_components:
            return own
        sample = self.prepare[index].sample_of(found, SearchRecorder())
        if too_few_rows(sample, trace.mixture):
            return own  # these rows cannot say which is better
        sample.budget.most /= _SHARE_OF_GROWTH
        better = grown(smaller, trace.mixture, sample)
        if better is None or own.refinement is None:
            return own
        refinement = replace(own.refinement, spurious=bool(better.spurious.any()))
        return replace(own, traces=(Trace(better.mixture),), refinement=refinement)


def grown_starts(
    sampled: SampledSurvey, prepare: Sequence[Preparation], started: Sequence[Started]
) -> list[Started]:
    """The candidates' starts, of which no larger one is less likely on the sample."""
    refined = [one.candidate.plan.covariance for one in prepare if one.candidate.refined]
    if len(refined) == len(set(refined)):
        return list(started)
    (better,) = sampled.apply([Growth(tuple(prepare), tuple(started))], token())
    return better
