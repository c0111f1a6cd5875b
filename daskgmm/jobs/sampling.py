"""Draw rows from a model and write them."""

import secrets
from dataclasses import dataclass, field, replace
from typing import Any, Unpack

from daskgmm.data.files.versions import FileRecord
from daskgmm.data.sinks import WrittenParts, check_name, sink_for
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError
from daskgmm.fitting.fitted import Fitted
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.workplace import workplace
from daskgmm.jobs.listener import Listener, Silence
from daskgmm.jobs.models import find_model
from daskgmm.jobs.options import SampleOptions, build, check
from daskgmm.jobs.outputs import (
    CompleteOutput,
    OutputRequest,
    OutputWriter,
    earlier_seed,
    make_output,
)
from daskgmm.model.questions.clusters import ClusterPredictor
from daskgmm.passes.mixture_sampling import Drawn, sample_source


@dataclass(frozen=True)
class SampleRequest:
    """A request to draw and write rows.

    Parameters
    ----------
    rows : int
        Number of rows.
    output : str
        A folder or URL: Zarr if it ends in ``.zarr``, a Delta table if it ends in ``.delta`` or is
        one, else Parquet files.
    with_labels : bool
        Write the component of each row too.
    seed : int or None
        Seed of the random numbers; with ``None`` one is drawn, and the output's manifest
        records it.
    storage_options : mapping
        Options for the output's store; may hold credentials, so it is never shown or written.
    resources : Resources
    force : bool
        Replace an existing output.
    """

    rows: int
    output: str
    with_labels: bool = False
    seed: int | None = None
    storage_options: dict[str, Any] = field(default_factory=dict, repr=False)
    resources: Resources = field(default_factory=Resources)
    force: bool = False

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ConfigurationError(
                f"The number of rows to draw is {self.rows}.", "It must be at least 1."
            )


@dataclass(frozen=True)
class _ToDraw:
    """Size of the rows to draw, as `workplace` expects it."""

    files: tuple[FileRecord, ...]
    n_features: int


def sample(model: str, output: str, *, n: int, **options: Unpack[SampleOptions]) -> dict[str, Any]:
    """Draw rows from a model and write them, as ``daskgmm sample`` does.

    Parameters
    ----------
    model : str
        A run directory or model file, local or a URL.
    output : str
        A folder or URL to write: Zarr if it ends in ``.zarr``, a Delta table if it ends in
        ``.delta`` or is one, else Parquet files.
    n : int
        Number of rows.
    options
        As the command line has them, with its defaults; see
        `daskgmm.jobs.options.SampleOptions`.

    Returns
    -------
    dict
        The output's manifest, with ``output`` and ``already``: whether it was complete before.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    check(options, SampleOptions)
    store = dict(options.get("storage_options", {}))
    fitted = find_model(model, store).fitted
    request = build(
        SampleRequest,
        options,
        rows=n,
        output=str(output),
        storage_options=store,
        resources=build(Resources, options),
    )
    return write_sample(fitted, request, options.get("listener")).plain()


def write_sample(
    model: Fitted, request: SampleRequest, listener: Listener | None = None
) -> CompleteOutput:
    """Draw rows from a fitted model and write them.

    The rows depend only on the model, their number and the seed.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    listener = listener or Silence()
    content = _content(model, request)
    output_request = _output_request(model, request, content)
    description = _ToDraw((FileRecord("", None, request.rows),), model.n_features)

    def work(writer: OutputWriter) -> WrittenParts:
        source = sample_source(model.predictor, request.rows, output_request.configuration["seed"])
        with workplace(request.resources, description, listener, one_pass=True):
            return writer.write(source, content)

    return make_output(output_request, work)


def _output_request(model: Fitted, request: SampleRequest, content: Drawn) -> OutputRequest:
    configuration = {
        "command": "sample",
        "model_sha256": model.digest,
        "rows": request.rows,
        "with_labels": request.with_labels,
        "seed": request.seed,
    }
    check_name(request.output)
    target = Folder.of(request.output, request.storage_options)
    columns = tuple(sink_for(target).names(content.fields))
    output_request = OutputRequest(target, configuration, columns, force=request.force)
    if request.seed is not None:
        return output_request
    earlier = earlier_seed(output_request)
    seed = secrets.randbits(32) if earlier is None else earlier
    return replace(output_request, configuration=configuration | {"seed": seed}, drawn=("seed",))


def _content(model: Fitted, request: SampleRequest) -> Drawn:
    names = model.columns or tuple(f"x{d}" for d in range(model.n_features))
    own = model.predictor
    clusters = tuple(own.clusters.tolist()) if isinstance(own, ClusterPredictor) else None
    content = Drawn(names, request.with_labels, clusters)
    if request.with_labels and "label" in content.names:
        raise ConfigurationError(
            "A feature is called 'label', like the column that holds the components.",
            "Draw the rows without their labels.",
        )
    return content
