"""``daskgmm predict``."""

import logging
from typing import Any

import click

from daskgmm.cli.options.shared import COLUMNS, FORCE, INPUTS, MODEL, READING, in_order
from daskgmm.cli.options.types import Names, Number

OUTPUT = click.option(
    "-o",
    "--output",
    metavar="OUT",
    required=True,
    help="Folder or URL to write: Zarr if it ends in .zarr, else Parquet files.",
)
_KINDS = in_order(
    click.option(
        "--with",
        "with_",
        cls=Names,
        metavar="KINDS",
        default=("labels",),
        show_default=True,
        help="What to write of each row, of labels, probabilities, log-density and anomaly.",
    ),
    click.option(
        "--anomaly-quantile",
        metavar="Q",
        type=Number(0, 1),
        help="The share of the rows, by their log-density, that are anomalous; by default 0.01. "
        "It is found in one or two passes before.",
    ),
    click.option(
        "--anomaly-threshold",
        metavar="NATS",
        type=Number(),
        help="The log-density below which a row is anomalous, instead.",
    ),
    click.option(
        "--keep",
        cls=Names,
        metavar="A,B",
        help="Columns of INPUT to repeat; may be given again, and quoted, as --columns.",
    ),
)

logger = logging.getLogger(__name__)


@click.command()
@MODEL
@INPUTS
@OUTPUT
@_KINDS
@COLUMNS
@FORCE
@READING
def predict(model: str, inputs: tuple[str, ...], **options: Any) -> None:
    """Write what MODEL says of the rows of INPUT.

    MODEL is a run directory or a model file. Files and rows have the order of the input. The
    same command again does nothing where OUT is complete, and goes on where it isn't.
    """
    from daskgmm import jobs
    from daskgmm.cli.output.progress import progress

    options["storage_options"] = dict(options["storage_options"])
    # As the columns are called that it writes.
    options["with_"] = [kind.replace("_", "-") for kind in options["with_"]]
    with progress(shown=options.pop("progress"), verb="Labelling") as listener:
        report(jobs.predict(model, inputs, listener=listener, **options))


def report(manifest: dict[str, Any]) -> None:
    """Say what was written."""
    if manifest["already"]:
        logger.info("%s is already complete: nothing was done.", manifest["output"])
    count = len(manifest["parts"])
    parts = f"{count} {'file' if manifest['format'] == 'parquet' else 'part'}{'s' * (count != 1)}"
    click.echo(f"{manifest['rows']:,} rows in {parts}: {manifest['output']}")
    click.echo(f"columns: {', '.join(manifest['columns'])}")
    for name, value in manifest["found"].items():
        click.echo(f"{name}: {value:.6f}")
