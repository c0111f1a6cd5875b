"""Refresh a model with new rows, and leave a run directory."""

import copy
import os
from functools import partial
from typing import Any, Unpack

from daskgmm.jobs.cluster.resources import Resources, workplace
from daskgmm.jobs.drift import drift_of
from daskgmm.jobs.inputs import fingerprint
from daskgmm.jobs.listener import Listener, Silence
from daskgmm.jobs.models import find_model
from daskgmm.jobs.options import Paths, UpdateOptions, build, check, inputs_of
from daskgmm.jobs.runs.lifecycle import Attempt, Outcome, Result
from daskgmm.jobs.runs.lifecycle import carry_out as live
from daskgmm.jobs.update_request import UpdateRequest


def update(
    run: str | os.PathLike[str],
    inputs: Paths,
    output: str,
    *,
    forgetting: float = 1.0,
    **options: Unpack[UpdateOptions],
) -> dict[str, Any]:
    """Refresh a model with new rows, and leave a run directory: what ``daskgmm update`` does.

    Parameters
    ----------
    run : str
        The run directory or model file to go on from, local or a URL.
    inputs : path or sequence of paths
        The new rows: files, directories, patterns or URLs.
    output : str
        The run directory of the new model, local or a URL.
    forgetting : float
        What the moments of the rows before are multiplied with: 1 keeps all, 0 none.
    options
        As the command line has them, with its defaults; see
        `daskgmm.jobs.options.UpdateOptions`.

    Returns
    -------
    dict
        As `daskgmm.jobs.fit`, with ``drift``: see `daskgmm.jobs.drift.drift_of`.

    Raises
    ------
    DaskGMMError
        Of any kind.
    """
    from daskgmm.estimators.updating import check_forgetting

    check(options, UpdateOptions)
    check_forgetting(forgetting)
    rows = inputs_of(inputs, options)
    request = build(
        UpdateRequest,
        options,
        model=find_model(os.fspath(run), rows.storage_options),
        inputs=rows,
        output=output,
        forgetting=forgetting,
        resources=build(Resources, options),
    )
    return carry_out(request, options.get("listener")).plain()


def carry_out(request: UpdateRequest, listener: Listener | None = None) -> Outcome:
    """Refresh the model, or find that this was done.

    Raises
    ------
    DaskGMMError
        Of any kind.
    """
    dataset = request.inputs.open_for(request.model.fitted)
    return live(request.order(dataset), partial(_update, request, dataset, listener or Silence()))


def _update(request: UpdateRequest, dataset: Any, listener: Listener, attempt: Attempt) -> Result:
    from daskgmm.estimators import updating

    before = request.model.estimator
    request.warn_of_rows_again(fingerprint(dataset))
    model = copy.copy(before).set_params(callbacks=(lambda _: attempt.check(), listener.tell))
    with workplace(request.resources, dataset, listener, run_id=attempt.run_id) as start:
        listener.start(start)
        increment = updating.update(model, dataset, None, request.forgetting)
    facts = {
        "inputs": fingerprint(dataset, increment.fresh.rows),
        "updated_from": request.origin(),
        "forgetting": request.forgetting,
        "drift": drift_of(before, increment),
        "result": _result(model, before, dataset),
        "trace": model.history_,
    }
    return Result(model, facts)


def _result(model: Any, before: Any, dataset: Any) -> dict[str, Any]:
    last, passes = model.history_[-1], model.n_passes_ - getattr(before, "n_passes_", 0)
    return {
        "components": model.n_components,
        "columns": None if dataset.columns is None else list(dataset.columns),
        "rows": last["rows"],
        "rows_seen": model.n_rows_,
        "weight": model._moments.weight,  # noqa: SLF001  what the rows seen still count
        "lower_bound": model.lower_bound_,
        "converged": getattr(model, "converged_", None),
        "n_iter": model.n_iter_,
        "n_passes": passes,
        "rows_read": last["rows"] * passes,
        "bytes_read": last["bytes_read"] * passes,
    }
