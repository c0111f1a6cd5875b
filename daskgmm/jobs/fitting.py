"""Fit a mixture to rows, and leave a run directory."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Unpack

from daskgmm.data.dataset import Dataset
from daskgmm.data.storage.folder import Folder
from daskgmm.fitting.options import declared
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.fitting.stored.checkpoint_file import CheckpointFile
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.workplace import workplace
from daskgmm.jobs.inputs import Inputs, fingerprint
from daskgmm.jobs.json_values import as_plain
from daskgmm.jobs.listener import Listener, Silence
from daskgmm.jobs.methods import E, Method, mixture_spec
from daskgmm.jobs.options import BayesianOptions, MixtureOptions, OneFitOptions, Paths, build, check
from daskgmm.jobs.references import References
from daskgmm.jobs.runs.decision import RunRequest
from daskgmm.jobs.runs.directory import CHECKPOINT_FILE
from daskgmm.jobs.runs.lifecycle import Attempt, CompleteRun, Result, make_run
from daskgmm.model.covariance import CovarianceType


@dataclass(frozen=True)
class FitRequest:
    """A request to fit a mixture.

    Parameters
    ----------
    inputs : Inputs
        Inputs, whose storage options are used for the output as well.
    output : str
        The run directory, local or a URL.
    method : Method
    references : References
        Models to start from, and in whose order components are brought.
    resources : Resources
    cache : str
        Place of decoded blocks between passes; not part of the configuration, as it never
        changes the result.
    max_missing : float
        Largest share of the rows that may have missing values.
    resume : bool
        Resume an unfinished run of the same configuration and inputs.
    force : bool
        Replace a run that differs.
    command : tuple of str
        Command that the user typed, for the record.
    """

    inputs: Inputs
    output: str
    method: Method[Any]
    references: References = field(default_factory=References)
    resources: Resources = field(default_factory=Resources)
    cache: str = "auto"
    max_missing: float = 1.0
    resume: bool = True
    force: bool = False
    command: tuple[str, ...] = ()

    def configuration(self) -> dict[str, Any]:
        """All that the result depends on except the rows, without resources and credentials."""
        own = self.method.configuration() | self.references.configuration()
        return dict(as_plain(self.inputs.configuration() | own))

    def folder(self) -> Folder:
        """The run directory."""
        return Folder.of(self.output, self.inputs.storage_options)

    def run_request(self, dataset: Dataset) -> RunRequest:
        """The request for the run directory."""
        return RunRequest(
            self.folder(),
            self.configuration(),
            fingerprint(dataset),
            self.resources.plain(),
            self.command,
            resume=self.resume,
            force=self.force,
        )


def fit(
    inputs: Paths,
    output: str,
    *,
    components: int,
    covariance: CovarianceType = "full",
    **options: Unpack[OneFitOptions],
) -> dict[str, Any]:
    """Fit a mixture to rows, and leave a run directory, as ``daskgmm fit`` does.

    Parameters
    ----------
    inputs : path or sequence of paths
        Files, directories, patterns or URLs.
    output : str
        The run directory, local or a URL.
    components : int
        Number of components K.
    covariance : str
        The covariance type.
    options
        As the command line has them, with its defaults; see `daskgmm.jobs.options.OneFitOptions`.

    Returns
    -------
    dict
        The run's record as plain values, with ``run``, the path or URL of its directory, and
        ``already``: whether it was complete before.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    priors = {name: options.pop(name) for name in declared(BayesianOptions) if name in options}  # type: ignore[misc]
    method = mixture_spec(priors, options, components=components, covariance=covariance)
    return run_fit(request_of(inputs, output, method, options), options.get("listener")).plain()


def request_of(
    inputs: Paths, output: str, method: Method[Any], options: Mapping[str, Any]
) -> FitRequest:
    """Build a fit's request from plain values."""
    check(options, MixtureOptions)
    resources = build(Resources, options)
    return build(
        FitRequest,
        options,
        inputs=Inputs.of(inputs, options),
        output=output,
        method=method,
        references=References.of(options),
        resources=resources,
    )


def run_fit(request: FitRequest, listener: Listener | None = None) -> CompleteRun:
    """Fit, or resume an unfinished fit, or return at once where the run is complete already.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    request.folder().check()
    dataset = request.inputs.open()
    request.references.require_fit(dataset, request.method.numbers)
    work = partial(_fit, request, dataset, listener or Silence())
    return make_run(request.run_request(dataset), work)


def _fit(request: FitRequest, dataset: Dataset, listener: Listener, attempt: Attempt) -> Result:
    from daskgmm.estimators.references import reordered

    method, references = replace(request.method, seed=attempt.seed), request.references

    def check() -> None:  # a function, because cloning an estimator copies everything else
        attempt.check()

    estimator = method.estimator(
        cache=request.cache,
        checkpoint=CheckpointFile(attempt.folder, CHECKPOINT_FILE, stays=True, check=check),
        callbacks=(listener.tell,),
        start_from=references.start,
    )
    estimator._max_missing = request.max_missing  # noqa: SLF001  of one family
    estimator.set_params(**references.fixed(estimator, dataset))
    with workplace(request.resources, dataset, listener, run_id=attempt.run_id):
        fitted = _fitted(estimator, dataset)
    model, more = method.outcome(fitted)
    facts = {
        "inputs": fingerprint(dataset, model.n_rows_ + model.n_rows_dropped_),
        "result": _result(model, dataset, fitted.n_passes_) | more,
        "trace": model.history_,
        **references.facts(),
    }
    return Result(reordered(model, references.order(model)), facts)


def _fitted(estimator: E, dataset: Dataset) -> E:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the outcome reports it
        return estimator.fit(dataset)


def _result(model: FittedMixture, dataset: Dataset, passes: int) -> dict[str, Any]:
    last = model.history_[-1]
    return {
        "components": model.n_components,
        "columns": None if dataset.columns is None else list(dataset.columns),
        "rows": model.n_rows_,
        "rows_dropped": model.n_rows_dropped_,
        "lower_bound": last["lower_bound"],
        "converged": model.converged_,
        "n_iter": model.n_iter_,
        "n_passes": passes,
        "refinement": model.refinement_,
        "rows_read": model.n_rows_ * passes,
        "bytes_read": last["bytes_read"] * passes,
    }
