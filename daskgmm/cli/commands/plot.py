"""The command ``daskgmm plot``."""

from typing import Any

import click

from daskgmm.cli.options.shared import (
    MODEL,
    READING,
    RESOURCE_NAMES,
    in_natural_order,
    inputs_of,
    refuse_without_inputs,
    resources_of,
)
from daskgmm.cli.options.types import Names


@click.command()
@MODEL
@click.argument("inputs", nargs=-1, metavar="[INPUT...]", callback=in_natural_order)
@click.option("-o", "--output", metavar="FILE.png", required=True, help="Figure to write.")
@click.option(
    "--columns",
    cls=Names,
    metavar="A,B",
    help="Columns to draw, up to eight; by default up to four in which components lie furthest "
    "apart. Names that contain commas are quoted as for fit.",
)
@click.option(
    "--seed",
    metavar="N",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the sample of rows that is drawn.",
)
@READING
def plot(
    model: str,
    inputs: tuple[str, ...],
    output: str,
    columns: tuple[str, ...] | None,
    **options: Any,
) -> None:
    """Draw MODEL in pairs of columns, and the convergence of its fit.

    Rows of INPUT, if given, are drawn too, and so are the criteria of a run of select. For a run of
    merge the joins are drawn in place of the convergence. MODEL is a run directory or a model file.
    FILE ends in .png, .svg or .pdf.
    """
    from daskgmm.cli.output.progress import progress
    from daskgmm.jobs import plotting as jobs
    from daskgmm.jobs.models import find_model

    if not inputs:
        refuse_without_inputs("format", "where", "seed", *RESOURCE_NAMES)
    jobs.check_figure(output)
    resources = resources_of(options)
    rows = inputs_of(options, inputs)
    found = find_model(model, dict(rows.storage_options))
    with progress(shown=options["progress"], verb="Drawing") as listener:
        jobs.plot(
            found.restored,
            output,
            inputs=rows if inputs else None,
            columns=columns,
            resources=resources,
            seed=options["seed"],
            selection=None if found.run is None else found.run.selection,
            listener=listener,
        )
    click.echo(output)
