"""Refresh a model with new rows, report their drift, and leave a run directory."""

import copy
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from daskgmm.data.dataset import Dataset
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import BelowThresholdError, ConfigurationError, OutputError
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.workplace import workplace
from daskgmm.jobs.inputs import Inputs, fingerprint, rows_in
from daskgmm.jobs.json_values import as_plain
from daskgmm.jobs.listener import Listener, Silence
from daskgmm.jobs.models import SavedModel, find_model
from daskgmm.jobs.options import Paths, UpdateOptions, build, check
from daskgmm.jobs.references import References
from daskgmm.jobs.runs.decision import RunRequest
from daskgmm.jobs.runs.lifecycle import Attempt, CompleteRun, Result, make_run

if TYPE_CHECKING:
    from daskgmm.training.incremental import Increment


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class UpdateRequest:
    """A request to refresh a model.

    Parameters
    ----------
    model : SavedModel
        Model with the moments of the rows that it has seen.
    inputs : Inputs
        New rows; their storage options are used for the model and the output as well.
    output : str
        The run directory, local or a URL.
    forgetting : float
        Factor on the moments of the earlier rows; see
        `daskgmm.GaussianMixture.partial_fit`.
    fail_below_difference : float or None
        Least difference of the drift (nats a row) at which the update is kept; no part of the
        configuration, as it does not change the result.
    references : References
        Models to start from, and in whose order components are brought.
    resources : Resources
    missing : str or None
        What rows with missing values count as; ``None`` for what they did in the model's fit.
    max_missing : float
        Largest share of the new rows that may have missing values.
    force : bool
        Replace a run that differs.
    command : tuple of str
        Command that the user typed, for the record.
    """

    model: SavedModel
    inputs: Inputs
    output: str
    forgetting: float = 1.0
    fail_below_difference: float | None = None
    references: References = field(default_factory=References)
    resources: Resources = field(default_factory=Resources)
    missing: str | None = None
    max_missing: float = 1.0
    force: bool = False
    command: tuple[str, ...] = ()

    def configuration(self) -> dict[str, Any]:
        """All that the result depends on except the rows."""
        own = {"forgetting": float(self.forgetting), "updated_from": self.model.identity()}
        own |= self.references.configuration()
        if self.missing is not None:
            own["missing"] = self.missing
        # An update draws no numbers; the seed keeps a figure's sample.
        if self.model.run is not None:
            own["seed"] = self.model.run.seed
        return dict(as_plain(self.inputs.configuration() | own))

    def run_request(self, dataset: Dataset) -> RunRequest:
        """The request for the run directory.

        Raises
        ------
        OutputError
            The directory is the one of the model itself.
        """
        folder, run = Folder.of(self.output, self.inputs.storage_options), self.model.run
        if run is not None and run.name == folder.name:
            raise OutputError(
                f"The output {folder.name} is the run to be updated.",
                "Choose another output: an update in place would count the rows twice if it were "
                "repeated.",
            )
        marks = fingerprint(dataset)
        resources = self.resources.plain()
        return RunRequest(
            folder, self.configuration(), marks, resources, self.command, force=self.force
        )

    def require_fit(self, drift: Mapping[str, Any]) -> None:
        """Raise BelowThresholdError for a drift whose difference is below the least allowed one."""
        found, least = drift["difference"], self.fail_below_difference
        if least is None or (found is not None and found >= least):  # NaN is below
            return
        number = "unknown" if found is None else f"{found:.6g} nats a row"
        raise BelowThresholdError(
            f"The difference is {number}, below {least:g}: the new rows fit "
            f"{self.model.name} worse than its own, so it was not updated.",
            "Look at the rows, fit a model anew, or allow more with fail_below_difference= "
            "(--fail-below-difference).",
        )

    def warn_of_rows_again(self, marks: Mapping[str, Any]) -> None:
        """Log a warning for inputs, given by fingerprint, that the model's run has read already."""
        run, files = self.model.run, marks["files"]
        if run is None or self.forgetting == 0:
            return
        seen = [rows_in(file) for file in run.record["inputs"]["files"]]
        again = [file["path"] for file in files if rows_in(file) in seen]
        if again:
            fact = (
                "The run %s has already read %d of %d inputs, such as %s: their rows count twice."
            )
            logger.warning(fact, run.name, len(again), len(files), again[0])


_FEWEST_ROWS = 1e-3
"""Smallest sum of responsibilities for new rows that gives a meaningful mean."""


def drift_of(model: FittedMixture, increment: "Increment") -> dict[str, Any]:
    """Drift of new rows under the model before them.

    Parameters
    ----------
    model : GaussianMixture
        Model before the update.
    increment : Increment
        Result of the update with the new rows.

    Returns
    -------
    dict
        ``mean_log_likelihood`` of the new rows, ``lower_bound_before`` (the model's on the rows
        of its last pass, or that it remembers, without a prior's log-density) and their
        ``difference``, in nats a row; and for each of the
        ``components`` its weight before, among the new rows and after, how far the mean of its
        new rows and its new mean are from the old one, in its old deviations (Mahalanobis), and
        its ``divergence`` from before to after (both Kullback-Leibler divergences, in nats).
    """
    found, before = increment.fresh.lower_bound, model.lower_bound_
    if model.prior is not None and model._moments is not None:  # noqa: SLF001  a protocol's
        before = model._moments.lower_bound  # noqa: SLF001
    return {
        "mean_log_likelihood": found,
        "lower_bound_before": before,
        "difference": found - before,
        "components": _components(model, increment),
    }


