"""Write the predictions of a model for rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Unpack

from daskgmm.data.sinks import Sink, WrittenParts, check_name, sink_for
from daskgmm.data.source import Source
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError
from daskgmm.fitting.fitted import Fitted
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.workplace import workplace
from daskgmm.jobs.inputs import Inputs, fingerprint
from daskgmm.jobs.json_values import as_plain
from daskgmm.jobs.listener import Listener, Silence
from daskgmm.jobs.models import find_model
from daskgmm.jobs.options import Paths, PredictOptions, build, check
from daskgmm.jobs.outputs import CompleteOutput, OutputRequest, OutputWriter, make_output
from daskgmm.passes.explanation import Explanation
from daskgmm.passes.prediction import readied_for
from daskgmm.passes.quantile import log_density_quantile
from daskgmm.passes.writing import Output

LABELS, PROBABILITIES, LOG_DENSITY, ANOMALY, EXPLANATION = KINDS = (
    "labels", "probabilities", "log-density", "anomaly", "explanation",
)  # fmt: skip
USUAL_QUANTILE = 0.01


@dataclass(frozen=True)
class PredictRequest:
    """A request to write predictions.

    Parameters
    ----------
    inputs : Inputs
    output : str
        A folder or URL: Zarr if it ends in ``.zarr``, a Delta table if it ends in ``.delta`` or is
        one, else Parquet files.
    kinds : tuple of str
        Predictions to write, among `KINDS`.
    keep : tuple of str
        Columns of the inputs to repeat before the predictions.
    anomaly_quantile : float or None
        Share of the rows, those of lowest log-density, that count as anomalous; by default 0.01.
    anomaly_threshold : float or None
        Log-density (nats) below which a row counts as anomalous, in place of a share.
    partition_by : tuple of str
        Columns of the inputs whose values choose the directories that rows go to.
    resources : Resources
    force : bool
        Replace an existing output.
    """

    inputs: Inputs
    output: str
    kinds: tuple[str, ...] = (LABELS,)
    keep: tuple[str, ...] = ()
    anomaly_quantile: float | None = None
    anomaly_threshold: float | None = None
    partition_by: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)
    force: bool = False

    def __post_init__(self) -> None:
        unknown = ", ".join(map(repr, sorted(set(self.kinds) - set(KINDS))))
        if unknown or not self.kinds:
            raise ConfigurationError(
                f"Unknown kinds of predictions: {unknown}."
                if unknown
                else "No kind of prediction was chosen.",
                f"Choose from {', '.join(KINDS)}.",
            )
        share, threshold = given = (self.anomaly_quantile, self.anomaly_threshold)
        if given != (None, None) and ANOMALY not in self.kinds:
            raise ConfigurationError(
                "A quantile or threshold of anomalies was given, but anomalies were not requested.",
                "Request them: --with labels,anomaly.",
            )
        if None not in given:
            raise ConfigurationError(
                f"Both a quantile ({share}) and a threshold ({threshold}) of anomalies were given.",
                "Give only one of them.",
            )
        if share is not None and not 0 <= share <= 1:
            raise ConfigurationError(
                f"The quantile of anomalies is {share}.",
                "Give a share of the rows between 0 and 1, such as 0.01.",
            )

    @property
    def kept(self) -> tuple[str, ...]:
        """Columns of the inputs to read for the output: those to repeat, and keys."""
        return tuple(dict.fromkeys((*self.keep, *self.partition_by)))

    @property
    def quantile(self) -> float | None:
        """Quantile that gives the anomaly threshold, ``None`` where none has to be computed."""
        if ANOMALY not in self.kinds or self.anomaly_threshold is not None:
            return None
        return USUAL_QUANTILE if self.anomaly_quantile is None else self.anomaly_quantile


def predict(
    model: str, inputs: Paths, output: str, **options: Unpack[PredictOptions]
) -> dict[str, Any]:
    """Write the predictions of a model for each row, as ``daskgmm predict`` does.

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
        `daskgmm.jobs.options.PredictOptions`.

    Returns
    -------
    dict
        The output's manifest, with ``output`` and ``already``: whether it was complete before.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    check(options, PredictOptions)
    rows = Inputs.of(inputs, options)
    fitted = find_model(model, rows.storage_options).fitted
    kinds, keep = options.get("with_", (LABELS,)), options.get("keep") or ()
    request = build(
        PredictRequest,
        options,
        inputs=rows,
        output=str(output),
        kinds=tuple(kinds),
        keep=tuple(keep),
        partition_by=tuple(options.get("partition_by") or ()),
        resources=build(Resources, options),
    )
    return write_predictions(fitted, request, options.get("listener")).plain()


