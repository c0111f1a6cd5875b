"""The command ``daskgmm sample``."""

from typing import Any

import click

from daskgmm.cli.commands.predict import OUTPUT, report
from daskgmm.cli.options.declared import in_order, options_of
from daskgmm.cli.options.shared import (
    COMMON,
    MODEL,
    PROGRESS,
    RESOURCES,
    SEED,
    STORAGE,
)
from daskgmm.cli.options.types import many
from daskgmm.jobs.options import SampleOptions


@click.command()
@MODEL
@click.option(
    "-n",
    "--rows",
    "n",
    metavar="N",
    type=many,
    required=True,
    help="Number of rows, such as 1000 or 1e9.",
)
@OUTPUT
@options_of(SampleOptions, ["with_labels", "force"])
@in_order(STORAGE, RESOURCES, SEED, PROGRESS, COMMON)
def sample(model: str, **options: Any) -> None:
    """Draw N rows from MODEL and write them to OUT.

    N may be larger than memory allows. MODEL is a run directory or a model file. Running the same
    command again continues an unfinished output, and does nothing once OUT is complete.
    """
    from daskgmm import jobs
    from daskgmm.cli.output.progress import progress

    options["storage_options"] = dict(options["storage_options"])
    with progress(shown=options.pop("progress"), verb="Drawing") as listener:
        report(jobs.sample(model, listener=listener, **options))
