"""Move the means of a model towards rows, and leave a run directory."""

import os
from typing import Any, Unpack

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, OutputError
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.workplace import workplace
from daskgmm.jobs.inputs import Inputs, fingerprint
from daskgmm.jobs.json_values import as_plain
from daskgmm.jobs.listener import Silence
from daskgmm.jobs.models import find_model
from daskgmm.jobs.options import AdaptOptions, Paths, build, check
from daskgmm.jobs.runs.decision import RunRequest
from daskgmm.jobs.runs.lifecycle import Attempt, Result, make_run


def adapt(
    model: str | os.PathLike[str],
    inputs: Paths,
    output: str,
    **options: Unpack[AdaptOptions],
) -> dict[str, Any]:
    """Move a model's means towards rows, as ``daskgmm adapt`` does.

    Parameters
    ----------
    model : str
        A run directory or model file, local or a URL.
    inputs : path or sequence of paths
        The rows, which are read in one pass.
    output : str
        The run directory to write, local or a URL.
    options
        As the command line has them, with its defaults; see
        `daskgmm.jobs.options.AdaptOptions`.

    Returns
    -------
    dict
        The run's record, with ``run`` and ``already`` (whether it was complete before).

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    check(options, AdaptOptions)
    rows, relevance = Inputs.of(inputs, options), float(options.get("relevance", 16.0))
    found = find_model(os.fspath(model), rows.storage_options)
    folder = Folder.of(output, rows.storage_options)
    if found.run is not None and found.run.name == folder.name:
        raise OutputError(
            f"The output {folder.name} is the run to be adapted.", "Choose another output."
        )
    if found.stored.merging() is not None:
        raise ConfigurationError(
            f"The components of {found.name} are joined into clusters, which adapting would lose.",
            "Adapt the model that they were joined from, then merge again.",
        )
    dataset = rows.open_for(found.fitted)
    resources, listener = build(Resources, options), options.get("listener") or Silence()
    own = {"adapted_from": found.identity(), "relevance": relevance, "seed": 0}
    request = RunRequest(
        folder,
        dict(as_plain(rows.configuration() | own)),
        fingerprint(dataset),
        resources.plain(),
        options.get("command", ()),
        force=options.get("force", False),
    )

    def work(attempt: Attempt) -> Result:
        with workplace(resources, dataset, listener, one_pass=True, run_id=attempt.run_id):
            mixture = found.estimator.adapt(dataset, relevance)
        result = {
            "components": mixture.n_components,
            "columns": found.fitted.columns,
            "rows": mixture.n_rows_,
            "lower_bound": None,
            "n_iter": 0,
            "n_passes": mixture.n_passes_,
            "converged": None,
        }
        facts = {
            "inputs": fingerprint(dataset, mixture.n_rows_),
            "adapted_from": found.identity(),
            "relevance": relevance,
            "result": result,
            "trace": [],
        }
        return Result(mixture, facts)

    return make_run(request, work).plain()
