"""Draw a figure of a model, over a sample of rows if there are inputs."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daskgmm.errors import ConfigurationError
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.workplace import workplace
from daskgmm.jobs.inputs import Inputs, rows_of
from daskgmm.jobs.listener import Listener, Silence
from daskgmm.jobs.runs.directory import require_writable_here

if TYPE_CHECKING:
    from daskgmm.estimators.gaussian_mixture import GaussianMixture
    from daskgmm.estimators.merged import MergedMixture

_POINTS = 20_000


def check_figure(path: str) -> None:
    """Refuse a figure that can't be drawn or written, before any work is done.

    Raises
    ------
    ConfigurationError
        The path has no ending of a known format or is a URL, or matplotlib is not installed.
    OutputError
        The file's folder is missing or can't be written to.
    """
    from daskgmm.plotting.figure import require_matplotlib
    from daskgmm.plotting.files import FORMATS

    require_matplotlib()
    if Path(path).suffix.lower() not in FORMATS:
        raise ConfigurationError(
            f"The name of the figure {path} has no known ending.",
            f"Use one of these endings: {', '.join(FORMATS)}.",
        )
    require_writable_here(path)


def plot(
    model: "GaussianMixture | MergedMixture",
    path: str,
    *,
    inputs: Inputs | None = None,
    columns: Sequence[str] | None = None,
    resources: Resources | None = None,
    seed: int = 0,
    selection: Mapping[str, Any] | None = None,
    listener: Listener | None = None,
) -> None:
    """Write a figure of a fitted model over a sample of rows.

    Parameters
    ----------
    model : GaussianMixture or MergedMixture
    path : str
        Path of the figure; its ending decides the format.
    inputs : Inputs or None
        Rows to draw, of which 20,000 are sampled.
    columns : sequence of up to eight str, optional
        Columns to show.
    resources : Resources or None
    seed : int
        Seed of the sample.
    selection : mapping or None
        Selection of the run that chose the model; its criterion is drawn too.
    listener : Listener or None
    """
    from daskgmm.estimators.references import fitted_mixture
    from daskgmm.plotting.files import save

    check_figure(path)
    rows = None
    if inputs is not None:
        dataset = inputs.open_for(fitted_mixture(model, "model"))
        listener = listener or Silence()
        with workplace(resources or Resources(), dataset, listener):
            rows = _named(_sampled(dataset, seed), dataset.columns)
        dataset.require_unchanged()
    save(model, path, rows, columns, selection)


def _sampled(dataset: Any, seed: int) -> Any:
    from daskgmm.passes.survey import Request
    from daskgmm.passes.survey_pass import survey

    source = dataset.source()
    request = Request(seed, _POINTS, False, source.dtype, rows_of(dataset))  # noqa: FBT003
    _, (rows,) = survey(source, request, [partial(_rows_of_sample, source.n_features)])
    return rows


def _named(rows: Any, columns: Sequence[str] | None) -> Any:
    if columns is None:
        return rows
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))


def _rows_of_sample(n_features: int, found: Any) -> Any:
    import numpy as np

    return np.empty((0, n_features)) if found.sample is None else found.sample.rows