def _components(model: FittedMixture, increment: "Increment") -> list[dict[str, Any]]:
    from daskgmm.model.divergence import divergences, shifts

    before, fresh = model._predictor.mixture, increment.fresh  # noqa: SLF001  in its own frame
    counts = fresh.sums[-1]
    columns = {
        "weight_before": before.weights.tolist(),
        "weight_of_new_rows": (counts / counts.sum()).tolist(),
        "weight_after": increment.mixture.weights.tolist(),
        "shift_of_new_rows": [
            shift if count >= _FEWEST_ROWS else None
            for shift, count in zip(shifts(before, fresh.means).tolist(), counts, strict=True)
        ],
        "shift": shifts(before, increment.mixture.means).tolist(),
        "divergence": divergences(before, increment.mixture).tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def update(
    run: str | os.PathLike[str],
    inputs: Paths,
    output: str,
    *,
    forgetting: float = 1.0,
    **options: Unpack[UpdateOptions],
) -> dict[str, Any]:
    """Refresh a model with new rows, and leave a run directory, as ``daskgmm update`` does.

    Parameters
    ----------
    run : str
        Run directory or model file to continue from, local or a URL.
    inputs : path or sequence of paths
        The new rows: files, directories, patterns or URLs.
    output : str
        The run directory of the new model, local or a URL.
    forgetting : float
        Factor on the moments of the earlier rows: 1 keeps all, 0 none.
    options
        As the command line has them, with its defaults; see
        `daskgmm.jobs.options.UpdateOptions`.

    Returns
    -------
    dict
        As `daskgmm.jobs.fit`, with ``drift``: see `daskgmm.jobs.updating.drift_of`.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    from daskgmm.estimators.methods.partial_fit import check_forgetting

    check(options, UpdateOptions)
    check_forgetting(forgetting)
    rows = Inputs.of(inputs, options)
    request = build(
        UpdateRequest,
        options,
        model=find_model(os.fspath(run), rows.storage_options),
        inputs=rows,
        output=output,
        forgetting=forgetting,
        references=References.of(options),
        resources=build(Resources, options),
    )
    return run_update(request, options.get("listener")).plain()


def run_update(request: UpdateRequest, listener: Listener | None = None) -> CompleteRun:
    """Refresh the model, or return at once where the run is complete already.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    model = request.model.fitted
    if request.model.stored.merging() is not None:
        raise ConfigurationError(
            f"The components of {request.model.name} are joined into clusters, which an update "
            "would lose.",
            "Update the model that they were joined from, then merge again.",
        )
    if model.predictor.mixture.posterior is not None:
        raise ConfigurationError(
            f"{request.model.name} is a variational mixture, which has no update.",
            "Fit all rows again, from it: daskgmm fit --bayesian --start-from.",
        )
    dataset = request.inputs.open_for(model)
    request.references.require_fit(dataset, (model.n_components,))
    found = make_run(
        request.run_request(dataset), partial(_update, request, dataset, listener or Silence())
    )
    request.require_fit(found.run.record["drift"])
    return found


def _update(
    request: UpdateRequest, dataset: Dataset, listener: Listener, attempt: Attempt
) -> Result:
    from daskgmm.estimators.methods import partial_fit
    from daskgmm.estimators.references import reordered, restarted

    before, references = request.model.estimator, request.references
    if references.start is not None:
        before = restarted(before, references.start)
    request.warn_of_rows_again(fingerprint(dataset))
    model = copy.copy(before).set_params(callbacks=(lambda _: attempt.check(), listener.tell))
    if request.missing is not None:
        model.set_params(missing=request.missing)
    model._max_missing = request.max_missing  # noqa: SLF001  of one family
    with workplace(request.resources, dataset, listener, run_id=attempt.run_id):
        increment = partial_fit.update(model, dataset, None, request.forgetting)
    drift = drift_of(before, increment)
    request.require_fit(drift)
    order = references.order(model)
    drift["components"] = [drift["components"][component] for component in order]
    facts = {
        "inputs": fingerprint(dataset, increment.fresh.rows),
        "updated_from": request.model.identity(),
        "forgetting": request.forgetting,
        "drift": drift,
        "result": _result(model, before, increment, dataset),
        "trace": model.history_,
        **references.facts(),
    }
    return Result(reordered(model, order), facts)


def _result(
    model: FittedMixture, before: FittedMixture, increment: "Increment", dataset: Dataset
) -> dict[str, Any]:
    last, passes = model.history_[-1], model.n_passes_ - getattr(before, "n_passes_", 0)
    return {
        "components": model.n_components,
        "columns": None if dataset.columns is None else list(dataset.columns),
        "rows": last["rows"],
        "rows_seen": model.n_rows_,
        "rows_dropped": model.n_rows_dropped_ - getattr(before, "n_rows_dropped_", 0),
        "weight": increment.moments.weight,  # after forgetting
        "lower_bound": model.lower_bound_,
        "converged": getattr(model, "converged_", None),
        "n_iter": model.n_iter_,
        "n_passes": passes,
        "rows_read": last["rows"] * passes,
        "bytes_read": last["bytes_read"] * passes,
    }
