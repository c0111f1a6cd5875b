"""Likelihood and information criteria of a model on rows, from one pass."""

import math
from dataclasses import dataclass

from daskgmm.data.source import Source, require_finite_sum
from daskgmm.errors import DataError
from daskgmm.model.prediction import Predictor
from daskgmm.model.scoring import Scoring
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.persist import held
from daskgmm.passes.prediction import readied_for, totals


@dataclass(frozen=True)
class Score:
    """Sums over rows, and the criteria computed from them.

    Parameters
    ----------
    log_likelihood : float
        Sum over rows (nats).
    label_log_likelihood : float
        Sum over rows of the log-probability of the most probable component (nats).
    weight : float
        Sum of the sample weights; n if there are none.
    rows : int
        Number n of rows.
    n_parameters : int
        Free parameters of the model.
    """

    log_likelihood: float
    label_log_likelihood: float
    weight: float
    rows: int
    n_parameters: int

    @property
    def log_likelihood_a_row(self) -> float:
        """Mean log-density a row (nats)."""
        return self.log_likelihood / self.weight

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return -2 * self.log_likelihood + 2 * self.n_parameters

    @property
    def bic(self) -> float:
        """Bayesian information criterion."""
        return -2 * self.log_likelihood + math.log(self.weight) * self.n_parameters

    @property
    def icl(self) -> float:
        """Integrated completed likelihood criterion."""
        return self.bic - 2 * self.label_log_likelihood


def score(own: Predictor, source: Source) -> Score:
    """Score a fitted mixture on rows, in one pass."""
    dtype = own.dtype or source.dtype
    compiled = readied_for(own, source).compiled
    question = Scoring((own.mixture,), own.frame, dtype, compiled, own.missing)
    (found,) = scores(held(source), question)
    return found


def scores(source: Source, scoring: Scoring) -> list[Score]:
    """Score several mixtures on the same rows, in one pass for all."""
    with one_thread():
        found = totals(source, scoring)
    require_finite_sum(found[0, 2])
    if found[0, -1] == 0:
        raise DataError(
            "There are no rows to score.",
            "Check that the input is the right one, and that it is not empty.",
        )
    return [
        Score(float(likelihood), float(labels), float(weight), int(rows), mixture.n_parameters)
        for mixture, (likelihood, labels, weight, rows) in zip(scoring.mixtures, found, strict=True)
    ]
