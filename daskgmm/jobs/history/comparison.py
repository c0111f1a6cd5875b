"""How runs differ: in their options, their bounds, and their components."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from daskgmm.errors import ConfigurationError
from daskgmm.fitting.fitted import Fitted
from daskgmm.jobs.history.listing import ListedRun
from daskgmm.jobs.models import SavedModel
from daskgmm.model.divergence import shifts
from daskgmm.model.questions.distances import jeffreys


@dataclass(frozen=True)
class MatchedComponent:
    """A component of a reference and its like in another mixture.

    Parameters
    ----------
    component, matched : int
        Number in the reference, and in the other mixture.
    weight_before, weight_after : float
        In the reference, and in the other mixture.
    shift : float
        Distance from the reference's mean to the other, in standard deviations of the
        reference's component (Mahalanobis).
    divergence : float
        Of the two Gaussians: both Kullback-Leibler divergences added (Jeffreys), in nats.
    """

    component: int
    matched: int
    weight_before: float
    weight_after: float
    shift: float
    divergence: float


def matched_components(reference: Fitted, other: Fitted, name: str) -> list[MatchedComponent]:
    """The components of a reference, each with its like in another mixture.

    Raises
    ------
    ConfigurationError
        The mixtures have other columns, or other numbers of components; `name` is the reference's
        in the error.
    """
    order = other.permutation(reference, name)
    after, before = other.beside(reference, name)
    after = after.of_components(order)
    columns = (
        range(len(order)), order.tolist(), before.weights.tolist(), after.weights.tolist(),
        shifts(before, after.means).tolist(), jeffreys(before, after).diagonal().tolist(),
    )  # fmt: skip
    return [MatchedComponent(*row) for row in zip(*columns, strict=True)]


def compare(models: Sequence[SavedModel]) -> dict[str, Any]:
    """Compare models of runs, each with the first.

    Parameters
    ----------
    models : sequence of SavedModel
        Two or more; those of model files have no options.

    Returns
    -------
    dict
        Plain values. ``runs``: of each its ``model``, ``id``, ``when``, ``rows``, ``components``,
        ``covariance``, ``lower_bound`` (nats a row), ``gain`` (that less the first run's),
        ``converged``, ``iterations``, ``seconds``, and ``difference``, the drift that an update
        reported (nats a row). ``options``: by name, the values of each run where they differ.
        ``components``: for each run after the first the matched components, see
        `MatchedComponent`, or why there are none.
    """
    first = models[0]
    runs = [_facts(model) for model in models]
    for facts in runs:
        bounds = facts["lower_bound"], runs[0]["lower_bound"]
        facts["gain"] = None if None in bounds else bounds[0] - bounds[1]
    return {
        "runs": runs,
        "options": _options(models),
        "components": [_matched(first, model) for model in models[1:]],
    }


def _facts(model: SavedModel) -> dict[str, Any]:
    fitted, stored = model.fitted, model.stored.file.metadata["fitted"]
    listed = None if model.run is None else ListedRun(model.run.folder, model.run).plain()
    return {
        "model": model.name,
        "id": listed and listed["id"],
        "when": listed and listed["when"],
        "rows": listed["rows"] if listed else stored.get("n_rows_"),
        "components": fitted.n_components,
        "covariance": fitted.predictor.mixture.covariance.name,
        "lower_bound": _bound_a_row(stored),
        "converged": stored.get("converged_"),
        "iterations": stored.get("n_iter_"),
        "seconds": listed and listed["seconds"],
        "difference": listed and listed["difference"],
    }


def _bound_a_row(stored: Mapping[str, Any]) -> float | None:
    """Lower bound (nats a row); that of a variational mixture itself is a total."""
    history = stored.get("history_")
    found: float | None = history[-1]["lower_bound"] if history else stored.get("lower_bound_")
    return found


def _options(models: Sequence[SavedModel]) -> dict[str, list[Any]]:
    """Values of each run by option, where the runs differ; ``None`` where a run has no such."""
    known = [{} if model.run is None else _configuration(model.run.record) for model in models]
    names = sorted({name for options in known for name in options})
    values = {name: [options.get(name) for options in known] for name in names}
    return {name: row for name, row in values.items() if any(each != row[0] for each in row)}


def _configuration(record: Mapping[str, Any]) -> dict[str, Any]:
    inputs = [str(file["path"]) for file in record["inputs"]["files"]]
    return {**record["configuration"], "inputs": inputs}


def _matched(first: SavedModel, other: SavedModel) -> dict[str, Any]:
    found: dict[str, Any] = {"model": other.name, "reference": first.name}
    try:
        matched = matched_components(first.fitted, other.fitted, first.name)
    except ConfigurationError as error:
        return {**found, "matched": None, "why": error.cause}
    return {**found, "matched": [asdict(one) for one in matched], "why": None}
