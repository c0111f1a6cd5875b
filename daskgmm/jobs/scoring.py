"""Score a model on rows."""

from dataclasses import asdict, dataclass
from typing import Any, Unpack

from daskgmm.fitting import criteria
from daskgmm.fitting.fitted import Fitted
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.workplace import workplace
from daskgmm.jobs.inputs import Inputs
from daskgmm.jobs.listener import Listener, Silence
from daskgmm.jobs.models import find_model
from daskgmm.jobs.options import Paths, ReadOptions, build, check


@dataclass(frozen=True)
class Scores:
    """Log-likelihood and information criteria of a model on rows.

    Parameters
    ----------
    rows : int
        Number of rows n.
    mean_log_likelihood : float
        Mean log-likelihood in nats a row.
    aic, bic, icl : float
        Information criteria; the lower the better.
    """

    rows: int
    mean_log_likelihood: float
    aic: float
    bic: float
    icl: float


def score(model: str, inputs: Paths, **options: Unpack[ReadOptions]) -> dict[str, Any]:
    """Score a model on rows, in one pass, as ``daskgmm score`` does.

    Parameters
    ----------
    model : str
        A run directory or model file, local or a URL.
    inputs : path or sequence of paths
        Files, directories, patterns or URLs.
    options
        As the command line has them, with its defaults; see `daskgmm.jobs.options.ReadOptions`.

    Returns
    -------
    dict
        ``rows``, ``mean_log_likelihood`` (nats a row), ``aic``, ``bic`` and ``icl``.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    check(options, ReadOptions)
    rows = Inputs.of(inputs, options)
    found = find_model(model, rows.storage_options)
    resources, listener = build(Resources, options), options.get("listener")
    return asdict(run_score(found.fitted, rows, resources, listener, found.identity()["run_id"]))


def run_score(
    model: Fitted,
    inputs: Inputs,
    resources: Resources | None = None,
    listener: Listener | None = None,
    run_id: str | None = None,
) -> Scores:
    """Score a fitted model on rows, in one pass.

    `run_id` is that of the model's run, for the listener.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    dataset = inputs.open_for(model)
    listener = listener or Silence()
    with workplace(resources or Resources(), dataset, listener, one_pass=True, shown_id=run_id):
        found = criteria.score(model.predictor, dataset.source())
    dataset.require_unchanged()
    return Scores(found.rows, found.log_likelihood_a_row, found.aic, found.bic, found.icl)
