"""The command ``daskgmm predict``."""

import logging
from typing import Any

import click

from daskgmm.cli.options.declared import options_of
from daskgmm.cli.options.shared import COLUMNS, FORCE, INPUTS, MODEL, READING
from daskgmm.jobs.options import PredictOptions

OUTPUT = click.option(
    "-o",
    "--output",
    metavar="OUT",
    required=True,
    help="Folder or URL to write: Zarr if it ends in .zarr, a Delta table if it ends in .delta "
    "or is one, else Parquet files.",
)
KINDS = ["with_", "anomaly_quantile", "anomaly_threshold", "keep", "partition_by"]
logger = logging.getLogger(__name__)


@click.command()
@MODEL
@INPUTS
@OUTPUT
@options_of(
    PredictOptions, ["with_", "anomaly_quantile", "anomaly_threshold", "keep", "partition_by"]
)
@COLUMNS
@FORCE
@READING
def predict(model: str, inputs: tuple[str, ...], **options: Any) -> None:
    """Write predictions of MODEL for the rows of INPUT.

    MODEL is a run directory or a model file. Rows and files keep the order of the input. Running
    the same command again continues an unfinished output, and does nothing once OUT is complete.
    """
    from daskgmm import jobs
    from daskgmm.cli.output.progress import progress

    options["storage_options"] = dict(options["storage_options"])
    # The names of the written columns, with underscores, are accepted too.
    options["with_"] = [kind.replace("_", "-") for kind in options["with_"]]
    with progress(shown=options.pop("progress"), verb="Labelling") as listener:
        report(jobs.predict(model, inputs, listener=listener, **options))


def report(manifest: dict[str, Any]) -> None:
    """Print the rows, parts and columns of an output."""
    if manifest["already"]:
        logger.info("%s is already complete: nothing was done.", manifest["output"])
    count = len(manifest["parts"])
    parts = f"{count} {'file' if manifest['format'] == 'parquet' else 'part'}{'s' * (count != 1)}"
    click.echo(f"{manifest['rows']:,} rows in {parts}: {manifest['output']}")
    click.echo(f"columns: {', '.join(manifest['columns'])}")
    for name, value in manifest["found"].items():
        click.echo(f"{name}: {value:.6f}")
