"""Models found in run directories or model files, and their description as plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import DataError, MissingInputError, OutputError
from daskgmm.fitting.fitted import Fitted, bound_a_row, reports_of
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.fitting.stored.model_file import MODEL_FILE, Stored, read
from daskgmm.fitting.stored.posteriors import components_with_rows
from daskgmm.jobs.runs.directory import CHECKPOINT_FILE, RECORD_FILE, Run, State, sha256
from daskgmm.jobs.runs.record import how_it_goes_on

if TYPE_CHECKING:
    from daskgmm.estimators.gaussian_mixture import GaussianMixture
    from daskgmm.estimators.merged import MergedMixture

_ANEW = "run the run's command again: with the same inputs and options it makes the same model"


@dataclass(frozen=True)
class SavedModel:
    """A model that was read from a run directory or a model file.

    Parameters
    ----------
    name : str
        Path or URL that the caller gave.
    stored : Stored
    sha256 : str
        Digest of the model file.
    run : Run or None
        Run that wrote the model, if `name` is a run directory.
    """

    name: str
    stored: Stored
    sha256: str
    run: Run | None = None

    @property
    def fitted(self) -> Fitted:
        """The fitted mixture that predicts for rows."""
        return self.stored.fitted

    def identity(self) -> dict[str, Any]:
        """Identity for a record: its run, if there is one, and its file's digest."""
        run_id = None if self.run is None else self.run.record["run_id"]
        return {"run_id": run_id, "model_sha256": self.sha256}

    @property
    def estimator(self) -> "GaussianMixture":
        """The mixture that was saved, without its clusters; see `restored`."""
        found: Any = self.restored
        mixture: GaussianMixture = getattr(found, "mixture_", found)
        return mixture

    @cached_property
    def restored(self) -> "GaussianMixture | MergedMixture":
        """The estimator that was saved; this imports scikit-learn.

        Raises
        ------
        DataError
            The file has parameters or attributes that the estimator doesn't have.
        """
        from daskgmm.estimators.persistence import restored

        return restored(self.stored)


def find_model(name: str, storage_options: Mapping[str, Any] | None = None) -> SavedModel:
    """Read the model in a run directory or model file, local or a URL.

    Raises
    ------
    MissingInputError
        There is no model, or its run is not complete.
    DataError
        The file is not a model, or the file or the run's record is damaged.
    ClusterError
        The store doesn't answer.
    """
    options, shown = dict(storage_options or {}), shown_address(name)
    folder = Folder.of(name, options)
    if name.endswith(".safetensors") or (folder.local is not None and not folder.local.is_dir()):
        return _in_file(name, options)
    run, content = _looked_into(folder)
    if run is None and folder.local is None and folder.filesystem.isfile(folder.root):
        return _in_file(name, options)
    if run is None:
        raise MissingInputError(
            f"{shown} holds no {RECORD_FILE}, so it is not a run directory.",
            "Name the directory that `daskgmm fit` wrote, or a model file.",
        )
    if content is None:
        raise _without_model(run)
    stored = Stored.of(content, f"{shown}/{MODEL_FILE}")
    return SavedModel(shown, stored, sha256(content), run)


def _in_file(name: str, options: dict[str, Any]) -> SavedModel:
    content, shown = read(name, options)
    return SavedModel(shown, Stored.of(content, shown), sha256(content))


def _looked_into(folder: Folder) -> tuple[Run | None, bytes | None]:
    """The run in a folder and the content of its model file; ``None`` for what is missing."""
    try:
        run = Run.at(folder)
        return run, None if run is None else run.model()
    except OutputError as error:  # reading a run raises errors of outputs; here it is an input
        if isinstance(error.__cause__, IsADirectoryError):
            remedy = f"Restore the file from a copy, or {_ANEW}."
            raise DataError(f"{folder.name}/{MODEL_FILE} is a folder.", remedy) from error
        remedy = "Change its permissions, or ask its owner for access."
        raise MissingInputError(error.cause, remedy) from error


def _without_model(run: Run) -> DataError | MissingInputError:
    """Error for a run whose model is missing, or is not the file that the run wrote."""
    if run.state is not State.COMPLETE:
        return _incomplete(run)
    remedy = f"Restore the file from a copy, or {_ANEW}."
    if MODEL_FILE not in run.folder.names():
        return MissingInputError(f"{run.name} is complete, but its {MODEL_FILE} is gone.", remedy)
    fact = f"its {MODEL_FILE} is not the file that the run wrote"
    return DataError(f"{run.name} is complete, but its model is damaged: {fact}.", remedy)


def _incomplete(run: Run) -> MissingInputError:
    record = run.record
    again = f"run its command again: {how_it_goes_on(CHECKPOINT_FILE in run.folder.names())}"
    remedy = f"R{again[1:]}."
    if run.state is State.FAILED:
        failure = record.get("failure", {})
        fact = f"its run failed: {failure.get('cause', 'the reason is unknown')}"
        remedy = failure.get("remedy", remedy)
    else:
        host = record.get("host", {}).get("name")
        fact = f"its run is still running (process {record.get('process')} on {host}) or was killed"
        remedy = f"Wait for it to end; if it was killed, {again}."
    return MissingInputError(f"{run.name} has no model yet: {fact.rstrip('.')}.", remedy)


def describe(model: SavedModel) -> dict[str, Any]:
    """Describe a model: its parameters, the course of its fit, and its run's record if any.

    Returns
    -------
    dict
        Plain JSON values.
    """
    fitted, merging = model.estimator, model.stored.merging()
    names = getattr(fitted, "feature_names_in_", None)
    return {
        "model": model.name,
        "estimator": type(fitted).__name__,
        "components": len(fitted.weights_),
        "features": fitted.n_features_in_,
        "columns": None if names is None else [str(name) for name in names],
        "covariance_type": fitted.covariance_type,
        "weights": fitted.weights_.tolist(),
        "means": fitted.means_.tolist(),
        "covariances": fitted.covariances_.tolist(),
        "noise": _noise(fitted),
        "standing": [asdict(one) for one in reports_of(fitted)],
        "components_with_rows": components_with_rows(fitted),
        "clusters": None if merging is None else merging.clusters.tolist(),
        "fit": _course(fitted),
        "run": None if model.run is None else dict(model.run.record),
    }


def _noise(fitted: "GaussianMixture") -> dict[str, float] | None:
    """Share and density of noise; ``None`` without noise."""
    if fitted._predictor.mixture.noise is None:  # noqa: SLF001  a protocol's
        return None
    return {"weight": fitted.noise_weight_, "density": fitted.noise_density_}


def _course(fitted: FittedMixture) -> dict[str, Any]:
    """Facts of the fit; None for those that a model from scikit-learn lacks."""
    facts = ("converged", "n_iter", "n_passes", "n_rows")
    course = {name: getattr(fitted, f"{name}_", None) for name in facts}
    return course | {"lower_bound": bound_a_row(fitted)}
