"""Write rows with their missing values replaced by what a model expects."""

from typing import Any, Unpack

from daskgmm.data.sinks import WrittenParts, check_name, sink_for
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError
from daskgmm.fitting.fitted import Fitted
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.workplace import workplace
from daskgmm.jobs.inputs import Inputs, fingerprint
from daskgmm.jobs.json_values import as_plain
from daskgmm.jobs.listener import Silence
from daskgmm.jobs.models import find_model
from daskgmm.jobs.options import ImputeOptions, Paths, build, check
from daskgmm.jobs.outputs import OutputRequest, OutputWriter, make_output
from daskgmm.passes.imputation import Imputed


def impute(
    model: str, inputs: Paths, output: str, **options: Unpack[ImputeOptions]
) -> dict[str, Any]:
    """Write rows with missing values replaced, as ``daskgmm impute`` does.

    Parameters
    ----------
    model : str
        A run directory or model file, local or a URL.
    inputs : path or sequence of paths
        Files, directories, patterns or URLs.
    output : str
        A folder or URL to write: Zarr if it ends in ``.zarr``, a Delta table if it ends in
        ``.delta`` or is one, else Parquet files.
    options
        As the command line has them, with its defaults; see
        `daskgmm.jobs.options.ImputeOptions`.

    Returns
    -------
    dict
        The output's manifest, with ``output`` and ``already``: whether it was complete before.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    check(options, ImputeOptions)
    rows, keep = Inputs.of(inputs, options), tuple(options.get("keep") or ())
    fitted = find_model(model, rows.storage_options).fitted
    check_name(str(output))
    target = Folder.of(str(output), rows.storage_options)
    dataset = rows.open_for(fitted).select(keep=keep)
    marks, content = fingerprint(dataset), _content(fitted, keep)
    asked = {
        "command": "impute",
        "model_sha256": fitted.digest,
        **rows.output_configuration(marks),
        "keep": keep,
    }
    request = OutputRequest(
        target,
        dict(as_plain(asked)),
        (*keep, *sink_for(target).names(content.fields)),
        {"inputs": marks},
        force=options.get("force", False),
    )
    listener, resources = options.get("listener") or Silence(), build(Resources, options)

    def work(writer: OutputWriter) -> WrittenParts:
        with workplace(resources, dataset, listener, one_pass=True):
            written = writer.write(dataset.source(), content, keep)
        dataset.require_unchanged()
        return written

    return make_output(request, work).plain()


def _content(model: Fitted, keep: tuple[str, ...]) -> Imputed:
    content = Imputed(
        model.predictor, model.columns or tuple(f"x{d}" for d in range(model.n_features))
    )
    clashes = sorted({*content.names, "rows"} & set(keep))
    if clashes:
        raise ConfigurationError(
            f"The kept column {clashes[0]!r} has the same name as one that is written.",
            "Leave it out: the model's columns are written anyway.",
        )
    return content