def write_predictions(
    model: Fitted, request: PredictRequest, listener: Listener | None = None
) -> CompleteOutput:
    """Write predictions of a fitted model.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    listener = listener or Silence()
    check_name(request.output)
    target = Folder.of(request.output, request.inputs.storage_options)
    dataset = request.inputs.open_for(model).select(keep=request.kept)
    marks = fingerprint(dataset)
    sink = sink_for(target)
    if request.partition_by and not sink.takes_keys:
        raise ConfigurationError(
            f"{target.name} is not a folder that keys can divide.",
            "Leave partition_by= (--partition-by) out, or write Parquet.",
        )
    content = _content(model, request, sink)
    columns = (*request.kept, *sink.names(content.fields))
    output_request = OutputRequest(
        target,
        _configuration(model, request, marks),
        columns,
        {"inputs": marks},
        force=request.force,
    )

    def work(writer: OutputWriter) -> WrittenParts:
        source = dataset.source()
        once = request.quantile is None
        with workplace(request.resources, dataset, listener, one_pass=once):
            ready = replace(content, predictor=readied_for(content.predictor, source))
            output = replace(ready, threshold=_threshold(writer, source, ready, request))
            written = writer.write(source, output, request.kept, request.partition_by)
        dataset.require_unchanged()
        return written

    return make_output(output_request, work)


def _content(model: Fitted, request: PredictRequest, sink: type[Sink]) -> Output:
    """Predictions to write, without a threshold that must be computed first."""
    kinds = request.kinds
    explanation = Explanation(model.n_features, model.columns if sink.holds_text else None)
    output = Output(
        model.predictor,
        LABELS in kinds,
        PROBABILITIES in kinds,
        LOG_DENSITY in kinds,
        math.nan if ANOMALY in kinds else None,
        explanation if EXPLANATION in kinds else None,
    )
    names = {*output.names(), *(field.name for field in output.fields)}
    clashes = sorted(names & set(request.kept))
    if clashes:
        raise ConfigurationError(
            f"The kept column {clashes[0]!r} has the same name as a prediction.",
            "Leave it out, or rename it in the input.",
        )
    return output


def _configuration(
    model: Fitted, request: PredictRequest, marks: Mapping[str, Any]
) -> dict[str, Any]:
    """All that determines the output, without resources and credentials."""
    asked = {
        "command": "predict",
        "model_sha256": model.digest,
        **request.inputs.output_configuration(marks),
        "with": [kind for kind in KINDS if kind in request.kinds],
        "keep": request.keep,
        "anomaly_quantile": request.quantile,
        "anomaly_threshold": request.anomaly_threshold,
    }
    if request.partition_by:
        asked["partition_by"] = request.partition_by
    return dict(as_plain(asked))


def _threshold(
    writer: OutputWriter, source: Source, content: Output, request: PredictRequest
) -> float | None:
    """Log-density (nats) below which a row is anomalous, computed once for all attempts."""
    found: float | None = writer.interim.get("threshold", request.anomaly_threshold)
    if found is None and request.quantile is not None:
        found = log_density_quantile(source, content.predictor, request.quantile)
    if found is not None:
        writer.keep_interim(threshold=found)
    return found
