"""``daskgmm predict``."""

from typing import Any

import click

from daskgmm.cli.options import (
    COLUMNS,
    FORCE,
    INPUTS,
    MODEL,
    READING,
    inputs_of,
    names,
    resources_of,
)


@click.command()
@MODEL
@INPUTS
@click.option("-o", "--output", metavar="OUT", required=True, help="Folder to write.")
@click.option(
    "--with",
    "kinds",
    metavar="KINDS",
    type=names,
    default="labels",
    show_default=True,
    help="What to write of each row, of labels, probabilities and log-density.",
)
@click.option("--keep", metavar="A,B", type=names, help="Columns of INPUT to repeat.")
@COLUMNS
@FORCE
@READING
def predict(model: str, inputs: tuple[str, ...], **options: Any) -> None:
    """Write what MODEL says of the rows of INPUT into a folder of Parquet files.

    MODEL is a run directory or a model file. Files and rows have the order of the input.
    """
    from daskgmm.cli.progress import progress
    from daskgmm.jobs import predicting as jobs
    from daskgmm.jobs.models import find_model

    rows = inputs_of(options, inputs)
    request = jobs.PredictRequest(
        rows,
        options["output"],
        options["kinds"],
        options["keep"] or (),
        resources_of(options),
        force=options["force"],
    )
    estimator = find_model(model, dict(rows.storage_options)).estimator
    with progress(shown=options["progress"], verb="Labelling") as listener:
        written = jobs.predict(estimator, request, listener)
    files = f"{written.files} file{'s' * (written.files != 1)}"
    click.echo(f"{written.rows:,} rows in {files}: {written.path}")
    click.echo(f"columns: {', '.join(written.columns)}")
