"""Write what a model says of rows as Parquet."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daskgmm.data.sinks import parts_in
from daskgmm.errors import ConfigurationError, OutputError
from daskgmm.jobs.cluster import Resources, workplace
from daskgmm.jobs.events import Listener, Parts, Silence
from daskgmm.jobs.folders import appearing, local_folder
from daskgmm.jobs.inputs import Inputs
from daskgmm.passes.output import Output, write_predictions

LABELS, PROBABILITIES, LOG_DENSITY = KINDS = ("labels", "probabilities", "log-density")


@dataclass(frozen=True)
class PredictRequest:
    """Predictions to be written.

    Parameters
    ----------
    inputs : Inputs
    output : str
        A folder of Parquet files, one for each part of the inputs.
    kinds : tuple of str
        Which of `KINDS`.
    keep : tuple of str
        Columns of the inputs to repeat before the predictions.
    resources : Resources
    force : bool
        Replace predictions that are there.
    """

    inputs: Inputs
    output: str
    kinds: tuple[str, ...] = (LABELS,)
    keep: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)
    force: bool = False


@dataclass(frozen=True)
class Predictions:
    """What was written.

    Parameters
    ----------
    path : Path
    rows : int
    files : int
    columns : tuple of str
    """

    path: Path
    rows: int
    files: int
    columns: tuple[str, ...]


def predict(model: Any, request: PredictRequest, listener: Listener | None = None) -> Predictions:
    """Write predictions of a fitted model, all of them or none.

    Raises
    ------
    DaskGMMError
        Of any kind.
    """
    listener = listener or Silence()
    target = local_folder(request.output)
    _refuse(target, force=request.force)
    dataset = request.inputs.open_for(model).select(keep=request.keep)
    with appearing(target) as folder:
        output = _output(model, request, folder)
        source = dataset.source()
        with workplace(request.resources, dataset, one_pass=True) as start:
            listener.start(start)
            listener.watch(Parts(len(source.parts), lambda: len(parts_in(folder))))
            rows = write_predictions(source, output)
    columns = (*request.keep, *output.names())
    return Predictions(target, rows, len(source.parts), columns)


def _output(model: Any, request: PredictRequest, folder: Path) -> Output:
    unknown = sorted(set(request.kinds) - set(KINDS))
    if unknown or not request.kinds:
        raise ConfigurationError(
            f"No predictions are called {', '.join(map(repr, unknown))}.",
            f"Choose among {', '.join(KINDS)}.",
        )
    output = Output(
        model._predictor,  # noqa: SLF001  rows go where they are read, not through the estimator
        folder,
        *[kind in request.kinds for kind in KINDS],
    )
    clashes = sorted(set(request.keep) & set(output.names()))
    if clashes:
        raise ConfigurationError(
            f"The kept column {clashes[0]!r} has the name of a prediction.",
            "Keep other columns, or rename it in the input.",
        )
    return output


def _refuse(target: Path, *, force: bool) -> None:
    """Raise OutputError unless predictions may be put at `target`.

    What are no predictions is never replaced, not even by force.
    """
    if not target.exists():
        return
    ours = target.is_dir() and {*target.iterdir()} == {*parts_in(target)}
    if not ours:
        raise OutputError(
            f"{target} exists and holds something else than predictions, so it is not replaced.",
            "Choose another output, or remove it yourself.",
        )
    if not force:
        raise OutputError(
            f"{target} exists already.", "Choose another output, or replace it with --force."
        )
