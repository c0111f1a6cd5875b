"""Score a model on rows."""

from dataclasses import dataclass
from typing import Any

from daskgmm.jobs.cluster import Resources, workplace
from daskgmm.jobs.events import Listener, Silence
from daskgmm.jobs.inputs import Inputs


@dataclass(frozen=True)
class Scores:
    """How well a model fits rows.

    Parameters
    ----------
    rows : int
        n.
    mean_log_likelihood : float
        In nats a row.
    aic, bic, icl : float
        Criteria; the lower the better.
    """

    rows: int
    mean_log_likelihood: float
    aic: float
    bic: float
    icl: float


def score(
    model: Any,
    inputs: Inputs,
    resources: Resources | None = None,
    listener: Listener | None = None,
) -> Scores:
    """Score a fitted model on rows, in one pass.

    Raises
    ------
    DaskGMMError
        Of any kind.
    """
    from daskgmm.estimators import criteria

    dataset = inputs.open_for(model)
    with workplace(resources or Resources(), dataset, one_pass=True) as start:
        (listener or Silence()).start(start)
        found = criteria.score(model, dataset)
    return Scores(found.rows, found.log_likelihood_a_row, found.aic, found.bic, found.icl)
