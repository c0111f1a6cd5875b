"""Join the components of a model into clusters, and leave a run directory."""

import os
from typing import Any, Unpack

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import OutputError
from daskgmm.fitting.fitted import bound_a_row
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.workplace import workplace
from daskgmm.jobs.inputs import Inputs, fingerprint
from daskgmm.jobs.json_values import as_plain, digest
from daskgmm.jobs.listener import Silence
from daskgmm.jobs.models import find_model
from daskgmm.jobs.options import MergeOptions, Paths, build, check
from daskgmm.jobs.runs.decision import RunRequest
from daskgmm.jobs.runs.lifecycle import Attempt, Result, make_run


def merge(
    model: str | os.PathLike[str],
    output: str,
    inputs: Paths = (),
    **options: Unpack[MergeOptions],
) -> dict[str, Any]:
    """Join a model's components into clusters, as ``daskgmm merge`` does.

    Parameters
    ----------
    model : str
        A run directory or model file, local or a URL.
    output : str
        The run directory to write, local or a URL.
    inputs : path or sequence of paths
        Rows whose entropy decides, read in one pass; without any, overlap decides.
    options
        As the command line has them, with its defaults; see
        `daskgmm.jobs.options.MergeOptions`.

    Returns
    -------
    dict
        The run's record, with ``run``, ``already`` (whether it was complete before), ``clusters``
        (the cluster of each component) and ``path`` (a dict for each number of clusters).

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    check(options, MergeOptions)
    rows, wanted = Inputs.of(inputs, options), options.get("clusters")
    found = find_model(os.fspath(model), rows.storage_options)
    folder = Folder.of(output, rows.storage_options)
    if found.run is not None and found.run.name == folder.name:
        raise OutputError(
            f"The output {folder.name} is the run to be merged.", "Choose another output."
        )
    dataset = rows.open_for(found.fitted) if rows.paths else None
    criterion = "overlap" if dataset is None else "entropy"
    marks = {"sha256": digest([]), "files": []} if dataset is None else fingerprint(dataset)
    resources, listener = build(Resources, options), options.get("listener") or Silence()
    own = {"merged_from": found.identity(), "criterion": criterion, "clusters": wanted, "seed": 0}
    request = RunRequest(
        folder,
        dict(as_plain(rows.configuration() | own)),
        marks,
        resources.plain(),
        options.get("command", ()),
        force=options.get("force", False),
    )

    def work(attempt: Attempt) -> Result:
        mixture = found.estimator
        if dataset is None:
            merged = mixture.merge(wanted, criterion)
        else:
            with workplace(resources, dataset, listener, one_pass=True, run_id=attempt.run_id):
                merged = mixture.merge(wanted, criterion, dataset)
        result = {
            "components": len(merged.clusters_),
            "clusters": merged.n_clusters_,
            "columns": found.fitted.columns,
            "rows": getattr(mixture, "n_rows_", 0),
            "lower_bound": bound_a_row(mixture),
            "n_iter": getattr(mixture, "n_iter_", 0),
            "n_passes": 0 if dataset is None else 1,
            "converged": getattr(mixture, "converged_", None),
        }
        facts = {
            "merged_from": found.identity(),
            "criterion": criterion,
            "clusters": merged.clusters_.tolist(),
            "path": merged.steps(),
            "result": result,
            "trace": [],
        }
        return Result(mixture, facts, merged.merging)

    return make_run(request, work).plain()
