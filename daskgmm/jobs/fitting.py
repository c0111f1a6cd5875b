"""Fit a mixture to rows, and leave a run directory."""

import secrets
import uuid
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from daskgmm.errors import DataError, OutputError
from daskgmm.estimators.model_file import MODEL_FILE
from daskgmm.jobs import record
from daskgmm.jobs.cluster import Resources, workplace
from daskgmm.jobs.events import Listener, Silence
from daskgmm.jobs.folders import appearing, local_folder
from daskgmm.jobs.inputs import Inputs, fingerprint
from daskgmm.jobs.plain import as_plain, digest
from daskgmm.jobs.runs import Run, refuse, write_record


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """What is fitted and how.

    Parameters
    ----------
    init, n_init, tol, stopping, acceleration, max_iter, reg_covar, subsample, dtype
        As `daskgmm.GaussianMixture` means them.
    seed : int or None
        ``None`` draws one, which the run's record tells.
    """

    init: str = "kmeans"
    n_init: int = 1
    tol: float = 1e-3
    stopping: str = "lower_bound"
    acceleration: str | None = None
    max_iter: int = 100
    reg_covar: float = 1e-6
    subsample: str | int | None = "auto"
    dtype: str | None = None
    seed: int | None = None

    @abstractmethod
    def estimator(self, listener: Listener) -> Any:
        """The estimator that does it."""

    @abstractmethod
    def outcome(self, fitted: Any) -> tuple[Any, dict[str, Any]]:
        """The model to keep of a fitted estimator, and what else there is to tell of it."""

    def parameters(self, listener: Listener) -> dict[str, Any]:
        """What all estimators take."""
        return {
            "tol": self.tol,
            "reg_covar": self.reg_covar,
            "max_iter": self.max_iter,
            "n_init": self.n_init,
            "init_params": self.init,
            "random_state": self.seed,
            "subsample": self.subsample,
            "stopping": self.stopping,
            "acceleration": self.acceleration,
            "dtype": self.dtype,
            "callbacks": (listener.tell,),
        }


@dataclass(frozen=True)
class Mixture(Method):
    """One mixture.

    Parameters
    ----------
    components : int
        K.
    covariance : str
        The covariance type.
    """

    components: int
    covariance: str = "full"

    def estimator(self, listener: Listener) -> Any:
        """A `GaussianMixture`."""
        from daskgmm.estimators.gaussian_mixture import GaussianMixture

        return GaussianMixture(
            self.components, covariance_type=self.covariance, **self.parameters(listener)
        )

    def outcome(self, fitted: Any) -> tuple[Any, dict[str, Any]]:
        """The mixture itself."""
        return fitted, {}


@dataclass(frozen=True)
class FitRequest:
    """A fit to be made.

    Parameters
    ----------
    inputs : Inputs
    output : str
        The run directory.
    method : Method
    resources : Resources
    cache : str
        Where decoded blocks stay between passes; no part of the configuration, for it never
        changes the result.
    force : bool
        Replace a run that is there.
    command : tuple of str
        What the user typed, for the record.
    """

    inputs: Inputs
    output: str
    method: Method
    resources: Resources = field(default_factory=Resources)
    cache: str = "auto"
    force: bool = False
    command: tuple[str, ...] = ()

    def configuration(self) -> dict[str, Any]:
        """All that the result depends on but the rows: neither where it runs nor credentials."""
        inputs = self.inputs
        chosen = {"columns": inputs.columns, "weight_column": inputs.weight_column}
        found = as_plain(chosen | {"format": inputs.format} | asdict(self.method))
        return dict(found)


@dataclass(frozen=True)
class FitOutcome:
    """What came of it.

    Parameters
    ----------
    run : Run
    model : GaussianMixture
        Fitted.
    already : bool
        Whether it was complete before.
    """

    run: Run
    model: Any
    already: bool = False


def fit(request: FitRequest, listener: Listener | None = None) -> FitOutcome:
    """Fit, and write the run directory whole or not at all.

    A complete run of the same configuration and inputs is left as it is.

    Raises
    ------
    DaskGMMError
        Of any kind.
    """
    timings = record.stopwatch()
    target = local_folder(request.output)
    dataset = request.inputs.open()
    marks = fingerprint(dataset)
    there = None if request.force else _run_at(target)
    if there is not None:
        return _already(there, request, marks)
    refuse(target, force=request.force)
    seed = secrets.randbits(32) if request.method.seed is None else request.method.seed
    request = replace(request, method=replace(request.method, seed=seed))
    run_id = uuid.uuid4().hex
    with appearing(target) as folder:
        fitted = _fitted(request, dataset, listener or Silence(), run_id)
        model, more = request.method.outcome(fitted)
        model.save(folder / MODEL_FILE)
        content = _record(request, dataset, model, run_id)
        content["result"] |= more
        content = as_plain(content | {"timings": timings()})
        write_record(folder, content)
    return FitOutcome(Run(target, content), model)


def _fitted(request: FitRequest, dataset: Any, listener: Listener, run_id: str) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    model = request.method.estimator(listener).set_params(cache=request.cache)
    with workplace(request.resources, dataset) as place, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the outcome tells
        listener.start(replace(place, run_id=run_id))
        return model.fit(dataset)


def _run_at(target: Path) -> Run | None:
    try:
        return Run.at(target)
    except DataError:  # then it is an output that is in the way, like any other
        return None


def _already(there: Run, request: FitRequest, marks: Mapping[str, Any]) -> FitOutcome:
    from daskgmm.estimators.persistence import load

    if request.method.seed is None:
        request = replace(request, method=replace(request.method, seed=there.seed))
    differences = there.differences(request.configuration(), marks)
    if differences:
        raise OutputError(
            f"{there.path} holds a run that differs in {'; '.join(differences)}.",
            "Choose another output, or replace the run with --force.",
        )
    return FitOutcome(there, load(there.path / MODEL_FILE), already=True)


def _record(request: FitRequest, dataset: Any, model: Any, run_id: str) -> dict[str, Any]:
    configuration = request.configuration()
    return {
        "run_id": run_id,
        "state": "complete",
        "command": list(request.command),
        "configuration": configuration,
        "configuration_sha256": digest(configuration),
        "seed": request.method.seed,
        "resources": asdict(request.resources),
        "inputs": fingerprint(dataset, model.n_rows_),
        "versions": record.versions(),
        "host": record.host(),
        "result": _result(model, dataset),
        "trace": model.history_,
        "peak_memory_bytes": record.peak_memory(),
    }


def _result(model: Any, dataset: Any) -> dict[str, Any]:
    return {
        "components": model.n_components,
        "columns": None if dataset.columns is None else list(dataset.columns),
        "rows": model.n_rows_,
        "lower_bound": model.lower_bound_,
        "converged": model.converged_,
        "n_iter": model.n_iter_,
        "n_passes": model.n_passes_,
    }
