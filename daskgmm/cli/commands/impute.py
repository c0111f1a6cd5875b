"""The command ``daskgmm impute``."""

from typing import Any

import click

from daskgmm.cli.commands.predict import OUTPUT, report
from daskgmm.cli.options.declared import options_of
from daskgmm.cli.options.shared import COLUMNS, FORCE, INPUTS, MODEL, READING
from daskgmm.jobs.options import ImputeOptions


@click.command()
@MODEL
@INPUTS
@OUTPUT
@options_of(ImputeOptions, ["keep"])
@COLUMNS
@FORCE
@READING
def impute(model: str, inputs: tuple[str, ...], **options: Any) -> None:
    """Write the rows of INPUT with missing values replaced.

    MODEL is a run directory or a model file. A missing value becomes its mean given the row's other
    values. Rows and files keep the order of the input. Running the same command again continues an
    unfinished output, and does nothing once OUT is complete.
    """
    from daskgmm import jobs
    from daskgmm.cli.output.progress import progress

    options["storage_options"] = dict(options["storage_options"])
    with progress(shown=options.pop("progress"), verb="Filling gaps in") as listener:
        report(jobs.impute(model, inputs, listener=listener, **options))
